"""Checks of the fields of JSON objects that were read from a file."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

LARGEST = 1e15  # of any number in a result file


def _is_number(value: Any) -> bool:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return is_number and abs(value) <= LARGEST and math.isfinite(value)


def _is_count(value: Any) -> bool:
    return _is_number(value) and isinstance(value, int) and value >= 0


FieldType = tuple[str, Callable[[Any], bool]]  # its name, and whether a value has it
TEXT: FieldType = ("text", lambda value: isinstance(value, str))
YES_NO: FieldType = ("true or false", lambda value: isinstance(value, bool))
NUMBER: FieldType = ("a number", _is_number)
COUNT: FieldType = ("a whole number from 0", _is_count)
MAYBE: FieldType = ("a number or null", lambda value: value is None or _is_number(value))
LIST: FieldType = ("a list", lambda value: isinstance(value, list))
OBJECT: FieldType = ("an object", lambda value: isinstance(value, dict))


def check_fields(
    found: object, types: Mapping[str, FieldType], name: object, place: str = ""
) -> None:
    """Raise ValueError if an object lacks a field or has one of another type.

    Args:
      found: the object.
      types: the types of the fields that it must have.
      name: the name of its file, for the message.
      place: the place of the object in the file, such as "trials[0]."; "" is the whole file.
    """
    if not isinstance(found, Mapping):
        raise ValueError(f"{name} must have an object at {place.rstrip('.')}, got {_short(found)}")
    for field, (type_name, fits) in types.items():
        if field not in found:
            raise ValueError(f"{name} must have {place}{field}, {type_name}; it has none")
        if not fits(found[field]):
            got = _short(found[field])
            raise ValueError(f"{name} must have {place}{field}, {type_name}, got {got}")


def _short(value: object) -> str:
    if isinstance(value, int) and abs(value) > LARGEST:
        return f"an integer of {value.bit_length()} bits"
    text = repr(value) if not isinstance(value, (dict, list)) else type(value).__name__
    return text if len(text) <= 60 else f"{text[:57]}..."
