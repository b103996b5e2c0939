"""Names of the inputs and outputs of the paper's tasks."""

from __future__ import annotations

import itertools

from lstm_jax.tasks import reber, temporal_order


def symbol_names(row: str) -> tuple[str, ...] | None:
    """Return the names of a row's inputs in order, or None if it is not one of the paper's.

    >>> symbol_names("6a")
    ('E', 'a', 'b', 'c', 'd', 'X', 'Y', 'B')

    Args:
      row: the name of a row of the paper's tables.
    """
    return _names(row)[0]


def class_names(row: str) -> tuple[str, ...] | None:
    """Return the names of a row's outputs in order, or None if it is not one of the paper's.

    >>> class_names("6a")
    ('XX', 'XY', 'YX', 'YY')

    Args:
      row: the name of a row of the paper's tables.
    """
    return _names(row)[1]


def _names(row: str) -> tuple[tuple[str, ...] | None, tuple[str, ...] | None]:
    task, *numbers = row.split(".")[0].split("-")
    match task:
        case "1":
            return tuple(reber.SYMBOLS), tuple(reber.SYMBOLS)
        case "2a" | "2b":
            symbols = (*_numbered(int(numbers[0]) - 1 if numbers else 99), "x", "y")
            return symbols, symbols
        case "2c":
            return (*_numbered(int(numbers[1])), "e", "b", "x", "y"), ("x", "y")
        case "3a" | "3b" | "3c":
            return ("signal or noise",), ("class",)
        case "4" | "5":
            return ("value", "marker"), ({"4": "sum", "5": "product"}[task],)
        case "6a" | "6b":
            pairs = itertools.product("XY", repeat=2 + (task == "6b"))
            return tuple(temporal_order.SYMBOLS), tuple(map("".join, pairs))
    return None, None


def _numbered(count: int) -> tuple[str, ...]:
    return tuple(f"a{i + 1}" for i in range(count))
