"""Checks of arguments: functions `as_*` convert a value or refuse it, `check_*` only refuse it.

Each raises ValueError with the argument's name, its value and what is allowed.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.typing import ArrayLike, DTypeLike

T = TypeVar("T", bound=NamedTuple)


def displayed(value: object) -> str:
    """Return a value as a message displays it: on one line of limited length."""
    try:
        text = " ".join(repr(value).split())
    except ValueError:  # an integer of more digits than Python prints, or what holds one
        is_number = isinstance(value, int)
        text = f"an integer of {value.bit_length()} bits" if is_number else type(value).__name__
    return text if len(text) <= 60 else f"{text[:57]}..."


def require(is_met: object, name: str, wanted: str, value: object) -> None:
    """Raise ValueError, "NAME must be WANTED, got VALUE", unless a requirement is met."""
    if not is_met:
        raise ValueError(f"{name} must be {wanted}, got {displayed(value)}")


def as_number(value: Any) -> float:
    """Return a number as a float: NaN if it is not a number, infinite if it is too large."""
    is_array_of_others = hasattr(value, "dtype") and not jnp.issubdtype(value.dtype, jnp.number)
    if isinstance(value, (bool, str, bytes)) or is_array_of_others:
        return math.nan
    try:
        return math.nan if np.ndim(value) else float(value)
    except OverflowError:
        return math.inf
    except (TypeError, ValueError):
        return math.nan


def as_integer(name: str, value: Any, least: int, below: float = math.inf) -> int:
    """Return an integer in [least, below), of Python, NumPy or JAX, as an int."""
    try:
        number = least - 1 if isinstance(value, bool) else operator.index(value)
    except TypeError:
        number = least - 1
    bound = "" if below == math.inf else f" and below {below}"
    require(least <= number < below, name, f"an integer of at least {least}{bound}", value)
    return number


def as_float(name: str, value: Any, *, least: float = -math.inf, above: float = -math.inf) -> float:
    """Return a finite number of float32, at least or above a bound, as a float of Python."""
    number = as_number(value)
    float32 = np.finfo(np.float32)
    is_float32 = number == 0 or float(float32.tiny) <= abs(number) <= float(float32.max)
    sign = "positive and " if above == 0 else "not negative and " if least == 0 else ""
    is_met = is_float32 and number >= least and number > above
    require(is_met, name, f"{sign}a finite number of float32", value)
    return number


def convert_fields(record: object, convert: Callable[[str, Any], Any], *names: str) -> None:
    """Replace fields of a frozen dataclass by what `convert` makes of their names and values."""
    for name in names:
        object.__setattr__(record, name, convert(name, getattr(record, name)))


def check_tolerance(tolerance: object) -> None:
    """Raise ValueError unless a tolerance is a number of at least 0."""
    if not as_number(tolerance) >= 0:
        raise ValueError(f"tolerance must not be negative, got {displayed(tolerance)}")


def check_choice(name: str, value: object, allowed: tuple) -> None:
    """Raise ValueError unless a value is one of those that are allowed, all of one class."""
    is_met = isinstance(value, type(allowed[0])) and value in allowed
    require(is_met, name, f"one of {allowed}", value)


def check_type(name: str, value: object, cls: type) -> None:
    """Raise ValueError unless a value is an instance of a class."""
    require(isinstance(value, cls), name, f"of class {cls.__name__}", value)


def check_floating(name: str, dtype: DTypeLike) -> None:
    """Raise ValueError unless a dtype is a floating one."""
    try:
        is_floating = jnp.issubdtype(dtype, jnp.floating)
    except TypeError:
        is_floating = False
    require(is_floating, name, "a floating dtype", dtype)


def check_key(name: str, key: jax.Array) -> None:
    """Raise ValueError unless a value is a single PRNG key, new style or old style."""
    dtype = getattr(key, "dtype", np.dtype(object))
    is_new = jnp.issubdtype(dtype, jax.dtypes.prng_key) and key.ndim == 0
    is_old = dtype == np.uint32 and np.ndim(key) == 1
    require(is_new or is_old, name, "a PRNG key, such as jax.random.key(0)", key)


def as_array(name: str, value: object) -> jax.Array:
    """Convert an array-like; refuse integers that its dtype cannot hold, which JAX would wrap."""
    try:
        array = jnp.asarray(value)
    except (TypeError, ValueError, OverflowError) as error:
        found = f"{displayed(value)}: {str(error).splitlines()[0]}"
        raise ValueError(f"{name} must be an array of numbers, got {found}") from error
    is_on_host = not isinstance(value, jax.Array) and not isinstance(array, Tracer)
    if is_on_host and jnp.issubdtype(array.dtype, jnp.integer):
        given, limits = np.asarray(value), np.iinfo(array.dtype)
        outside = given[(given < limits.min) | (given > limits.max)]
        if outside.size:
            raise ValueError(f"{name} must hold integers of {array.dtype}, got {outside[0]}")
    return array


def as_flags(name: str, value: ArrayLike, shape: tuple[int, ...]) -> jax.Array:
    """Convert bools of a shape to an array."""
    flags = as_array(name, value)
    if flags.shape != shape or flags.dtype != bool:
        raise ValueError(f"{name} must be bool of shape {shape}, got {flags.dtype} {flags.shape}")
    return flags


def as_length(length: ArrayLike, steps: int, lanes: tuple[int, ...] = ()) -> jax.Array:
    """Convert a number of steps, one for all lanes or one per lane, to an array."""
    length = as_array("length", length)
    if not jnp.issubdtype(length.dtype, jnp.integer) or length.shape not in ((), lanes):
        wanted = f"an integer, or integers of shape {lanes}" if lanes else "an integer"
        raise ValueError(f"length must be {wanted}, got {length.dtype} {length.shape}")
    known = np.zeros(()) if isinstance(length, Tracer) else np.asarray(length)
    is_met = np.all((known >= 0) & (known <= steps))
    require(is_met, "length", f"in [0, {steps}]", known.tolist())
    return length


def check_symbols(
    name: str,
    symbols: jax.Array | np.ndarray,
    num_inputs: int,
    mask: jax.Array | np.ndarray | None = None,
    length: jax.Array | np.ndarray | None = None,
) -> None:
    """Raise ValueError unless symbols [T, *lanes] that are known and not padding are in [0, I)."""
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
    """Convert a sequence's inputs, [T, I] floating or [T] integers, to an array."""
    inputs = as_array("inputs", inputs)
    shape = _input_shape("inputs", inputs, num_inputs) + lanes
    if inputs.ndim == 0 or inputs.shape[1:] != shape:
        is_batch = inputs.shape[2:] == shape
        hint = "; for a batch of sequences, lift the function by jax.vmap" if is_batch else ""
        wanted = f"[{', '.join(['T', *map(str, shape)])}], got {inputs.shape}{hint}"
        raise ValueError(f"inputs of dtype {inputs.dtype} must be {wanted}")
    return inputs


def as_input(x_t: ArrayLike, num_inputs: int) -> jax.Array:
    """Convert the input of one step, [I] floating or an integer in [0, I), to an array."""
    x_t = as_array("x_t", x_t)
    shape = _input_shape("x_t", x_t, num_inputs)
    if x_t.shape != shape:
        raise ValueError(f"x_t of dtype {x_t.dtype} must have shape {shape}, got {x_t.shape}")
    check_symbols("x_t", x_t, num_inputs)
    return x_t


def _input_shape(name: str, inputs: jax.Array, num_inputs: int) -> tuple[int, ...]:
    """Return the shape of one step's input: () for integers, which stand for one-hot vectors."""
    if jnp.issubdtype(inputs.dtype, jnp.integer):
        return ()
    if not jnp.issubdtype(inputs.dtype, jnp.floating):
        raise ValueError(f"{name} must be floating or integer, got dtype {inputs.dtype}")
    return (num_inputs,)


def as_weights(weights: ArrayLike | None, steps: tuple[int, ...]) -> jax.Array:
    """Convert the weights of steps [*steps] to an array; None stands for ones."""
    return jnp.ones(steps) if weights is None else as_shaped("weights", weights, steps)


def as_shaped(name: str, value: ArrayLike, shape: tuple[int, ...]) -> jax.Array:
    """Convert an array-like of a shape to an array."""
    array = as_array(name, value)
    if array.shape != shape:
        raise ValueError(f"{name} must have shape {shape}, got {array.shape}")
    return array


def check_same_fields(name: str, value: T, like: T) -> None:
    """Raise ValueError unless a named tuple's arrays have the shapes and dtypes of another's."""
    check_type(name, value, type(like))
    describe = lambda a: "None" if a is None else f"{a.dtype} of shape {jnp.shape(a)}"
    for field, array, wanted in zip(like._fields, value, map(describe, like), strict=True):
        if describe(array) != wanted:
            raise ValueError(f"{name}.{field} must be {wanted}, got {describe(array)}")
