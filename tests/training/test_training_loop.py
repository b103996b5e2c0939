"""The compiled chunk does what a plain loop does: one sequence, one update, trial by trial."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import oracle
import pytest
from helpers import assert_close, assert_equal, from_oracle, to_oracle
from small_tasks import (
    BATCH_SIZE,
    COPY,
    LATCH,
    make_runner,
    make_update_rule,
    sgd,
    start,
    take_trial,
    training_key,
    trial_key,
)

from lstm_jax.cell.architecture import Architecture
from lstm_jax.cell.parameters import Parameters, initialise
from lstm_jax.cell.scan import Steps
from lstm_jax.network.losses import half_squared_error
from lstm_jax.network.outputs import apply
from lstm_jax.tasks.task import Example, Task
from lstm_jax.training.trials.training_loop import (
    FINAL_TEST,
    INITIAL_WEIGHTS,
    RUNNING,
    TrainingLoop,
)
from lstm_jax.training.update_rules.base import Metrics
from lstm_jax.training.update_rules.construction import STALLED
from lstm_jax.training.update_rules.per_sequence import PerSequenceUpdate

TRIALS = 3
# Float32: some ten roundings of 6e-8 along the few steps of a sequence, relative to the largest.
ROUNDING = 1e-6


def loss(parameters: Parameters, task: Task, example: Example) -> jax.Array:
    """E / 2 of one network on one sequence."""
    outputs, _ = apply(
        task.architecture,
        parameters,
        example.inputs,
        at=task.error_at,
        steps=Steps(length=example.length),
    )
    weights = None
    if task.error_at == "every_step":
        weights = (jnp.arange(task.max_length) < example.length).astype(jnp.float32)
    return half_squared_error(outputs, example.targets, weights)


gradient = jax.jit(jax.grad(loss), static_argnums=1)


@functools.cache
def one_update(task: Task, optimiser: optax.GradientTransformation) -> Any:
    """One update of one trial, from its own sequence."""

    @jax.jit
    def update(parameters, state, key):
        gradient = jax.grad(loss)(parameters, task, task.sample(key, None))
        updates, state = optimiser.update(gradient, state, parameters)
        return optax.apply_updates(parameters, updates), state, gradient

    return update


def oracle_gradient(task: Task, parameters: Parameters, example: Example) -> Parameters:
    """The same by the NumPy oracle, in float64."""
    inputs, steps = np.asarray(example.inputs), task.max_length
    if inputs.ndim == 1:
        inputs = np.eye(task.architecture.num_inputs)[inputs]
    is_real = np.arange(steps) < int(example.length)
    if task.error_at == "every_step":
        targets, weights = np.asarray(example.targets), is_real
    else:
        targets = np.broadcast_to(example.targets, (steps, task.architecture.num_outputs))
        weights = np.arange(steps) == int(example.length) - 1
    net, net_weights = to_oracle(task.architecture, parameters)
    arguments = (np.asarray(inputs, np.float64), targets, weights.astype(float), None, is_real)
    return from_oracle(oracle.gradient(net, net_weights, *arguments))


@pytest.mark.parametrize("task", [LATCH, COPY], ids=lambda task: task.name)
def test_one_update_is_the_weights_minus_a_times_the_gradient(task: Task):
    """With a = 2^20: an update so large that the weights then hold the gradient and little else.

    The gradient is that of `jax.grad` over `apply`, one trial at a time, and the oracle's.
    """
    loop = make_update_rule(optax.sgd(2.0**20), task, chunk=1)
    before = start(loop, TRIALS)
    for number in (0, 17):
        after, report = jax.jit(loop.run_chunk)(before, jnp.int32(number))
        change = jax.tree.map(
            lambda new, old: (old - new) / 2.0**20, after.model.parameters, before.model.parameters
        )
        for trial in range(TRIALS):
            parameters = take_trial(before.model.parameters, trial)
            example = task.sample(training_key(trial, number), None)
            found = take_trial(change, trial)
            assert_close(found, gradient(parameters, task, example), 2 * ROUNDING)
            assert_close(found, oracle_gradient(task, parameters, example), 2 * ROUNDING)
        assert_equal(
            take_trial(after.model.parameters, TRIALS), take_trial(before.model.parameters, TRIALS)
        )  # idle
        np.testing.assert_array_equal(report.sequences, np.arange(BATCH_SIZE) < TRIALS)


def test_trials_start_from_their_own_weights():
    """...drawn from their own key by the task's conditions."""
    trials = start(sgd(LATCH), TRIALS)
    for trial in range(TRIALS):
        expected = initialise(
            jax.random.fold_in(trial_key(trial), INITIAL_WEIGHTS),
            LATCH.architecture,
            init_range=LATCH.hyperparameters.init_range,
            input_gate_bias=LATCH.hyperparameters.input_gate_bias,
        )
        assert_close(take_trial(trials.model.parameters, trial), expected, ROUNDING)
    assert not np.array_equal(trials.model.parameters.output.cell[..., 0], expected.output.cell)


OPTIMISERS = {
    "sgd": optax.sgd(1.0),
    "momentum": optax.sgd(0.3, momentum=0.9, nesterov=True),
    "adam with a schedule": optax.adam(optax.cosine_decay_schedule(0.05, 30)),
    "clipped sgd": optax.chain(optax.clip_by_global_norm(0.12), optax.sgd(1.0)),
}


@pytest.mark.parametrize("name", OPTIMISERS)
@jax.numpy_dtype_promotion("standard")  # as adam needs it
def test_a_chunk_is_a_python_loop_of_single_updates(name: str):
    """...of each trial alone, whatever the optax transformation.

    So the norm by which gradients are clipped is that of one trial's gradient: some are clipped,
    some are not. Rounding errors may grow a little over 25 updates.
    """
    optimiser, count = OPTIMISERS[name], 25
    loop = make_update_rule(optimiser, LATCH, chunk=count)
    trials = start(loop, TRIALS)
    after, report = jax.jit(loop.run_chunk)(trials, jnp.int32(0))
    norms = []
    for trial in range(TRIALS):
        parameters = take_trial(trials.model.parameters, trial)
        state = optimiser.init(parameters)
        for n in range(count):
            parameters, state, gradient = one_update(LATCH, optimiser)(
                parameters, state, training_key(trial, n)
            )
            norms.append(float(optax.tree.norm(gradient)))
        assert_close(take_trial(after.model.parameters, trial), parameters, 20 * ROUNDING)
        assert_close(take_trial(after.model.optimiser_state, trial), state, 20 * ROUNDING)
    assert "clipped" not in name or min(norms) < 0.12 < max(norms)
    np.testing.assert_array_equal(report.sequences[:TRIALS], count)


def test_a_trial_that_has_ended_does_not_change():
    """Parameters, optimiser state and outcome stay as they were right after its last sequence.

    Its final test is that of these very parameters.
    """
    loop = make_update_rule(optax.sgd(2.0, momentum=0.5), LATCH, chunk=1)
    runner = make_runner(loop, range(TRIALS))
    history = [runner.state().trials]
    while not runner.finished:
        runner.run_chunk()
        history.append(runner.state().trials)
    keep = lambda trials: (trials.model, trials.status)
    for result in runner.results():
        assert result.solved
        at_end, last = (take_trial(history[n], result.index) for n in (result.sequences, -1))
        just_before = take_trial(history[result.sequences - 1], result.index)
        assert_equal(keep(at_end), keep(last))
        assert just_before.status == RUNNING and at_end.ended_at == last.ended_at
        assert not np.array_equal(
            just_before.model.parameters.output.bias, last.model.parameters.output.bias
        )
        assert_equal(result.model, last.model)
        _assert_final_test(result)
    assert len({int(n) for n in history[-1].ended_at}) == TRIALS


def _assert_final_test(result: Any) -> None:
    key = jax.random.fold_in(trial_key(result.index), FINAL_TEST)
    keys = jax.vmap(jax.random.fold_in, (None, 0))(key, jnp.arange(LATCH.test_size))

    @jax.jit
    @jax.vmap
    def test(key):
        example = LATCH.sample(key, None)
        outputs, _ = apply(
            LATCH.architecture,
            result.model.parameters,
            example.inputs,
            at="end",
            steps=Steps(length=example.length),
        )
        return LATCH.is_correct(outputs, example), (outputs - example.targets).mean()

    correct, errors = test(keys)
    assert result.test_wrong == np.sum(~correct) and result.test_size == len(keys)
    np.testing.assert_allclose(result.test_error, np.abs(errors).mean(), rtol=ROUNDING)
    np.testing.assert_allclose(result.test_squared_error, np.square(errors).mean(), rtol=1e-5)


def test_sequential_construction():
    """A block joins after each chunk whose mean error is hardly below the last one's.

    Until then nothing of it is learned, while the direct path from the inputs learns.
    """
    task = dataclasses.replace(
        COPY,
        architecture=Architecture(num_inputs=2, blocks=(1, 1), num_outputs=1, input_to_output=True),
        sequential_construction=True,
    )
    loop = sgd(task, chunk=10)
    run_chunk = jax.jit(loop.run_chunk)
    trials, errors = start(loop, TRIALS), np.full((1, TRIALS), np.inf, np.float32)
    joined = np.zeros(TRIALS, int)
    for number in range(0, 60, 10):
        new, report = run_chunk(trials, jnp.int32(number))
        for trial in range(TRIALS):
            before, after = (take_trial(t.model.parameters, trial) for t in (trials, new))
            for block in range(2):
                own = [
                    (w.layer.cell.input[:, block], w.output.cell[block]) for w in (before, after)
                ]
                is_equal = [np.array_equal(a, b) for a, b in zip(*own, strict=True)]
                assert is_equal == [block >= joined[trial]] * 2
            assert not np.array_equal(before.output.input, after.output.input)
        errors = np.vstack([errors, _mean_error(report)])
        joined = np.minimum(joined + (errors[-1] >= np.float32(STALLED) * errors[-2]), 2)
        np.testing.assert_array_equal(new.model.num_blocks[:TRIALS], joined)
        trials = new
    assert joined.max() == 2


def _mean_error(report: Metrics) -> np.ndarray:
    return np.asarray(report.mean_error())[:TRIALS]


@pytest.mark.parametrize(
    ("changes", "chunk", "message"),
    [
        ({}, 1.0, "chunk must be a whole number, at least 1 and below 16777217, got 1.0"),
        ({}, "9", "chunk must be a whole number, at least 1 and below 16777217, got '9'"),
        ({}, 2**40, "chunk must be a whole number, at least 1 and below 16777217"),
        ({"max_sequences": 2**31}, 9, "max_sequences must be a whole number, at least 1 and below"),
    ],
)
def test_numbers_out_of_range_are_named(changes: dict[str, Any], chunk: Any, message: str):
    task = dataclasses.replace(LATCH, **changes)
    with pytest.raises(ValueError, match=message):
        TrainingLoop(task, PerSequenceUpdate(task, optax.sgd(1.0)), chunk)
