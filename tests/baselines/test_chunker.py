"""The neural sequence chunker."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import assert_close, assert_equal, quick_jit

from lstm_jax.baselines.chunker import (
    Chunker,
    NetWeights,
    Pair,
    Sight,
    Trajectory,
    learn,
    noisy_task,
    run_net,
    sample_noisy,
    zero_net_state,
)
from lstm_jax.tasks import make_task, noise_free
from lstm_jax.tasks.task import Example

DELAY = 4  # p: symbols a_1 a_2 a_3 x y


@pytest.fixture
def double() -> Iterator[None]:
    """Double precision for one test; the other ones train in float32, as trials do."""
    with jax.enable_x64(True):
        yield


def _weights(inputs: int, outputs: int, seed: int = 0) -> NetWeights:
    rng = np.random.default_rng(seed)
    shapes = ((inputs,), (), (inputs, outputs), (outputs,))
    return NetWeights(*(jnp.asarray(rng.uniform(-1.5, 1.5, shape)) for shape in shapes))


def _outputs(weights: NetWeights, symbols, times):
    """All outputs of a net, by its plain equations; [T, K]."""
    hidden, outputs = 0.0, []
    for symbol, time in zip(symbols, times, strict=True):
        x = np.zeros(len(weights.hidden_input))
        x[symbol] = 1.0
        if time is not None:
            x[-1] = time
        hidden = jax.nn.sigmoid(weights.hidden_input @ x + weights.hidden_self * hidden)
        net = x @ weights.output_input + weights.output_hidden * hidden
        outputs.append(jax.nn.sigmoid(net))
    return outputs


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize("has_time", [False, True])
def test_a_step_of_learning_goes_down_the_exact_gradient(has_time):
    """Forward traces give what autodiff through all steps gives: the error of the last step."""
    rng = np.random.default_rng(1)
    weights, target = _weights(4 + has_time, 3), rng.random(3)
    symbols = rng.integers(0, 4, 6)
    times = rng.random(6) if has_time else [None] * 6

    state = zero_net_state(weights)
    for symbol, time in zip(symbols, times, strict=True):
        sight = Sight(jnp.asarray(symbol), None if time is None else jnp.asarray(time))
        state, outputs = run_net(weights, state, sight)
    learned = learn(weights, state, sight, outputs, outputs - target, jnp.asarray(0.7))
    steps = jax.tree.map(lambda new, old: (old - new) / 0.7, learned, weights)

    def half_squared_error(weights):
        return 0.5 * jnp.sum((_outputs(weights, symbols, times)[-1] - target) ** 2)

    np.testing.assert_allclose(outputs, _outputs(weights, symbols, times)[-1], rtol=1e-12)
    assert_close(steps, quick_jit(jax.grad(half_squared_error))(weights))


def test_the_pair_has_the_papers_weights():
    """10,404 of the net of task 2a, and 102 of A's further output."""
    pair = Chunker(101).init(jax.random.key(0))
    counts = [sum(w.size for w in jax.tree.leaves(net)) for net in pair]
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


def _sequence(first: int, middle) -> Example:
    symbols = np.array([first, *middle, first], np.int32)
    targets = jnp.eye(DELAY + 1)[symbols[1:]]
    return Example(jnp.asarray(symbols[:-1]), targets, targets, jnp.int32(DELAY))


METHOD = Chunker(DELAY + 1, init_range=2.0)
FOLLOW = functools.partial(jax.jit, static_argnames="learning")(METHOD.follow)


def test_the_chunker_is_not_clocked_on_predicted_inputs():
    """Where A predicts the middle, C sees the first symbol alone and stands still after it."""
    pair = METHOD.init(jax.random.key(0))._replace(automatizer=_knowing(DELAY + 1))
    _, course = FOLLOW(pair, _sequence(3, [0, 1, 2]), train=False)
    assert course.ticks.tolist() == [True, False, False, False]
    assert len(set(course.chunker_hidden.tolist())) == 1
    assert np.all(course.chunker_outputs == course.chunker_outputs[:1])


def test_the_chunker_is_clocked_on_what_was_not_predicted():
    """After a_1, A expects a_2: here a_3 comes, after which it expects the end, but a_1 comes."""
    pair = METHOD.init(jax.random.key(0))._replace(automatizer=_knowing(DELAY + 1))
    _, course = FOLLOW(pair, _sequence(4, [0, 2, 0]), train=False)
    assert course.ticks.tolist() == [True, False, True, True]

    seen, hidden = pair.chunker, 0.0
    for symbol, t in ((4, 0), (2, 2), (0, 3)):  # C's own time goes on at its ticks only
        hidden = jax.nn.sigmoid(seen.hidden_input[symbol] + seen.hidden_self * hidden)
        np.testing.assert_allclose(course.chunker_hidden[t], hidden, rtol=1e-6)


def test_the_chunker_learns_the_next_unexpected_input_from_the_last_one():
    """Over a predicted middle: from the first symbol, it is the last one that it learns."""
    pair = METHOD.init(jax.random.key(0))._replace(automatizer=_knowing(DELAY + 1))
    example = _sequence(3, [0, 1, 2])
    learned, course = FOLLOW(pair, example, loop=True)
    sight = Sight(jnp.int32(3), None)
    state, outputs = run_net(pair.chunker, zero_net_state(pair.chunker), sight)
    errors = outputs - example.targets[-1]
    expected = learn(pair.chunker, state, sight, outputs, errors, jnp.float32(1.0))
    assert_close(learned.chunker, expected, 1e-5)
    assert course.ticks.sum() == 1


def test_within_the_tolerance_both_nets_learn_as_if_the_symbol_were_reached():
    """A's further output alone learns as ever, and what is unexpected stays so."""
    pair = METHOD.init(jax.random.key(0))
    example = _sequence(3, [0])._replace(length=jnp.int32(1))  # C sees x, and predicts the next
    tolerant = dataclasses.replace(METHOD, tolerance=0.5)
    learned, course = tolerant.follow(pair, example, loop=True)
    sight, target = Sight(jnp.int32(3), None), example.targets[0]
    _, of_c = run_net(pair.chunker, zero_net_state(pair.chunker), sight)
    for net, further, found in (
        (pair.automatizer, [course.chunker_hidden[0]], learned.automatizer),
        (pair.chunker, [], learned.chunker),
    ):
        state, outputs = run_net(net, zero_net_state(net), sight)
        errors = outputs[: DELAY + 1] - target
        is_near = np.abs(errors) <= 0.5
        assert 0 < is_near.sum() < DELAY + 1
        errors = np.append(np.where(is_near, 0, errors), outputs[DELAY + 1 :] - np.array(further))
        expected = learn(net, state, sight, outputs, errors, jnp.float32(1.0))
        assert_close(found, expected, 1e-5)
    assert course.ticks.all()  # an error of 0.2 to 0.5 is none, but still unexpected
    np.testing.assert_allclose(course.chunker_outputs[0], of_c, rtol=1e-6)


def test_nothing_is_learned_from_where_everything_is_known():
    """C keeps its weights where no input is unexpected after the first."""
    knowing = _knowing(DELAY + 1)
    knowing = knowing._replace(output_input=knowing.output_input.at[DELAY - 2, 3].set(9.0))
    pair = METHOD.init(jax.random.key(0))._replace(automatizer=knowing)
    learned, _ = FOLLOW(pair, _sequence(3, [0, 1, 2]), loop=True)
    assert_equal(learned.chunker, pair.chunker)


def test_without_learning_the_outputs_are_those_of_training_and_no_weight_moves():
    pair = METHOD.init(jax.random.key(0))
    example = _sequence(4, [0, 1, 2])
    kept, course = FOLLOW(pair, example, train=False)
    assert_equal(kept, pair)
    outputs = jax.jit(METHOD.outputs)(pair, example)
    np.testing.assert_allclose(outputs, course.outputs, rtol=1e-6)
    _, in_training = METHOD.train_step(pair, example, 0)
    np.testing.assert_allclose(outputs[0], in_training[0], rtol=1e-6)


def test_padding_changes_nothing():
    pair, example = METHOD.init(jax.random.key(0)), _sequence(4, [0, 1, 2])
    padded = Example(
        jnp.concatenate([example.inputs, jnp.full(3, 1, jnp.int32)]),
        jnp.concatenate([example.targets, jnp.full((3, DELAY + 1), -7.0)]),
        example.true_targets,
        example.length,
    )
    learned, _ = FOLLOW(pair, example, loop=True)
    from_padded, _ = FOLLOW(pair, padded, loop=True)
    assert_close(from_padded, learned, 1e-6)


def test_time_is_seen_by_the_chunker_alone():
    with_time = Chunker(DELAY + 1, time_input=True)
    pair = with_time.init(jax.random.key(0))
    assert [len(net.hidden_input) for net in pair] == [DELAY + 1, DELAY + 2]
    pair = pair._replace(automatizer=_knowing(DELAY + 1))
    _, course = with_time.follow(pair, _sequence(4, [0, 2, 0]), train=False)
    chunker, hidden = pair.chunker, 0.0
    for symbol, t in ((4, 0), (2, 2), (0, 3)):
        net = chunker.hidden_input[symbol] + chunker.hidden_input[-1] * (t / DELAY)
        hidden = jax.nn.sigmoid(net + chunker.hidden_self * hidden)
        np.testing.assert_allclose(course.chunker_hidden[t], hidden, rtol=1e-6)


@functools.partial(jax.jit, static_argnames=("sequences", "trials"))
def _train(noise: jax.Array, sequences: int = 20_000, trials: int = 8) -> Pair:
    def train(key):
        def body(n, pair):
            example = sample_noisy(jax.random.fold_in(key, n), DELAY, noise)
            return METHOD.train_step(pair, example, n)[0]

        return jax.lax.fori_loop(0, sequences, body, METHOD.init(key))

    return jax.vmap(train)(jax.random.split(jax.random.key(1), trials))


@functools.cache
def _trained(noise: float) -> Pair:
    return _train(jnp.float32(noise))


@jax.jit
def _courses(pair: Pair, examples: Example) -> Trajectory:
    """Of every sequence in every trial."""
    follow = functools.partial(METHOD.follow, train=False)
    return jax.vmap(jax.vmap(follow, in_axes=(0, None)), in_axes=(None, 0))(pair, examples)[1]


def _both() -> Example:
    """The two sequences of 2a."""
    both = [_sequence(first, [0, 1, 2]) for first in (3, 4)]
    return jax.tree.map(lambda *a: jnp.stack(a), *both)


def test_a_predictable_stream_is_reduced_to_its_unpredictable_symbols():
    """C gets the first symbol alone, and predicts the last one from it, in every trial."""
    courses, targets = _courses(_trained(0.0), _both()), _both().targets
    assert np.all(courses.ticks == (np.arange(DELAY) == 0)[None, None])
    assert np.abs(courses.chunker_outputs[:, :, -1] - targets[:, None, -1]).max() < 0.25


def test_what_the_chunker_knows_goes_over_to_the_automatizer_in_some_trials():
    """A then predicts every symbol by itself, and keeps C's hidden unit to the end."""
    courses, targets = _courses(_trained(0.0), _both()), _both().targets
    solved = np.abs(courses.outputs - targets[:, None]).max((0, 2, 3)) < 0.25
    assert 0 < solved.sum() < 8
    kept = np.abs(courses.matched[0] - courses.matched[1])[:, -1]  # of the first symbol
    assert kept[solved].min() > 10 * kept[~solved].max()


def test_noise_leaves_the_chunker_nothing_to_reduce():
    """With a random middle, C is clocked at every step, and no trial is solved."""
    keys = jax.random.split(jax.random.key(5), 50)
    examples = jax.vmap(lambda key: sample_noisy(key, DELAY, 1.0))(keys)
    courses = _courses(_trained(1.0), examples)
    assert np.mean(courses.ticks) > 0.9
    errors = np.abs(courses.outputs - examples.targets[:, None])[:, :, -1].max(-1)
    assert np.all(errors.max(0) > 0.25)


def test_without_noise_the_stream_is_that_of_2a():
    for key in jax.random.split(jax.random.key(0), 4):
        quiet = sample_noisy(key, 10, 0.0)
        assert quiet.inputs[1:].tolist() == list(range(9))
        assert_equal(quiet.targets[-1].argmax(), quiet.inputs[0].astype(jnp.int32))
        assert jax.tree.map(jnp.shape, quiet) == jax.tree.map(
            jnp.shape, noise_free.sample_noise_free(key, 10, is_random=False)
        )


@pytest.mark.parametrize("noise", [0.3, 1.0])
def test_each_middle_symbol_is_replaced_with_the_noise_s_probability(noise):
    """By any middle symbol, itself included: at 1 the stream is that of 2b."""
    batch = noisy_task(noise, delay=11).sample_batch(jax.random.key(0), 4000)
    middle = np.asarray(batch.inputs)[:, 1:]
    is_other = middle != np.arange(10)[None]
    assert abs(is_other.mean() - 0.9 * noise) < 4 * np.sqrt(0.25 / is_other.size)
    # What replaces the first middle symbol, a_1, is uniform among the nine others.
    counts = np.bincount(middle[is_other[:, 0], 0], minlength=10)[1:]
    assert np.abs(counts - counts.mean()).max() < 5 * np.sqrt(counts.mean())


def test_noisy_tasks_are_judged_at_the_end():
    task = noisy_task(0.5)
    assert task.architecture == make_task("2b").architecture
    example = task.sample(jax.random.key(0), None)
    outputs = example.true_targets.at[3, 7].add(0.3)
    assert task.is_correct(outputs, example)
    assert not task.is_correct(outputs.at[-1, 7].add(0.3), example)
    assert task.published.success_rate is None


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Chunker(1), "num_symbols must be at least 2, got 1"),
        (lambda: Chunker(5, threshold=0.0), "threshold must be positive, got 0.0"),
        (lambda: Chunker(5, tolerance=-0.1), "tolerance must not be negative, got -0.1"),
        (lambda: noisy_task(1.5), r"noise must be in \[0, 1\], got 1.5"),
    ],
)
def test_arguments_outside_their_range_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
