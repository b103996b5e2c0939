"""Values as users give them: numbers, dtypes and objects, told from what only looks like one."""

from __future__ import annotations

import math
import operator
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.typing import ArrayLike, DTypeLike

T = TypeVar("T", bound=NamedTuple)


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


def check_number(
    name: str, value: object, *, least: float = -math.inf, above: float = -math.inf
) -> None:
    """Raises ValueError unless a value is a number that float32 holds, at least or above a bound."""
    if isinstance(value, (int, float, np.floating)) and not isinstance(value, bool):
        size, float32 = abs(as_number(value)), np.finfo(np.float32)
        is_held = size == 0 or float(float32.tiny) <= size <= float(float32.max)
        if is_held and value >= least and value > above:
            return
    allowed = {0.0: "positive and "}.get(above, "") + {0.0: "not negative and "}.get(least, "")
    raise ValueError(f"{name} must be {allowed}a finite number of float32, got {displayed(value)}")


def as_flags(name: str, value: ArrayLike, shape: tuple[int, ...]) -> jax.Array:
    """Bools of some shape; raises ValueError if they are not."""
    flags = as_array(name, value)
    if flags.shape != shape or flags.dtype != bool:
        raise ValueError(f"{name} must be bool of shape {shape}, got {flags.dtype} {flags.shape}")
    return flags


def as_length(length: ArrayLike, steps: int, lanes: tuple[int, ...] = ()) -> jax.Array:
    """A number of steps, of all lanes or one a lane; raises ValueError if it is none."""
    length = as_array("length", length)
    if not jnp.issubdtype(length.dtype, jnp.integer) or length.shape not in ((), lanes):
        wanted = f"an integer, or integers of shape {lanes}" if lanes else "an integer"
        raise ValueError(f"length must be {wanted}, got {length.dtype} {length.shape}")
    if not isinstance(length, Tracer):
        known = np.asarray(length)
        if np.any(known < 0) or np.any(known > steps):
            raise ValueError(f"length must be in [0, {steps}], got {length}")
    return length


def check_symbols(
    name: str,
    symbols: jax.Array | np.ndarray,
    num_inputs: int,
    mask: jax.Array | np.ndarray | None = None,
    length: jax.Array | np.ndarray | None = None,
) -> None:
    """Raises ValueError if symbols [T, *lanes] are outside their range, as far as is known.

    Known symbols that are no padding must be in [0, I); under `jit`, others are no input.
    """
    is_known = not any(isinstance(array, Tracer) for array in (symbols, mask, length))
    if not is_known or not jnp.issubdtype(symbols.dtype, jnp.integer):
        return
    known = np.asarray(symbols)
    is_outside = (known < 0) | (known >= num_inputs)
    if mask is not None:
        is_outside &= np.asarray(mask)
    if length is not None:
        steps = np.arange(len(known)).reshape((-1,) + (1,) * (known.ndim - 1))
        is_outside &= steps < np.asarray(length)
    outside = known[is_outside]
    if outside.size:
        raise ValueError(f"{name} must hold integers in [0, {num_inputs}), got {outside[0]}")


def as_inputs(inputs: ArrayLike, num_inputs: int, lanes: tuple[int, ...] = ()) -> jax.Array:
    """Converts a sequence's inputs, [T, I] floating or [T] integers, to an array.

    Raises:
      ValueError: if they have another dtype or shape; a batch is told of `jax.vmap`.
    """
    inputs = as_array("inputs", inputs)
    features = features_of("inputs", inputs, num_inputs)
    if inputs.ndim == 0 or inputs.shape[1:] != features + lanes:
        wanted = ", ".join(["T", *map(str, features + lanes)])
        is_batch = inputs.shape[2:] == features + lanes
        hint = "; for a batch of sequences, lift the function by jax.vmap" if is_batch else ""
        raise ValueError(
            f"inputs of dtype {inputs.dtype} must be [{wanted}], got {inputs.shape}{hint}"
        )
    return inputs


def as_input(x_t: ArrayLike, num_inputs: int) -> jax.Array:
    """Converts one step's input, [I] floating or an integer, to an array.

    Raises:
      ValueError: if it has another dtype or shape, or is an integer outside [0, I).
    """
    x_t = as_array("x_t", x_t)
    features = features_of("x_t", x_t, num_inputs)
    if x_t.shape != features:
        raise ValueError(f"x_t of dtype {x_t.dtype} must have shape {features}, got {x_t.shape}")
    check_symbols("x_t", x_t, num_inputs)
    return x_t


def features_of(name: str, inputs: jax.Array, num_inputs: int) -> tuple[int, ...]:
    """Returns the axes of one step's input: none for integers, which stand for one-hot vectors."""
    if jnp.issubdtype(inputs.dtype, jnp.integer):
        return ()
    if not jnp.issubdtype(inputs.dtype, jnp.floating):
        raise ValueError(f"{name} must be floating or integer, got dtype {inputs.dtype}")
    return (num_inputs,)


def check_same_fields(name: str, found: T, like: T) -> None:
    """Raises ValueError unless a named tuple's arrays have the shapes and dtypes of another's."""
    check_type(name, found, type(like))
    for field, array, wanted in zip(like._fields, found, like, strict=True):
        given, fits = (
            "None" if a is None else f"{a.dtype} of shape {jnp.shape(a)}" for a in (array, wanted)
        )
        if given != fits:
            raise ValueError(f"{name}.{field} must be {fits}, got {given}")


def as_target(
    target: ArrayLike, steps: tuple[int, ...], num_outputs: int, name: str = "target"
) -> jax.Array:
    """Converts targets to an array; raises ValueError unless they are [*steps, K]."""
    target, wanted = as_array(name, target), (*steps, num_outputs)
    if target.shape != wanted:
        raise ValueError(f"{name} must have shape {wanted}, got {target.shape}")
    return target


def as_weights(weights: ArrayLike | None, steps: tuple[int, ...]) -> jax.Array:
    """Converts the weights of steps to an array, ones for None; raises ValueError unless [*steps]."""
    weights = jnp.ones(steps) if weights is None else as_array("weights", weights)
    if weights.shape != steps:
        raise ValueError(f"weights must have shape {steps}, got {weights.shape}")
    return weights


def check_count(name: str, value: object, least: int) -> None:
    """Raises ValueError unless a value is a Python or NumPy integer of at least `least`."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise ValueError(f"{name} must be an integer of at least {least}, got {displayed(value)}")
