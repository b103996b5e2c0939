"""A network, a generator and a criterion make a task; all other fields have checked defaults."""

from __future__ import annotations

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lstm_jax
from lstm_jax.tasks import Example, Hyperparameters, StreamRule, Task, make_task, row_names, within
from lstm_jax.tasks import task as base


def _sample(key: jax.Array, data) -> Example:
    """The target, five steps later, is the first symbol: 0 or 1."""
    del data
    bit = jax.random.bernoulli(key).astype(jnp.int32)
    symbols = jnp.concatenate([bit[None], jnp.full(5, 2, jnp.int32)])
    target = bit[None].astype(jnp.float32)
    return Example(symbols, target, target, jnp.int32(6))


OWN = Task(
    architecture=lstm_jax.Architecture(num_inputs=3, blocks=(1,), num_outputs=1),
    sample=_sample,
    is_correct=within(0.3),
    hyperparameters=Hyperparameters(learning_rate=2.0, input_gate_bias=(-1.0,)),
)


def test_a_network_a_generator_and_a_criterion_make_a_task_that_trials_solve():
    assert (OWN.name, OWN.title, OWN.max_length) == ("own", "own", 6)
    results = lstm_jax.TrialRunner(lstm_jax.TrainingLoop(OWN), range(2)).run()
    assert all(result.solved and result.test_wrong == 0 for result in results)


@pytest.mark.parametrize("row", row_names())
def test_a_row_s_longest_sequence_is_as_long_as_its_generator_s_arrays(row: str):
    task = make_task(row)
    assert dataclasses.replace(task, max_length=0).max_length == task.max_length


@pytest.mark.parametrize("row", ["1-1", "6a"])
def test_a_batch_without_data_has_those_of_trial_0(row: str):
    task, key = make_task(row), jax.random.key(3)
    batch = task.sample_batch(key, 4)
    data = None if task.prepare is None else task.prepare(key, 0)
    jax.tree.map(np.testing.assert_array_equal, batch, task.sample_batch(key, 4, data))
    assert batch.inputs.shape[:2] == (4, task.max_length)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("init_range", (-1.0, 0.0, math.inf, math.nan, None, 1e39, 1e-46, True)),
        ("learning_rate", (-1.0, math.inf, math.nan, None, 1e39, 1e-46, "0.1")),
        ("input_gate_bias", ((math.nan,), (1.0, math.inf), (None,))),
        ("output_gate_bias", ((1e39,),)),
    ],
)
def test_hyperparameters_must_be_numbers_of_float32_in_their_range(name: str, values: tuple):
    for value in values:
        with pytest.raises(ValueError, match=f"{name} must be .*a finite number of float32, got"):
            Hyperparameters(**{name: value})
    assert Hyperparameters(learning_rate=0.0).learning_rate == 0  # of a baseline


@pytest.mark.parametrize("name", ["trials", "max_sequences", "test_size"])
def test_counts_are_positive_integers(name: str):
    for value in (0, -3, 1.5, None, True):
        with pytest.raises(
            ValueError, match=f"{name} must be an integer of at least 1, got {value}"
        ):
            dataclasses.replace(OWN, **{name: value})


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: StreamRule(window=0), "window"),
        (lambda: StreamRule(window=10, max_wrong=-1), "max_wrong"),
        (lambda: StreamRule(window=10, mean_error=0.0), "mean_error"),
        (lambda: base.TestRule(interval=0, size=4), "interval"),
        (lambda: base.TestRule(interval=4, size=0), "size"),
        (lambda: base.TestRule(interval=4, size=4, mean_error=math.nan), "mean_error"),
        (lambda: OWN.sample_batch(jax.random.key(0), 0), "size"),
        (lambda: OWN.sample_batch(jax.random.key(0), -1), "size"),
        (lambda: dataclasses.replace(OWN, error_at="start"), "error_at"),
    ],
)
def test_arguments_out_of_range_are_refused(make, name: str):
    with pytest.raises(ValueError, match=f"{name} must be"):
        make()
