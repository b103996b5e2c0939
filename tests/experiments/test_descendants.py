"""The claims about the cell's descendants: their tasks and their measures."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers import assert_close, assert_equal, quick_jit

from experiments.claims import composed, continual, counting, timing
from experiments.claims.base import ClaimOptions, repeat
from experiments.claims.continual import START, StreamState, StreamTraining, follow
from lstm_jax.cell.step import zero_state
from lstm_jax.network.layer import apply
from lstm_jax.network.losses import LOSSES
from lstm_jax.tasks import reber
from lstm_jax.training.trials.runner import TrialRunner
from lstm_jax.training.trials.training_loop import TrainingLoop
from lstm_jax.training.update_rules.per_sequence import PerSequenceUpdate

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


def test_a_stream_may_end_after_a_number_of_right_predictions():
    state = TRAINING.init(jax.random.key(0))
    says_b = jnp.where(jnp.arange(7) == reber.SYMBOLS.index("B"), 5.0, -5.0)
    output = jax.tree.map(jnp.zeros_like, state.learner.parameters.output)._replace(bias=says_b)
    parameters = state.learner.parameters._replace(output=output)
    learner = state.learner._replace(parameters=parameters)
    state = state._replace(learner=learner, right=jnp.int32(2), node=jnp.int32(START))
    for most, right, streams in ((None, 3, 0), (4, 3, 0), (3, 0, 1)):
        training = dataclasses.replace(TRAINING, most=most)
        after = learn(training, state, jnp.array([0]))
        assert (after.right, after.streams, after.longest) == (right, streams, 3)
        assert np.any(after.learner.state.internal_state) == (streams == 0)


def test_a_falling_rate_falls_after_every_chunk(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(continual, "CHUNK", 2)
    optimiser = dataclasses.replace(TRAINING, falling=True).optimiser
    state, steps = optimiser.init(jnp.float32(1)), []
    for _ in range(5):
        update, state = optimiser.update(jnp.float32(-1), state)
        steps.append(float(update))
    rate = continual.LEARNING_RATE * continual.FALLING ** np.array([0, 0, 1, 1, 2])
    np.testing.assert_allclose(steps, rate, rtol=1e-5)


def test_test_streams_are_counted_up_to_their_first_wrong_prediction(
    monkeypatch: pytest.MonkeyPatch,
):
    for name, value in (("CHUNK", 30), ("LENGTH", 90), ("STREAMS", 2)):
        monkeypatch.setattr(continual, name, value)
    draw = lambda key: TRAINING.init(key).learner.parameters
    parameters = jax.vmap(draw)(jax.random.split(jax.random.key(0), 2))
    knows_all = jax.tree.map(jnp.zeros_like, parameters.output)  # every legal symbol is above 0
    for weights in (parameters, parameters._replace(output=knows_all)):
        found = continual.test(TRAINING, weights, QUIET)
        rng = np.random.default_rng([QUIET.seed, QUIET.trials, continual.MAX_SYMBOLS])
        bits = np.concatenate([rng.integers(0, 2, (2, 30), np.int32) for _ in range(3)], axis=1)
        for trial, stream in np.ndindex(2, 2):
            own = jax.tree.map(lambda w, trial=trial: w[trial], weights)
            node, symbols, nodes = jnp.int32(START), [], []
            for bit in bits[stream]:
                node, symbol = follow(node, bit)
                symbols.append(int(symbol))
                nodes.append(node)
            outputs, _ = apply(NET, own, np.array(symbols))
            right = [bool(continual.is_right(o, n)) for o, n in zip(outputs, nodes, strict=True)]
            assert found[trial, stream] == [*right, False].index(False)


def test_with_resets_a_test_sees_the_last_string_alone():
    training = dataclasses.replace(TRAINING, reset=True)
    parameters = training.init(jax.random.key(0)).learner.parameters
    bits = jnp.asarray(np.random.default_rng(2).integers(0, 2, 40))
    node, symbols, first = jnp.int32(START), [], 0
    for n, bit in enumerate(bits):
        first = n if node == START else first
        node, symbol = follow(node, bit)
        symbols.append(int(symbol))
    assert first > 0
    zeros = (jnp.int32(START), jnp.int32(0), jnp.bool_(True))
    at = continual.TestState(zero_state(NET), *zeros)
    found = continual._test_chunk(training, parameters, at, bits).state
    assert_close(found, apply(NET, parameters, np.array(symbols[first:]))[1], 1e-6)
    without = continual._test_chunk(TRAINING, parameters, at, bits).state
    assert not np.allclose(without.internal_state, found.internal_state)


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


def test_a_trial_counts_up_to_its_first_wrong_string():
    task = counting.make_task(2, 4, peepholes=True)
    task = dataclasses.replace(task, max_sequences=400)
    loop = TrainingLoop(task, PerSequenceUpdate(task, optax.sgd(0.05)), chunk=400)
    runner = TrialRunner(loop, range(2))
    runner.run_chunk()
    model = runner.state().trials.model
    right, compute = [], jax.jit(loop.update_rule.outputs)
    for n in range(1, 30):
        example = counting.string(n, 2, 29)
        outputs = compute(model, repeat(example, 2))
        right.append([bool(task.is_correct(outputs[..., trial], example)) for trial in range(2)])
    expected = [[*column, False].index(False) for column in zip(*right, strict=True)]
    assert counting.largest_n(loop, 2, model, 29).tolist() == expected
    at_least = counting.largest_n(loop, 2, model, 5)
    assert at_least.tolist() == [min(n, 5) for n in expected]


GENERATING = timing.Timing("generating", 4, 2.0, peepholes=True)


def spikes_of(one: timing.Timing, bits: list[int], steps: int) -> list[timing.Step]:
    at, found = timing.start(), []
    for n in range(steps):
        at, step = timing.take_step(one, at, jnp.int32(bits[n % len(bits)]))
        found.append(step)
    return found


def test_spikes_come_after_f_or_one_step_more():
    bits = np.random.default_rng(0).integers(0, 2, 200).tolist()
    steps = spikes_of(GENERATING, bits, 200)
    at = [n for n, step in enumerate(steps) if step.is_spike]
    lateness = np.diff([-1, *at]) - GENERATING.period
    assert {*lateness} == {0, 1}
    for first, last, late in zip([-1, *at], at, lateness, strict=False):
        assert {float(s.x_t[0]) for s in steps[first + 1 : last + 1]} == {late}
        assert [float(s.target[0]) for s in steps[first + 1 : last + 1]] == [0.0] * (
            last - first - 1
        ) + [1.0]
    measured = spikes_of(dataclasses.replace(GENERATING, mode="measuring"), bits, 200)
    assert [float(s.x_t[0]) for s in measured] == [float(s.target[0]) for s in steps]
    assert [bool(s.has_target) for s in measured] == [bool(s.is_spike) for s in measured]
    assert [float(s.target[0]) for s in measured if s.is_spike] == [*map(float, lateness)]


@pytest.mark.parametrize("mode", ["cosine", "triangle", "rectangle"])
def test_periodic_functions_start_at_1_and_have_their_period(mode: timing.Mode):
    one = dataclasses.replace(GENERATING, mode=mode)
    values = [float(s.target[0]) for s in spikes_of(one, [1, 0], 12)]
    assert values[0] == 1.0 and values[2] == pytest.approx(-1.0)
    assert values[:4] == values[4:8] == values[8:]
    assert [bool(s.is_spike) for s in spikes_of(one, [1, 0], 8)] == [False] * 3 + [True] + [
        False
    ] * 3 + [True]


def test_a_stream_of_timing_ends_with_a_wrong_output_or_after_its_spikes(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(timing, "STREAM", 2)
    state = timing.init(GENERATING, jax.random.key(0))
    learn = jax.jit(timing.learn, static_argnums=0)
    always_0 = jax.tree.map(lambda w: w - 10, state.learner.parameters.output)
    state = state._replace(
        learner=state.learner._replace(
            parameters=state.learner.parameters._replace(output=always_0)
        )
    )
    for _ in range(3):  # right, as the target is 0
        state = learn(GENERATING, state, jnp.int32(0))
    assert state.interval.step == 3 and state.spikes == 0
    wrong = learn(GENERATING, state, jnp.int32(0))  # the spike
    assert wrong.interval.step == 0 and wrong.spikes == 0 and wrong.streams == 0
    always_1 = jax.tree.map(lambda w: w + 20, always_0)
    knows = state.learner.parameters._replace(output=always_1)
    right = state._replace(spikes=jnp.int32(1))
    right = right._replace(learner=right.learner._replace(parameters=knows))
    right = learn(GENERATING, right, jnp.int32(0))
    assert right.streams == 1 and right.spikes == 0
    assert not np.any(right.learner.state.internal_state)


def test_right_spikes_are_those_before_the_first_wrong_output(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(timing, "TESTED", 3)
    one = timing.Timing("measuring", 3, 2.0, peepholes=False)
    parameters = timing.init(one, jax.random.key(0)).learner.parameters
    two = jax.tree.map(lambda w: jnp.stack([w, w]), parameters)
    says = lambda bias: two._replace(
        output=two.output._replace(
            cell=jnp.zeros_like(two.output.cell), bias=jnp.full_like(two.output.bias, bias)
        )
    )
    bits = lambda first: jnp.array([*first, *[0] * 14], jnp.int32)  # read as intervals begin
    assert timing.right_spikes(one, says(-9.0), bits([0] * 4)).tolist() == [3, 3]
    assert timing.right_spikes(one, says(9.0), bits([0] * 4)).tolist() == [0, 0]
    assert timing.right_spikes(one, says(-9.0), bits([0, 0, 0, 1])).tolist() == [1, 1]


def test_variants_of_timing_and_of_counting_differ_in_peepholes_alone():
    for first, second in zip(*[iter(timing.timings().values())] * 2, strict=True):
        assert first == dataclasses.replace(second, peepholes=True) and not second.peepholes
    tasks = [counting.make_task(2, 10, peepholes=p) for p in (True, False)]
    assert tasks[0] == dataclasses.replace(tasks[1], architecture=tasks[0].architecture)
    without = dataclasses.replace(tasks[0].architecture, peepholes=False)
    assert without == tasks[1].architecture


@pytest.mark.parametrize("peepholes", [True, False])
def test_networks_of_timing_have_the_published_number_of_weights(peepholes: bool):
    net = dataclasses.replace(GENERATING, peepholes=peepholes).architecture
    assert net.num_weights == (17 if peepholes else 14)
