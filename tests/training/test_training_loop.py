"""The compiled chunk is a plain loop: one sequence, one update, trial by trial."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers import assert_close, assert_equal
from small_tasks import (
    BATCH_SIZE,
    COPY,
    LATCH,
    make_loop,
    make_runner,
    oracle_gradient,
    sgd,
    start,
    take_trial,
    training_key,
    trial_key,
)

from lstm_jax import tasks
from lstm_jax.cell.architecture import Architecture
from lstm_jax.cell.parameters import initialise
from lstm_jax.cell.records import Parameters
from lstm_jax.cell.scan import Steps
from lstm_jax.network.layer import apply
from lstm_jax.network.losses import LOSSES, half_squared_error
from lstm_jax.tasks import Hyperparameters, within
from lstm_jax.tasks.task import Example, Task
from lstm_jax.training.trials.records import TrialResult
from lstm_jax.training.trials.training_loop import (
    FINAL_TEST,
    INITIAL_WEIGHTS,
    RUNNING,
    TrainingLoop,
)
from lstm_jax.training.update_rules.per_sequence import STALLED

TRIALS = 3
# Float32: some ten roundings of 6e-8 along the few steps of a sequence, relative to the largest.
ROUNDING = 1e-6


@pytest.mark.parametrize("task", [LATCH, COPY], ids=lambda task: task.name)
def test_one_update_is_the_weights_minus_a_times_the_gradient(task: Task):
    """The gradient is the oracle's.

    With a = 2^20, the update is so large that the new weights are the gradient and little else.
    """
    loop = make_loop(optax.sgd(2.0**20), task, chunk=1)
    before, run_chunk = start(loop, TRIALS), jax.jit(loop.run_chunk)
    for number in (0, 17):
        after, metrics = run_chunk(before, jnp.int32(number))
        weights, new = before.model.parameters, after.model.parameters
        change = jax.tree.map(lambda a, b: (b - a) / 2.0**20, new, weights)
        for trial in range(TRIALS):
            example = task.sample(training_key(trial, number), None)
            expected = oracle_gradient(task, take_trial(weights, trial), example)
            assert_close(take_trial(change, trial), expected, 2 * ROUNDING)
        assert_equal(take_trial(new, TRIALS), take_trial(weights, TRIALS))  # idle
        np.testing.assert_array_equal(metrics.sequences, np.arange(BATCH_SIZE) < TRIALS)


def test_a_trial_starts_from_weights_that_are_drawn_from_its_key():
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


def outputs_of(parameters: Parameters, example: Example) -> jax.Array:
    steps = Steps(length=example.length)
    return apply(LATCH.architecture, parameters, example.inputs, at="end", steps=steps)[0]


@pytest.mark.parametrize("name", OPTIMISERS)
@jax.numpy_dtype_promotion("standard")  # as Adam needs it
def test_a_chunk_is_a_python_loop_of_single_updates(name: str):
    """Each trial has its own optimiser state, whatever the optax transformation.

    The norm for clipping is therefore that of one trial's gradient: some are clipped, some are not.
    Rounding errors may grow a little over 25 updates.
    """
    optimiser, count, norms = OPTIMISERS[name], 25, []
    loop = make_loop(optimiser, LATCH, chunk=count)
    trials = start(loop, TRIALS)
    after, metrics = jax.jit(loop.run_chunk)(trials, jnp.int32(0))

    @jax.jit
    def update(parameters: Parameters, state, key: jax.Array) -> tuple:
        example = LATCH.sample(key, None)
        loss = lambda w: half_squared_error(outputs_of(w, example), example.targets)
        gradient = jax.grad(loss)(parameters)
        updates, state = optimiser.update(gradient, state, parameters)
        return optax.apply_updates(parameters, updates), state, optax.tree.norm(gradient)

    for trial in range(TRIALS):
        parameters = take_trial(trials.model.parameters, trial)
        state = optimiser.init(parameters)
        for n in range(count):
            parameters, state, norm = update(parameters, state, training_key(trial, n))
            norms.append(float(norm))
        assert_close(take_trial(after.model.parameters, trial), parameters, 20 * ROUNDING)
        assert_close(take_trial(after.model.optimiser_state, trial), state, 20 * ROUNDING)
    assert "clipped" not in name or min(norms) < 0.12 < max(norms)
    np.testing.assert_array_equal(metrics.sequences[:TRIALS], count)


def test_a_trial_that_has_ended_does_not_change():
    """The model stays as it was after its last sequence, and the final test is of this model."""
    loop = make_loop(optax.sgd(2.0, momentum=0.5), LATCH, chunk=1)
    runner = make_runner(loop, range(TRIALS))
    history = [runner.state().trials]
    while not runner.finished:
        runner.run_chunk()
        history.append(runner.state().trials)
    for result in runner.results():
        assert result.solved
        at_end, last = (take_trial(history[n], result.index) for n in (result.sequences, -1))
        before = take_trial(history[result.sequences - 1], result.index)
        assert_equal((at_end.model, at_end.status), (last.model, last.status))
        assert before.status == RUNNING and at_end.ended_at == last.ended_at
        bias = lambda trial: trial.model.parameters.output.bias
        assert not np.array_equal(bias(before), bias(last))
        assert_equal(result.model, last.model)
        _assert_final_test(result)
    assert len({int(n) for n in history[-1].ended_at}) == TRIALS


def _assert_final_test(result: TrialResult) -> None:
    key = jax.random.fold_in(trial_key(result.index), FINAL_TEST)
    keys = jax.vmap(jax.random.fold_in, (None, 0))(key, jnp.arange(LATCH.test_size))

    @jax.jit
    @jax.vmap
    def test(key: jax.Array) -> tuple[jax.Array, jax.Array]:
        example = LATCH.sample(key, None)
        outputs = outputs_of(result.model.parameters, example)
        return LATCH.is_correct(outputs, example), (outputs - example.targets).mean()

    correct, errors = test(keys)
    assert result.test_wrong == np.sum(~correct) and result.test_size == len(keys)
    np.testing.assert_allclose(result.test_error, np.abs(errors).mean(), rtol=ROUNDING)
    np.testing.assert_allclose(result.test_squared_error, np.square(errors).mean(), rtol=1e-5)


def test_a_block_is_added_after_each_chunk_whose_error_has_hardly_decreased():
    """Until then its weights do not change, while the direct connection is trained."""
    net = Architecture(num_inputs=2, blocks=(1, 1), num_outputs=1, input_to_output=True)
    task = dataclasses.replace(COPY, architecture=net, sequential_construction=True)
    loop = sgd(task, chunk=10)
    run_chunk = jax.jit(loop.run_chunk)
    trials, last_error = start(loop, TRIALS), np.full(TRIALS, np.inf, np.float32)
    num_blocks = np.zeros(TRIALS, int)
    for number in range(0, 60, 10):
        new, metrics = run_chunk(trials, jnp.int32(number))
        for trial in range(TRIALS):
            before, after = (take_trial(t.model.parameters, trial) for t in (trials, new))
            for block in range(2):
                is_frozen = block >= num_blocks[trial]
                for a, b in (
                    (before.layer.cell.input[:, block], after.layer.cell.input[:, block]),
                    (before.output.cell[block], after.output.cell[block]),
                ):
                    assert np.array_equal(a, b) == is_frozen
            assert not np.array_equal(before.output.input, after.output.input)
        error = np.asarray(metrics.mean_error())[:TRIALS]
        num_blocks = np.minimum(num_blocks + (error >= np.float32(STALLED) * last_error), 2)
        np.testing.assert_array_equal(new.model.num_blocks[:TRIALS], num_blocks)
        trials, last_error = new, error
    assert num_blocks.max() == 2


@pytest.mark.parametrize(
    ("changes", "chunk", "message"),
    [
        ({}, 1.0, "chunk must be an integer of at least 1 and below 16777217, got 1.0"),
        ({}, "9", "chunk must be an integer of at least 1 and below 16777217, got '9'"),
        ({}, 0, "chunk must be an integer of at least 1 and below 16777217, got 0"),
        ({}, 2**40, "chunk must be an integer of at least 1 and below 16777217"),
        ({"max_sequences": 2**31}, 9, "max_sequences must be an integer of at least 1 and below"),
        ({"rule": tasks.TestRule(10, 4)}, 9, "chunk must be the task's test interval, 10, got 9"),
    ],
)
def test_numbers_out_of_range_are_named(changes: dict, chunk, message: str):
    with pytest.raises(ValueError, match=message):
        TrainingLoop(dataclasses.replace(LATCH, **changes), chunk=chunk)


@pytest.mark.parametrize("error_at", ["end", "every_step"])
def test_softmax_outputs_train_as_by_hand(error_at: str):
    """...of a batch of trials, whose output units lie on the first axis or the second."""
    net = Architecture(num_inputs=2, blocks=(1,), num_outputs=3, output="softmax")
    shape = (3,) if error_at == "end" else (4, 3)

    def sample(key: jax.Array, data: None) -> Example:
        del data
        inputs = jax.random.normal(key, (4, 2))
        targets = jnp.broadcast_to(jnp.array([0.0, 1.0, 0.0]), shape)
        return Example(inputs, targets, targets, jnp.int32(4))

    loss = LOSSES["cross_entropy"]
    task = Task(
        architecture=net,
        sample=sample,
        is_correct=within(0.5),
        error_at=error_at,
        hyperparameters=Hyperparameters(learning_rate=0.5, loss=loss),
    )
    loop = TrainingLoop(task, chunk=1)
    keys = [jax.random.key_data(trial_key(trial)) for trial in range(TRIALS)]
    before = loop.init_trials(jnp.stack(keys, -1), None)
    after, _ = jax.jit(loop.run_chunk)(before, jnp.int32(0))
    for trial in range(TRIALS):
        parameters = take_trial(before.model.parameters, trial)
        example = sample(training_key(trial, 0), None)

        def by_hand(parameters: Parameters, example: Example = example) -> jax.Array:
            outputs, _ = apply(net, parameters, example.inputs, at=error_at)
            return -jnp.sum(example.targets * jnp.log(outputs))

        gradient = jax.grad(by_hand)(jax.tree.map(jnp.asarray, parameters))
        expected = jax.tree.map(lambda w, g: w - np.float32(0.5) * g, parameters, gradient)
        assert_close(take_trial(after.model.parameters, trial), expected, 1e-5)
