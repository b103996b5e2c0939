"""Every optimiser that trains a network's weights alone trains those of trials, each by itself."""

from __future__ import annotations

import dataclasses

import jax
import numpy as np
import optax
import pytest
from helpers import assert_close, assert_equal
from small_tasks import LATCH, assert_same_result, make_loop, make_runner, training_key

from lstm_jax import baselines, half_squared_error, init_learner
from lstm_jax.cell.parameters import initialise
from lstm_jax.cell.records import Parameters
from lstm_jax.cell.scan import Steps
from lstm_jax.network.layer import apply
from lstm_jax.tasks import Example
from lstm_jax.training.runs.checkpoints import Checkpoints
from lstm_jax.training.trials.training_loop import TrainingLoop
from lstm_jax.training.update_rules.per_step import PerStepUpdate

COUNT, ROUNDING = 12, 1e-5
TASK = dataclasses.replace(LATCH, max_sequences=2 * COUNT)
WEIGHTS = initialise(jax.random.key(0), TASK.architecture)
IS_MATRIX = jax.tree.map(lambda w: w.ndim > 1, WEIGHTS)
LABELS = jax.tree.map(lambda is_matrix: "fast" if is_matrix else "slow", IS_MATRIX)
OPTIMISERS = {
    "weight decay by a tree of flags": optax.adamw(0.1, mask=IS_MATRIX, weight_decay=0.1),
    "weight decay by rank": optax.adamw(
        0.1, mask=lambda tree: jax.tree.map(lambda w: w.ndim > 1, tree), weight_decay=0.1
    ),
    "one rate per group": optax.multi_transform(
        {"fast": optax.sgd(1.0, momentum=0.9), "slow": optax.sgd(0.1)}, LABELS
    ),
    "some weights alone": optax.chain(optax.masked(optax.adam(1.0), IS_MATRIX), optax.scale(0.1)),
    "frozen weights": optax.partition(
        {"fast": optax.adam(0.1), "slow": optax.set_to_zero()}, LABELS
    ),
    "noise": optax.noisy_sgd(0.5, key=jax.random.key(7)),
    "noise by a seed": optax.noisy_sgd(0.5, key=7),
    "accumulated gradients": optax.MultiSteps(optax.sgd(1.0), 3).gradient_transformation(),
    "a rate in the state": optax.inject_hyperparams(optax.adam)(learning_rate=0.1),
    "half-precision moments": optax.adam(0.1, mu_dtype="bfloat16"),
    "no step that is not finite": optax.apply_if_finite(optax.sgd(1.0), 3),
    "normalised layers": optax.lamb(0.1),
}
pytestmark = pytest.mark.parametrize("name", OPTIMISERS)


def outputs_of(parameters: Parameters, example: Example) -> jax.Array:
    steps = Steps(length=example.length)
    return apply(TASK.architecture, parameters, example.inputs, at="end", steps=steps)[0]


@jax.numpy_dtype_promotion("standard")
def test_a_trial_is_trained_as_optax_says(name: str):
    """Each trial has a state of its own, and noise of its own."""
    optimiser = OPTIMISERS[name]
    runner = make_runner(make_loop(optimiser, TASK, COUNT), range(2))

    @jax.jit
    def update(parameters: Parameters, state, key: jax.Array) -> tuple:
        example = TASK.sample(key, None)
        loss = lambda w: half_squared_error(outputs_of(w, example), example.targets)
        updates, state = optimiser.update(jax.grad(loss)(parameters), state, parameters)
        return optax.apply_updates(parameters, updates), state

    expected = []
    for trial in runner.results():
        parameters, state = trial.model.parameters, trial.model.optimiser_state
        for n in range(COUNT):
            parameters, state = update(parameters, state, training_key(trial.index, n))
        expected.append(parameters)
    runner.run_chunk()
    for result, parameters in zip(runner.results(), expected, strict=True):
        assert_close(result.model.parameters, parameters, ROUNDING)
    keys = [optax.tree_utils.tree_get(r.model.optimiser_state, "rng_key") for r in runner.results()]
    assert "noise" not in name or not np.array_equal(*map(jax.random.key_data, keys))


@jax.numpy_dtype_promotion("standard")
def test_a_run_continues_from_its_checkpoint(name: str, tmp_path):
    loop = make_loop(OPTIMISERS[name], TASK, COUNT)
    runner, resumed = make_runner(loop, range(2)), make_runner(loop, range(2))
    runner.run_chunk()
    with Checkpoints(tmp_path / "run", {}) as opened:
        assert opened.save(runner)
        opened.restore(resumed)
        opened.remove()
    assert resumed.num_sequences == COUNT
    assert_equal(resumed.state(), runner.state())
    for found, expected in zip(resumed.run(), runner.run(), strict=True):
        as_data = lambda model: jax.tree.map(_as_data, model)
        models = {"model": as_data(found.model), "best_model": as_data(found.best_model)}
        same = {"model": as_data(expected.model), "best_model": as_data(expected.best_model)}
        assert_same_result(
            dataclasses.replace(found, **models), dataclasses.replace(expected, **same)
        )


def _as_data(leaf):
    is_key = isinstance(leaf, jax.Array) and jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)
    return jax.random.key_data(leaf) if is_key else leaf


@jax.numpy_dtype_promotion("standard")
def test_the_online_learner_takes_the_same(name: str):
    """So does an update per step, and a baseline by the tree of its own weights."""
    init_learner(TASK.architecture, WEIGHTS, OPTIMISERS[name])
    task = dataclasses.replace(
        TASK, hyperparameters=dataclasses.replace(TASK.hyperparameters, update_after="step")
    )
    rule = PerStepUpdate(task, OPTIMISERS[name])
    runner = make_runner(TrainingLoop(task, rule, COUNT), range(2))
    runner.run_chunk()
    if name in ("noise", "a rate in the state", "normalised layers"):
        make_runner(baselines.training_loop(TASK, optimiser=OPTIMISERS[name]), range(2)).run_chunk()
