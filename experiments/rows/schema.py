"""What a row's result file must hold, as far as tables, pictures and --resume rely on it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

LARGEST = 1e15  # of any number in a result file


def _is_number(value: object) -> bool:
    return (
        isinstance(value, (int, float))
        and not isinstance(value, bool)
        and abs(value) <= LARGEST
        and math.isfinite(value)
    )


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= LARGEST


UnitType = tuple[str, Callable[[Any], bool]]
TEXT: UnitType = ("text", lambda value: isinstance(value, str))
YES_NO: UnitType = ("true or false", lambda value: isinstance(value, bool))
NUMBER: UnitType = ("a number", _is_number)
COUNT: UnitType = ("a whole number from 0", _is_count)
MAYBE: UnitType = ("a number or null", lambda value: value is None or _is_number(value))
LIST: UnitType = ("a list", lambda value: isinstance(value, list))
OBJECT: UnitType = ("an object", lambda value: isinstance(value, dict))
POINTS: UnitType = (
    "a list of points",
    lambda value: (
        isinstance(value, list)
        and all(isinstance(p, list) and len(p) >= 2 and all(map(MAYBE[1], p)) for p in value)
    ),
)

ROW: dict[str, UnitType] = {
    "task": TEXT,
    "title": TEXT,
    "recipe": TEXT,
    "weights": COUNT,
    "learning_rate": MAYBE,
    "max_sequences": COUNT,
    "seed": COUNT,
    "wall_seconds": NUMBER,
    "date": TEXT,
    "published": OBJECT,
    "summary": OBJECT,
    "trials": ("a list of trials", lambda value: isinstance(value, list) and bool(value)),
}
NETWORK: UnitType = ("an object or null", lambda value: value is None or isinstance(value, dict))
LATER: dict[str, UnitType] = {  # what the oldest files lack
    "network": NETWORK,
    "command": TEXT,
    "recipe_changes": TEXT,
    "versions": OBJECT,
    "machine": OBJECT,
}
TRIAL: dict[str, UnitType] = {
    "index": COUNT,
    "solved": YES_NO,
    "sequences": COUNT,
    "curve": POINTS,
    "finite": YES_NO,
    "test_wrong": COUNT,
    "test_size": COUNT,
    "test_error": MAYBE,
}
PUBLISHED: dict[str, UnitType] = dict.fromkeys(
    (
        "success_rate",
        "mean_sequences",
        "first_mean_sequences",
        "test_wrong",
        "test_fraction",
        "test_error",
    ),
    MAYBE,
)
SUMMARY: dict[str, UnitType] = {
    "trials": COUNT,
    "solved": COUNT,
    "success_rate": NUMBER,
    "test_size": COUNT,
    **dict.fromkeys(
        (
            "mean_sequences",
            "median_sequences",
            "first_mean_sequences",
            "mean_test_wrong",
            "max_test_wrong",
            "mean_test_error",
            "mean_test_squared_error",
        ),
        MAYBE,
    ),
}


def check_row(document: Mapping[str, Any], name: object) -> None:
    """Raises ValueError if a document lacks a field, or has one of another kind.

    Args:
      document: read from a file.
      name: of the file, for the message.
    """
    check_fields(document, ROW, name)
    check_fields(document["published"], PUBLISHED, name, "published.")
    check_fields(document["summary"], SUMMARY, name, "summary.")
    later = {field: kind for field, kind in LATER.items() if field in document}
    check_fields(document, later, name)
    for i, trial in enumerate(document["trials"]):
        check_fields(trial, TRIAL, name, f"trials[{i}].")


def check_fields(
    found: object, kinds: Mapping[str, UnitType], name: object, place: str = ""
) -> None:
    """Raises ValueError if an object of a file lacks a field, or has one of another kind.

    Args:
      found: the object.
      kinds: of the fields that it must have.
      name: of the file, for the message.
      place: of the object in it, such as "summary."; "": the whole.
    """
    if not isinstance(found, Mapping):
        raise ValueError(f"{name} must have an object at {place.rstrip('.')}, got {_short(found)}")
    for field, (kind, fits) in kinds.items():
        if field not in found:
            raise ValueError(f"{name} must have {place}{field}, {kind}; it has none")
        if not fits(found[field]):
            raise ValueError(f"{name} must have {place}{field}, {kind}, got {_short(found[field])}")


def _short(value: object) -> str:
    if isinstance(value, int) and abs(value) > LARGEST:
        return f"an integer of {value.bit_length()} bits"
    text = repr(value) if not isinstance(value, (dict, list)) else type(value).__name__
    return text if len(text) <= 60 else f"{text[:57]}..."
