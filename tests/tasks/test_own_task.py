"""A network, a generator and a criterion are a task; all else has defaults, and checks itself."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lstm_jax
from lstm_jax.tasks import Example, Hyperparameters, StreamRule, Task, make_task, row_names, within
from lstm_jax.tasks import task as base


def test_twenty_lines_make_a_task_and_run_its_trials():
    def sample(key: jax.Array, data: Any) -> Example:
        """The target, five steps later, is the first symbol: 0 or 1."""
        del data
        bit = jax.random.bernoulli(key).astype(jnp.int32)
        symbols = jnp.concatenate([bit[None], jnp.full(5, 2, jnp.int32)])
        target = bit[None].astype(jnp.float32)
        return Example(symbols, target, target, jnp.int32(6))

    task = lstm_jax.Task(
        architecture=lstm_jax.Architecture(num_inputs=3, blocks=(1,), num_outputs=1),
        sample=sample,
        is_correct=within(0.3),
        hyperparameters=Hyperparameters(learning_rate=2.0, input_gate_bias=(-1.0,)),
    )
    loop = lstm_jax.make_recipe("paper").loop(task)
    results = lstm_jax.TrialRunner(loop, range(2)).run()
    assert all(result.solved and result.test_wrong == 0 for result in results)


def _bits(key: jax.Array, data: Any) -> Example:
    del data
    bits = jax.random.bernoulli(key, shape=(7, 1)).astype(jnp.float32)
    return Example(bits, bits, bits, jnp.int32(7))


OWN = Task(
    architecture=lstm_jax.Architecture(num_inputs=1, blocks=(1,), num_outputs=1),
    sample=_bits,
    is_correct=within(0.3),
    error_at="every_step",
)


def test_the_longest_sequence_is_as_long_as_the_generator_s_arrays():
    assert OWN.max_length == 7
    assert (OWN.name, OWN.title) == ("own", "own")


@pytest.mark.parametrize("row", row_names())
def test_a_row_s_longest_sequence_is_as_long_as_its_generator_s_arrays(row: str):
    task = make_task(row)
    assert dataclasses.replace(task, max_length=0).max_length == task.max_length


@pytest.mark.parametrize("row", ["1-1", "1-5", "6a"])
def test_a_batch_needs_no_data(row: str):
    """What sequences share is then that of trial 0, made from the batch's own key."""
    task, key = make_task(row), jax.random.key(3)
    batch = task.sample_batch(key, 4)
    data = None if task.prepare is None else task.prepare(key, 0)
    expected = task.sample_batch(key, 4, data)
    jax.tree.map(np.testing.assert_array_equal, batch, expected)
    assert batch.inputs.shape[:2] == (4, task.max_length)


@pytest.mark.parametrize("size", [0, -1])
def test_a_batch_has_at_least_one_sequence(size: int):
    with pytest.raises(ValueError, match=f"size must be an integer of at least 1, got {size}"):
        OWN.sample_batch(jax.random.key(0), size)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("init_range", (-1.0, 0.0, math.inf, math.nan, None, 1e39, 1e-46, True)),
        ("learning_rate", (-1.0, math.inf, math.nan, None, 1e39, 1e-46, "0.1")),
        ("input_gate_bias", ((math.nan,), (1.0, math.inf), (None,))),
        ("output_gate_bias", ((1e39,),)),
    ],
)
def test_conditions_must_be_numbers_of_float32_in_their_range(name: str, values: tuple):
    for value in values:
        with pytest.raises(ValueError, match=f"{name} must be .*a finite number of float32, got"):
            Hyperparameters(**{name: value})


def test_a_rival_may_have_no_rate():
    assert Hyperparameters(learning_rate=0.0).learning_rate == 0


@pytest.mark.parametrize("name", ["trials", "max_sequences", "test_size"])
@pytest.mark.parametrize("value", [0, -3, 1.5, None, True])
def test_numbers_of_things_are_whole_and_positive(name: str, value: Any):
    with pytest.raises(ValueError, match=f"{name} must be an integer of at least 1, got {value}"):
        dataclasses.replace(OWN, **{name: value})


@pytest.mark.parametrize(
    ("rule", "fields"),
    [
        (StreamRule, {"window": 0}),
        (StreamRule, {"window": 10, "max_wrong": -1}),
        (StreamRule, {"window": 10, "mean_error": 0.0}),
        (base.TestRule, {"interval": 0, "size": 4}),
        (base.TestRule, {"interval": 4, "size": 0}),
        (base.TestRule, {"interval": 4, "size": 4, "mean_error": math.nan}),
    ],
)
def test_rules_ask_for_what_can_be(rule: type, fields: dict):
    """The last field is the one that is out of its range, and named."""
    name = next(n for n, v in fields.items() if v not in (4, 10))
    with pytest.raises(ValueError, match=f"{name} must be"):
        rule(**fields)


def test_an_unknown_place_of_the_error_is_named():
    with pytest.raises(ValueError, match=r"error_at must be one of \('end', .*got 'start'"):
        dataclasses.replace(OWN, error_at="start")
