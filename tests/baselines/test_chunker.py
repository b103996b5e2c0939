"""The neural sequence chunker."""

from __future__ import annotations

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import assert_close, assert_equal, quick_jit

from experiments.claims.comparisons import noisy_task
from lstm_jax.baselines.chunker import (
    Chunker,
    NetWeights,
    Networks,
    Trajectory,
    learn,
    run_net,
    zero_net_state,
)
from lstm_jax.tasks.task import Example

DELAY = 4  # p: symbols a_1 a_2 a_3 x y
RULE = Chunker(DELAY + 1, init_range=2.0)
FOLLOW = functools.partial(jax.jit, static_argnames="train")(RULE.follow)
ONE = jnp.float32(1.0)


def _outputs(weights: NetWeights, symbols) -> list[jax.Array]:
    """All outputs [T, K] of a net, by its plain equations."""
    hidden, outputs = 0.0, []
    for symbol in symbols:
        net = weights.hidden_input[symbol] + weights.hidden_self * hidden
        hidden = jax.nn.sigmoid(net)
        outputs.append(
            jax.nn.sigmoid(weights.output_input[symbol] + weights.output_hidden * hidden)
        )
    return outputs


def test_a_step_of_learning_descends_the_exact_gradient():
    """Forward traces give what autodiff through all steps gives, for the loss of the last step."""
    with jax.enable_x64(True):
        rng = np.random.default_rng(1)
        shapes = ((4,), (), (4, 3), (3,))
        weights = NetWeights(*(jnp.asarray(rng.uniform(-1.5, 1.5, shape)) for shape in shapes))
        symbols, target = rng.integers(0, 4, 6), rng.random(3)
        state = zero_net_state(weights)
        for symbol in symbols:
            state, outputs = run_net(weights, state, jnp.asarray(symbol))
        learned = learn(weights, state, symbols[-1], outputs, outputs - target, jnp.asarray(0.7))
        steps = jax.tree.map(lambda new, old: (old - new) / 0.7, learned, weights)

        def half_squared_error(weights):
            return 0.5 * jnp.sum((_outputs(weights, symbols)[-1] - target) ** 2)

        np.testing.assert_allclose(outputs, _outputs(weights, symbols)[-1], rtol=1e-12)
        assert_close(steps, quick_jit(jax.grad(half_squared_error))(weights))


def test_the_nets_have_the_papers_numbers_of_weights():
    """10,404 of the net of task 2a, and 102 of A's further output."""
    networks = Chunker(101).init(jax.random.key(0))
    counts = [sum(w.size for w in jax.tree.leaves(net)) for net in networks]
    assert counts == [10_506, 10_404]


def _knowing(symbols: int) -> NetWeights:
    """An automatizer that predicts a_2 after a_1, and so on, a_1 after x or y; nothing else."""
    output_input = np.full((symbols, symbols + 1), -9.0, np.float32)
    for symbol in range(symbols):
        follower = symbol + 1 if symbol < symbols - 3 else 0
        if symbol != symbols - 3:  # after a_(p-1) comes x or y
            output_input[symbol, follower] = 9.0
    zeros = jnp.zeros(symbols)
    return NetWeights(zeros, jnp.zeros(()), jnp.asarray(output_input), jnp.zeros(symbols + 1))


NETWORKS = RULE.init(jax.random.key(0))
KNOWING = NETWORKS._replace(automatizer=_knowing(DELAY + 1))


def _sequence(first: int, middle) -> Example:
    symbols = np.array([first, *middle, first], np.int32)
    targets = jnp.eye(DELAY + 1)[symbols[1:]]
    return Example(jnp.asarray(symbols[:-1]), targets, targets, jnp.int32(DELAY))


def test_the_chunker_stands_still_on_predicted_inputs_and_learns_the_next_unexpected_one():
    """Where A predicts the middle, C learns to predict the last symbol from the first one."""
    example = _sequence(3, [0, 1, 2])
    learned, trajectory = FOLLOW(KNOWING, example, train=True)
    assert trajectory.ticks.tolist() == [True, False, False, False]
    assert len(set(trajectory.chunker_hidden.tolist())) == 1
    assert np.all(trajectory.chunker_outputs == trajectory.chunker_outputs[:1])
    net = KNOWING.chunker
    state, outputs = run_net(net, zero_net_state(net), jnp.int32(3))
    expected = learn(net, state, jnp.int32(3), outputs, outputs - example.targets[-1], ONE)
    assert_close(learned.chunker, expected, 1e-5)


def test_the_chunker_sees_what_was_not_predicted():
    """After a_1, A expects a_2: here a_3 comes, after which it expects the end, but a_1 comes."""
    _, trajectory = FOLLOW(KNOWING, _sequence(4, [0, 2, 0]), train=False)
    assert trajectory.ticks.tolist() == [True, False, True, True]
    hidden, net = 0.0, KNOWING.chunker
    for symbol, t in ((4, 0), (2, 2), (0, 3)):
        hidden = jax.nn.sigmoid(net.hidden_input[symbol] + net.hidden_self * hidden)
        np.testing.assert_allclose(trajectory.chunker_hidden[t], hidden, rtol=1e-6)


def test_the_chunker_does_not_learn_where_all_but_the_first_input_is_expected():
    automatizer = KNOWING.automatizer
    output_input = automatizer.output_input.at[DELAY - 2, 3].set(9.0)
    knowing = KNOWING._replace(automatizer=automatizer._replace(output_input=output_input))
    learned, _ = FOLLOW(knowing, _sequence(3, [0, 1, 2]), train=True)
    assert_equal(learned.chunker, knowing.chunker)


def test_within_the_tolerance_both_nets_learn_as_if_the_symbol_were_reached():
    """Only A's further output learns as without it; what is unexpected does not change."""
    example = _sequence(3, [0])._replace(length=jnp.int32(1))  # C sees x, and predicts the next
    tolerant = dataclasses.replace(RULE, tolerance=0.5)
    learned, trajectory = tolerant.follow(NETWORKS, example, train=True)
    symbol, target = jnp.int32(3), example.targets[0]
    for net, further, found in (
        (NETWORKS.automatizer, [trajectory.chunker_hidden[0]], learned.automatizer),
        (NETWORKS.chunker, [], learned.chunker),
    ):
        state, outputs = run_net(net, zero_net_state(net), symbol)
        errors = outputs[: DELAY + 1] - target
        is_near = np.abs(errors) <= 0.5
        assert 0 < is_near.sum() < DELAY + 1
        errors = np.append(np.where(is_near, 0, errors), outputs[DELAY + 1 :] - np.array(further))
        assert_close(found, learn(net, state, symbol, outputs, errors, ONE), 1e-5)
    assert trajectory.ticks.all()  # inputs within 0.5 but not within 0.2 are unexpected


def test_without_training_the_outputs_are_the_same_and_no_weight_changes():
    example = _sequence(4, [0, 1, 2])
    unchanged, trajectory = FOLLOW(NETWORKS, example, train=False)
    assert_equal(unchanged, NETWORKS)
    outputs = jax.jit(RULE.outputs)(NETWORKS, example)
    np.testing.assert_allclose(outputs, trajectory.outputs, rtol=1e-6)
    _, in_training = RULE.train_step(NETWORKS, example, 0)
    np.testing.assert_allclose(outputs[0], in_training[0], rtol=1e-6)


def test_padding_changes_nothing():
    example = _sequence(4, [0, 1, 2])
    padded = example._replace(
        inputs=jnp.concatenate([example.inputs, jnp.full(3, 1, jnp.int32)]),
        targets=jnp.concatenate([example.targets, jnp.full((3, DELAY + 1), -7.0)]),
    )
    learned, from_padded = (FOLLOW(NETWORKS, each, train=True)[0] for each in (example, padded))
    assert_close(from_padded, learned, 1e-6)


@functools.partial(jax.jit, static_argnames="noise")
def _train(noise: float) -> Networks:
    """Eight trials of 20,000 sequences."""

    def train(key):
        def body(n, networks):
            example = noisy_task(noise, DELAY).sample(jax.random.fold_in(key, n), None)
            return RULE.train_step(networks, example, n)[0]

        return jax.lax.fori_loop(0, 20_000, body, RULE.init(key))

    return jax.vmap(train)(jax.random.split(jax.random.key(1), 8))


@jax.jit
def _trajectories(networks: Networks, examples: Example) -> Trajectory:
    """Those of every sequence in every trial."""
    follow = functools.partial(RULE.follow, train=False)
    return jax.vmap(jax.vmap(follow, in_axes=(0, None)), in_axes=(None, 0))(networks, examples)[1]


def test_a_predictable_stream_is_reduced_to_its_unpredictable_symbols():
    """C predicts the last symbol from the first one in all trials, A learns it in some."""
    both = [_sequence(first, [0, 1, 2]) for first in (3, 4)]
    examples = jax.tree.map(lambda *a: jnp.stack(a), *both)
    found, targets = _trajectories(_train(0.0), examples), examples.targets
    assert np.all(found.ticks == (np.arange(DELAY) == 0)[None, None])
    assert np.abs(found.chunker_outputs[:, :, -1] - targets[:, None, -1]).max() < 0.25
    solved = np.abs(found.outputs - targets[:, None]).max((0, 2, 3)) < 0.25
    assert 0 < solved.sum() < 8


def test_noise_leaves_the_chunker_nothing_to_reduce():
    """With a random middle, C sees nearly every input, and no trial is solved."""
    keys = jax.random.split(jax.random.key(5), 50)
    examples = jax.vmap(lambda key: noisy_task(1.0, DELAY).sample(key, None))(keys)
    found = _trajectories(_train(1.0), examples)
    assert np.mean(found.ticks) > 0.9
    errors = np.abs(found.outputs - examples.targets[:, None])[:, :, -1].max(-1)
    assert np.all(errors.max(0) > 0.25)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_symbols": 1}, "num_symbols must be an integer of at least 2, got 1"),
        ({"num_symbols": 5, "threshold": 0.0}, "threshold must be positive and"),
        (
            {"num_symbols": 5, "tolerance": -0.1},
            "tolerance must be not negative and a finite number of float32, got -0.1",
        ),
    ],
)
def test_fields_out_of_range_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Chunker(**arguments)
