"""Numbers enter records as those of Python, NumPy or JAX, and are kept as Python's."""

from __future__ import annotations

import dataclasses
import importlib
import pkgutil
from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
import pytest

import lstm_jax
from lstm_jax import tasks
from lstm_jax.baselines import cascade_correlation, chunker, fully_recurrent, guessing
from lstm_jax.baselines.gradient_descent import RTRL, RecurrentUpdate
from lstm_jax.network.optimisers import make_optimiser
from lstm_jax.tasks.functions import Bound, Generator
from lstm_jax.training.host.devices import Devices
from lstm_jax.training.update_rules import per_step, random_search, stored_keys

SIXA = lstm_jax.make_task("6a")
RECURRENT = lstm_jax.baselines.training_loop(SIXA).task

# A record of each dataclass, with a number in every field that may hold one.
RECORDS = [
    lstm_jax.Architecture(8, (2, 3), 4, num_hidden=1, initial_activation=0.5),
    lstm_jax.Loss(0.5, 0.25, 0.125),
    lstm_jax.Stack((lstm_jax.Architecture(2, (1,), 1),), dropout=0.5),
    lstm_jax.Hyperparameters(0.5, 0.25, (-2.0, -4.0), (-1.0, -2.0), (3.0, 4.0)),
    tasks.StreamRule(200, 3, 0.5),
    tasks.TestRule(100, 20, 3, 0.5),
    tasks.Published("text", 50.0, 1000.0, 500.0, 2.0, 0.5, 0.25),
    SIXA,
    lstm_jax.TrainingLoop(SIXA, chunk=50),
    random_search.SearchSpace((0.5, 1.0), (0.25, 0.5), (-4.0, -2.0), (-2.0, -1.0)),
    fully_recurrent.RecurrentNet(2, 1, 2, "full", (0.5, 0.25, 0.0)),
    cascade_correlation.CascadeCorrelation(
        3, 2, 16, 3, 4, 0.5, 0.5, 1.0, 2.0, 0.25, 8, 0.25, 0.25, 50, 0.5
    ),
    chunker.Chunker(5, 0.5, 0.25, 0.5, 0.125),
    RecurrentUpdate(RECURRENT, make_optimiser("sgd", 0.5), RTRL, 0.125),
]
WITHOUT_NUMBERS = {
    Bound, Devices, Generator, guessing.Guessing, lstm_jax.PerSequenceUpdate, lstm_jax.Recipe,
    lstm_jax.RunOptions, lstm_jax.TrialResult, lstm_jax.Vmapped, per_step.PerStepUpdate,
    random_search.RandomSearchUpdate, stored_keys.StoredKey,
}  # fmt: skip
KINDS: dict[str, Callable[[object], object]] = {
    "a NumPy scalar": lambda x: np.float32(x) if isinstance(x, float) else np.int64(x),
    "a NumPy array": lambda x: np.array(x),
    "a JAX array": lambda x: jnp.array(x),
}


def is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def convert(value: object, kind: Callable[[object], object]) -> object:
    """Convert a number, or the numbers of a tuple; leave other values as they are."""
    if isinstance(value, tuple) and value and all(map(is_number, value)):
        return tuple(kind(number) for number in value)
    return kind(value) if is_number(value) else value


def dataclasses_of(package) -> set[type]:
    """Return the dataclasses of a package that users make, unlike those of analysis and plots."""
    names = [found.name for found in pkgutil.walk_packages(package.__path__, "lstm_jax.")]
    internal = ("lstm_jax.analysis", "lstm_jax.plots")
    modules = [importlib.import_module(n) for n in names if not n.startswith(internal)]
    values = [value for module in modules for value in vars(module).values()]
    classes = {value for value in values if isinstance(value, type)}
    is_ours = lambda cls: cls.__module__.startswith("lstm_jax.")
    return {cls for cls in classes if is_ours(cls) and dataclasses.is_dataclass(cls)}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("record", RECORDS, ids=lambda record: type(record).__name__)
def test_a_record_of_arrays_is_the_record_of_python_s_numbers(record, kind: str):
    fields = {field.name: getattr(record, field.name) for field in dataclasses.fields(record)}
    converted = {name: convert(value, KINDS[kind]) for name, value in fields.items()}
    assert any(converted[name] is not fields[name] for name in fields)
    found = type(record)(**converted)
    assert found == record and hash(found) == hash(record) and repr(found) == repr(record)
    for name, value in vars(found).items():
        assert type(value) is type(getattr(record, name))


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: type(record).__name__)
def test_an_array_that_is_not_a_number_is_refused_by_name(record):
    for field in dataclasses.fields(record):
        if is_number(getattr(record, field.name)):
            for value in (jnp.array(True), np.ones(1), jnp.ones((1, 1)), np.array("1")):
                with pytest.raises(ValueError, match=f"^{field.name} must be"):
                    dataclasses.replace(record, **{field.name: value})


def test_these_are_all_dataclasses_with_numbers():
    assert dataclasses_of(lstm_jax) == {type(record) for record in RECORDS} | WITHOUT_NUMBERS
