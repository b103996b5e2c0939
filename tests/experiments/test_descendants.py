"""The claims about the cell's descendants: their tasks and their measures."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import assert_close, assert_equal, quick_jit

from experiments.claims import composed, continual, how_far
from experiments.claims.base import ClaimOptions, band
from experiments.claims.continual import START, StreamState, StreamTraining, follow
from lstm_jax.network.layer import apply
from lstm_jax.network.losses import LOSSES
from lstm_jax.tasks import reber
from lstm_jax.training.trials.runner import TrialRunner

QUIET = ClaimOptions(trials=2, quiet=True)
TRAINING = continual.make_training()
NET = TRAINING.architecture
learn = quick_jit(StreamTraining.learn, static_argnums=0)


@pytest.fixture
def as_a_user() -> Iterator[None]:
    with jax.numpy_dtype_promotion("standard"):
        yield


def test_the_continual_stream_consists_of_strings_of_task_1():
    node, text, legal = jnp.int32(START), "", []
    for bit in np.random.default_rng(0).integers(0, 2, 300):
        legal.append({int(follow(node, choice)[1]) for choice in range(2)})
        node, symbol = follow(node, bit)
        text += reber.SYMBOLS[symbol]
    is_end = lambda i: text[i] == "E" and legal[i + 1] == {reber.SYMBOLS.index("B")}
    ends = [i for i in range(299) if is_end(i)]
    strings = [text[a + 1 : b + 1] for a, b in zip([-1, *ends], ends, strict=False)]
    assert len(strings) > 15
    for one in strings:
        inner = 0
        assert one[0] == "B" and one[1] == one[-2] and one[-1] == "E"
        for symbol in one[2:-2]:
            inner = dict(reber.INNER_GRAMMAR[inner])[symbol]
        assert inner is None


def test_a_prediction_is_right_if_all_legal_symbols_are_above_all_illegal_ones():
    node = follow(jnp.int32(START), 0)[0]  # then T or P
    outputs = np.zeros(7, np.float32)
    outputs[[reber.SYMBOLS.index(s) for s in "TP"]] = 0.2, 0.9
    assert continual.is_right(outputs, node)
    for symbol, value in (("B", 0.3), ("T", 0.0)):
        other = outputs.copy()
        other[reber.SYMBOLS.index(symbol)] = value
        assert not continual.is_right(other, node)


@pytest.mark.parametrize("name", ["squared", "cross_entropy"])
def test_the_first_step_of_a_stream_is_gradient_descent(name: str):
    hyperparameters = dataclasses.replace(TRAINING.hyperparameters, loss=LOSSES[name])
    training = dataclasses.replace(TRAINING, hyperparameters=hyperparameters)
    state = training.init(jax.random.key(0))
    parameters = state.learner.parameters
    target = jax.nn.one_hot(follow(state.node, 1)[1], 7)

    def loss(parameters) -> jax.Array:
        linear = dataclasses.replace(NET, output="identity")
        net, _ = apply(linear, parameters, state.symbol[None])
        return LOSSES[name](net, target[None])

    gradient = quick_jit(jax.grad(loss))(parameters)
    after = learn(training, state, jnp.array([1]))
    rate = continual.LEARNING_RATE
    expected = jax.tree.map(lambda w, g: w - rate * g, parameters, gradient)
    assert_close(after.learner.parameters, expected, 1e-6)


def test_a_stream_ends_with_its_first_wrong_prediction():
    bits = jnp.asarray(np.random.default_rng(1).integers(0, 2, 60))
    states: list[StreamState] = [TRAINING.init(jax.random.key(1))]
    for bit in bits:
        states.append(learn(TRAINING, states[-1], bit[None]))
    for before, after in itertools.pairwise(states):
        internal_state = after.learner.state.internal_state
        if after.streams > before.streams:
            assert after.right == 0 and not np.any(internal_state)
            assert after.symbol == reber.SYMBOLS.index("B")
        else:
            assert after.right == before.right + 1 and np.any(internal_state)
    assert states[-1].longest == max(state.right for state in states)
    assert 0 < states[-1].streams < 60
    assert_close(learn(TRAINING, states[0], bits[:20]), states[20], 1e-5)  # at once


def test_a_reset_comes_with_the_end_of_every_string():
    training = dataclasses.replace(TRAINING, reset=True)
    state = training.init(jax.random.key(0))._replace(node=jnp.int32(START))
    after = learn(training, state, jnp.array([0]))
    assert not np.any(after.learner.state.internal_state)
    assert_equal(after.symbol, jnp.int32(reber.SYMBOLS.index("B")))
    without = learn(TRAINING, state, jnp.array([0]))
    assert np.any(without.learner.state.internal_state) == (without.streams == 0)


def test_the_longest_streams_are_those_of_the_trials(monkeypatch: pytest.MonkeyPatch):
    for name, value in (("CHUNK", 40), ("MAX_SYMBOLS", 80), ("DISPLAYED", 30)):
        monkeypatch.setattr(continual, name, value)
    found = continual.train(TRAINING, QUIET)
    assert found["symbols"] == [40, 80] and found["solved"] == 0
    state = continual.init(TRAINING, QUIET)
    for chunk in range(2):
        state = jax.vmap(TRAINING.learn)(state, continual.draw_bits(QUIET, chunk, 40))
        assert found["longest_by"][chunk] == band([state.longest], 1)[0]
    assert found["longest"] == state.longest.tolist()
    assert found["streams"] == state.streams.tolist()
    assert np.shape(found["states"]) == (3, 3) and np.all(np.array(found["states"]) >= 0)


def test_the_targets_of_echo_are_the_previous_and_the_next_bit():
    inputs, targets = map(np.asarray, composed.echo("both").sample(jax.random.key(0)))
    bits = (inputs[:, 0] + 1) / 2
    assert set(bits) == {0.0, 1.0}
    for step in range(composed.STEPS):
        assert targets[step].tolist() == [bits[step], bits[step + 2]]  # it is step + 1 of the bits


@pytest.mark.parametrize(
    ("directions", "depends"),
    [("forward", (True, False)), ("backward", (False, True)), ("both", (True, True))],
)
def test_one_direction_depends_on_one_of_the_bits_alone(
    directions: str, depends: tuple[bool, bool]
):
    model = composed.echo(directions)
    weights = model.init(jax.random.key(1))
    inputs, _ = model.sample(jax.random.key(0))
    step = 5  # of the targets, which are the bits at step and step + 2
    net = jax.jit(model.net)
    nets = [net(weights, inputs.at[index].multiply(-1)) for index in (step, step + 2)]
    assert tuple(bool(np.any(n[step] != net(weights, inputs)[step])) for n in nets) == depends


def test_the_target_of_recall_is_the_value_of_the_last_key():
    sample = jax.jit(composed.recall(attention=True).sample)
    for seed in range(5):
        inputs, target = map(np.asarray, sample(jax.random.key(seed)))
        key_of = lambda row: int(row[: composed.PAIRS].argmax())
        pairs = {key_of(row): row[composed.PAIRS :] for row in inputs[:-1]}
        assert len(pairs) == composed.PAIRS
        assert_equal(pairs[key_of(inputs[-1])], target)
        assert not np.any(inputs[-1, composed.PAIRS :])


@pytest.mark.usefixtures("as_a_user")  # Adam mixes dtypes, which tests forbid
def test_a_trial_counts_up_to_its_first_wrong_string(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(how_far, "MAX_N", {2: 12})
    loop = next(iter(how_far.counting().values()))
    task = dataclasses.replace(loop.task, max_sequences=200)
    rule = dataclasses.replace(loop.update_rule, task=task)
    loop = dataclasses.replace(loop, task=task, update_rule=rule, chunk=100)
    found = how_far.count(loop, QUIET)
    runner = TrialRunner(loop, range(2), seed=0)
    runner.run()
    model = runner.state().trials.model
    right = []
    compute = jax.jit(loop.update_rule.outputs)
    for n in range(1, 13):
        example = how_far.string(n, 2, 12)
        batch = jax.tree.map(lambda a: jnp.stack([a, a], -1), example)
        outputs = compute(model, batch)
        right.append([bool(task.is_correct(outputs[..., trial], example)) for trial in range(2)])
    expected = [[*column, False].index(False) for column in zip(*right, strict=True)]
    assert found["furthest"] == expected


@pytest.mark.parametrize(("kind", "late"), [("measuring", (1, 0, 1)), ("generating", (0, 1, 1))])
def test_steps_are_right_up_to_the_first_output_too_far_away(kind, late: tuple):
    example = how_far.spike_train(kind, jnp.array(late, jnp.int32), 4)
    length = int(example.length)
    outputs = np.array(example.targets)
    outputs[length:] = 0.7  # padding
    assert how_far.right_steps(outputs[..., None], example) == [length]
    for wrong in (length - 1, 6, 0):
        outputs[wrong] = 1 - outputs[wrong]
        assert how_far.right_steps(outputs[..., None], example) == [wrong]


def test_variants_of_timing_differ_in_peepholes_alone():
    for kind, period, cells in how_far.TASKS:
        with_, without = (
            how_far.timing_loop(kind, period, cells, peepholes=peepholes).task
            for peepholes in (True, False)
        )
        assert with_.architecture == dataclasses.replace(without.architecture, peepholes=True)
        same = {"architecture": with_.architecture, "sample": with_.sample}
        assert with_ == dataclasses.replace(without, **same)
