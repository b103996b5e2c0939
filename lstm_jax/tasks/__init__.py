"""The tasks of the paper's six experiments, one module each; `make_task` makes any row by name."""

from __future__ import annotations

from lstm_jax.tasks import (
    adding,
    counting,
    delayed_xor,
    multiplication,
    noise_free,
    reber,
    temporal_order,
    timing,
    two_sequence,
    very_long_lags,
)
from lstm_jax.tasks.hyperparameters import Hyperparameters
from lstm_jax.tasks.task import (
    Example,
    Published,
    StreamRule,
    Task,
    TestRule,
    replace_architecture,
    replace_hyperparameters,
    within,
)

__all__ = (
    "Hyperparameters",
    "Example",
    "Published",
    "StreamRule",
    "Task",
    "TestRule",
    "adding",
    "counting",
    "delayed_xor",
    "make_task",
    "multiplication",
    "noise_free",
    "reber",
    "replace_architecture",
    "replace_hyperparameters",
    "row_names",
    "temporal_order",
    "timing",
    "two_sequence",
    "very_long_lags",
    "within",
)

_MAKERS = {
    name: make
    for names, make in (
        (reber.ROWS, reber.make),
        (noise_free.ROWS, noise_free.make),
        (very_long_lags.ROWS, very_long_lags.make),
        (two_sequence.ROWS, two_sequence.make),
        (adding.ROWS, adding.make),
        (multiplication.ROWS, multiplication.make),
        (temporal_order.RANGES, temporal_order.make),
    )
    for name in names
}


def row_names() -> tuple[str, ...]:
    """The names of all rows, in the paper's order.

    >>> row_names()[-2:]
    ('6a', '6b')
    """
    return tuple(_MAKERS)


def make_task(name: str) -> Task:
    """Makes the task of the row `name`.

    >>> make_task("6a").architecture.num_weights
    156

    Args:
      name: one of `row_names`.

    Raises:
      ValueError: if there is no such row.
    """
    if not isinstance(name, str) or name not in _MAKERS:
        raise ValueError(f"task must be one of {', '.join(row_names())}, got {name!r}")
    return _MAKERS[name](name)
