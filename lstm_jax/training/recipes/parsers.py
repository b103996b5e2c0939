"""The values of departures, from text: each parser says, as a ValueError, what is allowed."""

from __future__ import annotations

import math
from collections.abc import Callable

from lstm_jax.cell.units import KINDS

BIASED_KINDS = (*(kind.name for kind in KINDS), "output")


def parse_number(text: str) -> float:
    """A positive number."""
    value = _float(text)
    if value is None or value <= 0:
        raise ValueError("a positive number")
    return value


def parse_numbers(text: str) -> tuple[float, ...]:
    """Finite numbers, with commas between."""
    values = [_float(part) for part in text.split(",")]
    found = tuple(value for value in values if value is not None)
    if len(found) < len(values):
        raise ValueError("finite numbers with commas between")
    return found


def parse_count(text: str) -> int:
    """A whole number of at least 1."""
    if not (text.isascii() and text.isdecimal() and int(text) > 0):
        raise ValueError("a whole number of at least 1")
    return int(text)


def parse_sizes(text: str) -> tuple[int, ...]:
    """Whole numbers of at least 1, with commas between."""
    try:
        return tuple(map(parse_count, text.split(",")))
    except ValueError:
        raise ValueError("whole numbers of at least 1 with commas between") from None


def one_of(*allowed: str) -> Callable[[str], str]:
    """One of some words."""

    def parse(text: str) -> str:
        if text not in allowed:
            raise ValueError(f"one of {', '.join(allowed)}")
        return text

    return parse


def _float(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def parse_range(text: str) -> tuple[float, float]:
    """Two numbers in [0, 1]."""
    values = parse_numbers(text)
    if len(values) != 2 or not 0 <= values[0] < values[1] <= 1:
        raise ValueError("two numbers in [0, 1], the lower first")
    return values[0], values[1]


def parse_kinds(text: str) -> tuple[str, ...]:
    """Kinds of unit that can have a bias, in their order."""
    kinds = tuple(text.split(","))
    if not set(kinds) <= set(BIASED_KINDS) or len(set(kinds)) < len(kinds):
        raise ValueError(f"of {', '.join(BIASED_KINDS)}, with commas between")
    return tuple(kind for kind in BIASED_KINDS if kind in kinds)


def parse_gate_bias(text: str) -> tuple[float, ...] | str:
    """Numbers, or "random"."""
    return text if text == "random" else parse_numbers(text)
