"""Parsers of the values of overrides, whose ValueErrors name the allowed values."""

from __future__ import annotations

import math
from collections.abc import Callable

from lstm_jax.cell.architecture import UNIT_TYPES

BIASED_TYPES = (*(unit_type.name for unit_type in UNIT_TYPES), "output")


def parse_number(text: str) -> float:
    """Parse a positive number."""
    value = _as_float(text)
    if value is None or value <= 0:
        raise ValueError("a positive number")
    return value


def parse_numbers(text: str) -> tuple[float, ...]:
    """Parse finite numbers, comma-separated."""
    values = [_as_float(part) for part in text.split(",")]
    if None in values:
        raise ValueError("finite numbers, comma-separated")
    return tuple(value for value in values if value is not None)


def parse_count(text: str) -> int:
    """Parse an integer of at least 1."""
    if not (text.isascii() and text.isdecimal() and int(text) > 0):
        raise ValueError("an integer of at least 1")
    return int(text)


def parse_sizes(text: str) -> tuple[int, ...]:
    """Parse integers of at least 1, comma-separated."""
    try:
        return tuple(map(parse_count, text.split(",")))
    except ValueError:
        raise ValueError("integers of at least 1, comma-separated") from None


def parse_range(text: str) -> tuple[float, float]:
    """Parse two numbers in [0, 1], the lower first."""
    values = parse_numbers(text)
    if len(values) != 2 or not 0 <= values[0] < values[1] <= 1:
        raise ValueError("two numbers in [0, 1], the lower first")
    return values[0], values[1]


def parse_types(text: str) -> tuple[str, ...]:
    """Parse types of unit that can have a bias, comma-separated."""
    types = text.split(",")
    if not set(types) <= set(BIASED_TYPES) or len(set(types)) < len(types):
        raise ValueError(f"of {', '.join(BIASED_TYPES)}, comma-separated")
    return tuple(name for name in BIASED_TYPES if name in types)


def parse_gate_bias(text: str) -> tuple[float, ...] | str:
    """Parse numbers, comma-separated, or "random"."""
    return text if text == "random" else parse_numbers(text)


def one_of(*allowed: str) -> Callable[[str], str]:
    """Return a parser of one of several words."""

    def parse(text: str) -> str:
        if text not in allowed:
            raise ValueError(f"one of {', '.join(allowed)}")
        return text

    return parse


def _as_float(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
