"""What a task's functions and an update rule return is checked before anything is trained."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_tasks import COPY, LATCH, binary_environment, make_runner

from lstm_jax import tasks
from lstm_jax.tasks import Example, Task
from lstm_jax.tasks.checks import check_values
from lstm_jax.training.trials.training_loop import TrainingLoop
from lstm_jax.training.update_rules.base import UpdateRule, Vmapped

KEY = jax.random.key(0)
ESCAPED = str.maketrans({character: f"\\{character}" for character in "[]().,"})


def changed(task: Task = LATCH, **fields: object) -> Callable[[jax.Array, object], Example]:
    """Return the task's generator with other fields of its sequences."""
    return lambda key, data: task.sample(key, data)._replace(**fields)


def batch(size: int = 5) -> Example:
    return LATCH.sample_batch(KEY, size)


# What is wrong, and the beginning of the message.
WRONG_SHAPES: dict[str, tuple[dict, str]] = {
    "a criterion that returns an integer": (
        {"is_correct": lambda outputs, example: jnp.int32(1)},
        "is_correct must be a function that returns one bool, got 'int32[]'",
    ),
    "a criterion that returns a number": (
        {"is_correct": lambda outputs, example: jnp.float32(1)},
        "is_correct must be a function that returns one bool, got 'float32[]'",
    ),
    "a criterion that returns a bool for each output": (
        {"is_correct": lambda outputs, example: outputs > 0},
        "is_correct must be a function that returns one bool, got 'bool[1]'",
    ),
    "no criterion": ({"is_correct": 0.3}, "is_correct must be a function, got 0.3"),
    "a generator that returns a tuple": (
        {"sample": lambda key, data: tuple(LATCH.sample(key, data))},
        "sample must be a function that returns an Example",
    ),
    "no length": ({"sample": changed(length=None)}, "sample: length must be an integer, got None"),
    "a floating length": (
        {"sample": changed(length=jnp.float32(3))},
        "sample: length must be an integer, got 'float32[]'",
    ),
    "targets of another size": (
        {"sample": changed(targets=jnp.zeros(3))},
        "sample: targets must be floating of shape (1,) for error_at=\"end\", got 'float32[3]'",
    ),
    "true targets at every step": (
        {"sample": changed(true_targets=jnp.zeros((4, 1)))},
        "sample: true_targets must be floating of shape (1,)",
    ),
    "targets that are integers": (
        {"sample": changed(targets=jnp.zeros(1, jnp.int32))},
        "sample: targets must be floating of shape (1,)",
    ),
    "a target at the end where there should be one at every step": (
        {"error_at": "every_step"},
        'sample: targets must be floating of shape (4, 1) for error_at="every_step"',
    ),
    "inputs of another size": (
        {"sample": changed(inputs=jnp.zeros((4, 3)))},
        "sample: inputs must be [T] integers or [T, 4] floating, got 'float32[4, 3]'",
    ),
    "legal symbols at other steps": (
        {"sample": changed(legal=jnp.zeros((3, 1)))},
        "sample: legal must be [4, K] or None, got 'float32[3, 1]'",
    ),
    "another number of steps": ({"max_length": 5}, "max_length must be 4, as the inputs of sample"),
    "test sequences of another length": (
        {"sample_test": changed(inputs=jnp.zeros(5, jnp.int32))},
        "sample_test must be a function that returns sequences as sample does",
    ),
    "a set that is one sequence": (
        {"test_set": lambda data: LATCH.sample(KEY, data)},
        "test_set must be a function that returns sequences, the batch axis first",
    ),
    "an empty set": (
        {"training_set": lambda data: jax.tree.map(lambda a: a[:0], batch())},
        "training_set must be a function that returns sequences, the batch axis first",
    ),
    "a set of other sequences": (
        {"test_set": lambda data: COPY.sample_batch(KEY, 5)},
        "test_set must be a function that returns sequences as sample does",
    ),
    "a rule that is a function": (
        {"rule": lambda n: True},
        "rule must be a StreamRule or a TestRu",
    ),
    "no rule": ({"rule": None}, "rule must be a StreamRule or a TestRule, got None"),
    "a first rule without a test": (
        {"first_rule": tasks.TestRule(interval=100, size=5)},
        "first_rule must be a TestRule beside a TestRule",
    ),
    "no network": (
        {"architecture": "lstm"},
        "architecture must be a network, such as Architecture",
    ),
}


@pytest.mark.parametrize("case", WRONG_SHAPES)
def test_a_task_refuses_functions_of_wrong_shapes_and_types(case: str):
    fields, message = WRONG_SHAPES[case]
    with pytest.raises(ValueError, match="^" + message.translate(ESCAPED)) as refused:
        dataclasses.replace(LATCH, **fields)
    assert "\n" not in str(refused.value)


NAN = jnp.full(1, jnp.nan)
WRONG_VALUES: dict[str, tuple[dict, str]] = {
    "a symbol that is not an input": (
        {"sample": changed(inputs=jnp.full(4, 4))},
        r"sample: inputs must hold integers in \[0, 4\), got 4",
    ),
    "a symbol of a test that is not an input": (
        {"sample_test": changed(inputs=jnp.full(4, -1))},
        r"sample_test: inputs must hold integers in \[0, 4\), got -1",
    ),
    "no steps": ({"sample": changed(length=jnp.int32(0))}, r"sample: length must be in \[1, 4\]"),
    "more steps": ({"sample": changed(length=jnp.int32(5))}, r"sample: length must be in \[1, 4\]"),
    "another length than the fixed one": (
        {"sample": changed(length=jnp.int32(3)), "fixed_length": True},
        "sample: length must be 4, as fixed_length says, got 3",
    ),
    "targets that are not finite": (
        {"sample": changed(targets=NAN, true_targets=NAN)},
        "sample: targets must be finite",
    ),
    "a sequence of a set": (
        {"test_set": lambda data: batch()._replace(length=jnp.array([3, 3, 3, 3, 9]))},
        r"test_set: length must be in \[1, 4\], got 9",
    ),
    "vectors that are not finite": (
        {"sample": changed(inputs=jnp.full((4, 4), jnp.inf))},
        "sample: inputs must be finite",
    ),
}


@pytest.mark.parametrize("case", WRONG_VALUES)
def test_a_runner_refuses_sequences_of_wrong_values(case: str):
    fields, message = WRONG_VALUES[case]
    loop = TrainingLoop(dataclasses.replace(LATCH, **fields))
    with pytest.raises(ValueError, match=f"^{message}") as refused:
        make_runner(loop, [0])
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(("length", "is_warned"), [(3, True), (4, False), (None, False)])
def test_steps_that_no_sequence_reaches_are_warned_of(length, is_warned, caplog):
    """...not those that some sequences lack."""
    fields = {} if length is None else {"sample": changed(length=jnp.int32(length))}
    check_values(dataclasses.replace(LATCH, **fields))
    warning = "length is 3 in all of 8 sequences, but inputs has 4 steps; the rest is never seen"
    assert (warning in caplog.text) == is_warned


def test_sets_need_no_prepared_data():
    """All trials share such a set, and so the training of a trial goes through it in turn."""
    sets = {"training_set": lambda data: batch(7), "test_set": lambda data: batch(5)}
    task = dataclasses.replace(LATCH, **sets, max_sequences=20)
    prepared = dataclasses.replace(task, prepare=lambda key, trial: np.float32(0))
    runs = [make_runner(TrainingLoop(one), [0, 1]).run() for one in (task, prepared)]
    for shared, own in zip(*runs, strict=True):
        np.testing.assert_array_equal(shared.curve, own.curve)
        assert shared.test_wrong == own.test_wrong


# Update rules ----------------------------------------------------------------------------------


class Mean(UpdateRule[jax.Array]):
    """The outputs are the mean of all targets so far."""

    def init(self, key: jax.Array) -> jax.Array:
        return jnp.zeros(1)

    def train_step(self, model: jax.Array, example: Example, n: jax.Array):
        return model + (example.targets - model) / (n + 1).astype(jnp.float32), model

    def outputs(self, model: jax.Array, example: Example) -> jax.Array:
        return model


class IntegerModel(Mean):
    def train_step(self, model, example, n):
        return model.astype(jnp.int32), model


class TwoOutputs(Mean):
    def train_step(self, model, example, n):
        return model, jnp.zeros(2)


class TestOutputs(Mean):
    __test__ = False

    def outputs(self, model, example):
        return jnp.zeros((4, 1))


class AnotherEnd(Mean):
    def end_chunk(self, model, metrics):
        return model[0]


class WithoutOutputs:
    init, train_step, end_chunk = Mean.init, Mean.train_step, Mean.end_chunk


WRONG_RULES = {
    "update_rule must be for a batch of trials: Vmapped(rule)": Mean(),
    "update_rule.outputs must be a function, got None": WithoutOutputs(),
    "update_rule.train_step must be a function that returns a model as init": Vmapped(
        IntegerModel()
    ),
    "update_rule.train_step must be a function that returns outputs": Vmapped(TwoOutputs()),
    "update_rule.outputs must be a function that returns outputs": Vmapped(TestOutputs()),
    "update_rule.end_chunk must be a function that returns a model": Vmapped(AnotherEnd()),
}


@pytest.mark.parametrize("message", WRONG_RULES)
def test_a_loop_refuses_update_rules_that_cannot_train_the_task(message: str):
    TrainingLoop(LATCH, Vmapped(Mean()))
    with pytest.raises(ValueError, match="^" + message.translate(ESCAPED)) as refused:
        TrainingLoop(LATCH, WRONG_RULES[message])
    assert "\n" not in str(refused.value)


def test_making_tasks_and_loops_does_not_start_jax():
    """`configure_cpu` and `processes.connect` may follow."""
    script = """
import lstm_jax as lstm
from lstm_jax import baselines
for row in lstm.row_names():
    lstm.TrainingLoop(lstm.make_recipe("adam").apply(lstm.make_task(row)))
for row in baselines.row_names():
    baselines.make_training_loop(row)
baselines.training_loop(lstm.make_task("6a"))
lstm.configure_cpu(num_devices=2)  # which raises RuntimeError once JAX has started
"""
    subprocess.run(
        [sys.executable, "-c", script], check=True, env=binary_environment() | {"XLA_FLAGS": ""}
    )
