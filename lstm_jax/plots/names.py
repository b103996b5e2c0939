"""What the inputs and outputs of the paper's tasks are called."""

from __future__ import annotations

import itertools

from lstm_jax.tasks import reber, temporal_order


def symbol_names(row: str) -> tuple[str, ...] | None:
    """The names of a row's inputs, in order; None where the row is not one of the paper's.

    >>> symbol_names("6a")
    ('E', 'a', 'b', 'c', 'd', 'X', 'Y', 'B')

    Args:
      row: of the paper's tables, or a task's name.
    """
    task, *numbers = row.split(".")[0].split("-")
    match task:
        case "1":
            return tuple(reber.SYMBOLS)
        case "2a" | "2b":
            return (*_numbered(int(numbers[0]) if numbers else 100, 1), "x", "y")
        case "2c":
            return (*_numbered(int(numbers[1]), 0), "e", "b", "x", "y")
        case "3a" | "3b" | "3c":
            return ("signal or noise",)
        case "4" | "5":
            return ("value", "marker")
        case "6a" | "6b":
            return tuple(temporal_order.SYMBOLS)
    return None


def class_names(row: str) -> tuple[str, ...] | None:
    """The names of a row's outputs, in order; None where the row is not one of the paper's.

    >>> class_names("6a")
    ('XX', 'XY', 'YX', 'YY')

    Args:
      row: of the paper's tables, or a task's name.
    """
    task = row.split(".")[0].split("-")[0]
    match task:
        case "1" | "2a" | "2b":
            return symbol_names(row)
        case "2c":
            return ("x", "y")
        case "3a" | "3b" | "3c":
            return ("class",)
        case "4" | "5":
            return ({"4": "sum", "5": "product"}[task],)
        case "6a" | "6b":
            return tuple(map("".join, itertools.product("XY", repeat=2 + (task == "6b"))))
    return None


def _numbered(delay: int, less: int) -> tuple[str, ...]:
    return tuple(f"a{i}" for i in range(1, delay + 1 - less))
