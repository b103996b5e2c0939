"""Values as users give them: numbers, dtypes and objects, told from what only looks like one."""

from __future__ import annotations

import math
import operator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.typing import DTypeLike


def as_number(value: Any) -> float:
    """Python's, NumPy's or JAX's number as a float; NaN if it is none, infinite if it is too large.

    >>> as_number(np.float32(0.5)), as_number(10**400), as_number("1"), as_number(True)
    (0.5, inf, nan, nan)
    """
    if isinstance(value, (bool, np.bool_, str, bytes)):
        return math.nan
    try:
        return math.nan if np.ndim(value) else float(value)
    except OverflowError:
        return math.inf
    except (TypeError, ValueError):
        return math.nan


def whole(name: str, value: object, least: int, below: int) -> int:
    """A whole number in [least, below) as an int, be it Python's or NumPy's.

    Raises:
      ValueError: if it is something else; the message has the argument's name.

    >>> whole("chunk", 10.0, 1, 100)
    Traceback (most recent call last):
    ValueError: chunk must be a whole number, at least 1 and below 100, got 10.0
    """
    number = as_index(value)
    if number is None or not least <= number < below:
        raise ValueError(
            f"{name} must be a whole number, at least {least} and below {below}, got {displayed(value)}"
        )
    return number


def at_least(name: str, value: object, least: int) -> int:
    """The same without an upper bound."""
    number = as_index(value)
    if number is None:
        raise ValueError(f"{name} must be a whole number, got {displayed(value)}")
    if number < least:
        raise ValueError(f"{name} must be at least {least}, got {number}")
    return number


def as_index(value: Any) -> int | None:
    """Python's, NumPy's or JAX's whole number as an int; None if it is none."""
    try:
        return None if isinstance(value, bool) else operator.index(value)
    except TypeError:
        return None


def displayed(value: object) -> str:
    """A value as a message shows it: on one line, and not without end."""
    try:
        text = " ".join(repr(value).split())
    except ValueError:  # an integer of more digits than Python prints, or what holds one
        is_number = isinstance(value, int)
        text = f"an integer of {value.bit_length()} bits" if is_number else type(value).__name__
    return text if len(text) <= 60 else f"{text[:57]}..."


def check_floating(name: str, dtype: DTypeLike) -> None:
    """Raises ValueError unless a dtype is a floating one."""
    try:
        is_floating = jnp.issubdtype(dtype, jnp.floating)
    except TypeError:
        is_floating = False
    if not is_floating:
        raise ValueError(f"{name} must be a floating dtype, got {dtype!r}")


def check_tolerance(tolerance: object) -> None:
    """Raises ValueError unless it is a number of at least 0."""
    if not as_number(tolerance) >= 0:
        raise ValueError(f"tolerance must not be negative, got {displayed(tolerance)}")


def check_key(name: str, key: jax.Array) -> None:
    """Raises ValueError unless a value is one key of `jax.random`."""
    is_new = jnp.issubdtype(getattr(key, "dtype", np.dtype(object)), jax.dtypes.prng_key)
    is_old = getattr(key, "dtype", None) == np.uint32 and np.ndim(key) == 1
    if not (is_old or (is_new and key.ndim == 0)):
        raise ValueError(
            f"{name} must be a PRNG key, such as jax.random.key(0), got {displayed(key)}"
        )


def check_type(name: str, value: object, kind: type) -> None:
    """Raises ValueError unless a value is of a class."""
    if not isinstance(value, kind):
        raise ValueError(f"{name} must be of class {kind.__name__}, got {displayed(value)}")


def check_choice(name: str, value: object, allowed: tuple) -> None:
    """Raises ValueError unless the value is one of those that are allowed."""
    if value not in allowed:
        raise ValueError(f"{name} must be one of {allowed}, got {value!r}")


def as_array(name: str, value: object) -> jax.Array:
    """What NumPy takes, as an array; raises ValueError if it takes it not.

    Integers beyond those of the array's dtype are refused: JAX would take them for others.
    """
    try:
        array = jnp.asarray(value)
    except (TypeError, ValueError, OverflowError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(
            f"{name} must be an array of numbers, got {displayed(value)}: {reason}"
        ) from error
    is_host_s = not isinstance(value, jax.Array) and not isinstance(array, Tracer)
    if is_host_s and jnp.issubdtype(array.dtype, jnp.integer):
        given = np.asarray(value)
        held = np.iinfo(array.dtype)
        outside = given[(given < held.min) | (given > held.max)]
        if outside.size:
            raise ValueError(f"{name} must hold integers of {array.dtype}, got {outside[0]}")
    return array
