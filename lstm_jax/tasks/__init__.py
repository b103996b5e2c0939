"""The tasks of the paper's six experiments, one module each; `make_task` makes any row by its name.

`delayed_xor` is a further task, and `task` defines what a task is.
"""

from __future__ import annotations

import functools

from lstm_jax.tasks import (
    adding,
    multiplication,
    noise_free,
    reber,
    temporal_order,
    two_sequence,
    very_long_lags,
)
from lstm_jax.tasks.functions import within
from lstm_jax.tasks.hyperparameters import Hyperparameters
from lstm_jax.tasks.task import (
    Example,
    Published,
    StreamRule,
    Task,
    TestRule,
    replace_architecture,
    replace_hyperparameters,
)

__all__ = (
    "Example",
    "Hyperparameters",
    "Published",
    "StreamRule",
    "Task",
    "TestRule",
    "make_task",
    "replace_architecture",
    "replace_hyperparameters",
    "row_names",
    "within",
)

# In the paper's order.
_EXPERIMENTS = (
    reber,
    noise_free,
    very_long_lags,
    two_sequence,
    adding,
    multiplication,
    temporal_order,
)
_MAKERS = {row: experiment.make for experiment in _EXPERIMENTS for row in experiment.ROWS}


def row_names() -> tuple[str, ...]:
    """Return the names of all rows, in the paper's order.

    >>> row_names()[:2]
    ('1-1', '1-2')
    """
    return tuple(_MAKERS)


def make_task(name: str) -> Task:
    """Return the task of a row of the paper's tables.

    >>> make_task("6a").architecture.num_weights
    156

    Args:
      name: one of `row_names`.

    Raises:
      ValueError: if `name` is not a row.
    """
    if not isinstance(name, str) or name not in _MAKERS:
        raise ValueError(f"task must be one of {', '.join(row_names())}, got {name!r}")
    return _make_task(name)


@functools.cache  # a task is immutable, and checking it takes milliseconds
def _make_task(name: str) -> Task:
    return _MAKERS[name](name)
