"""Checks of arguments: `as_*` converts a value or rejects it, `check_*` only rejects it.

Each raises ValueError with the argument's name, its value and what is allowed.
"""

from __future__ import annotations

import contextlib
import math
import operator
import pickle
from collections.abc import Callable, Mapping
from typing import NamedTuple, SupportsFloat, SupportsIndex, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.typing import ArrayLike, DTypeLike

T = TypeVar("T", bound=NamedTuple)
A = TypeVar("A")
V = TypeVar("V")


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


def as_number(value: object) -> float:
    """Return a number as a float: NaN if it is not a number, infinite if it is too large."""
    is_array_of_numbers = jnp.issubdtype(getattr(value, "dtype", int), jnp.number)
    if isinstance(value, bool) or not is_array_of_numbers or getattr(value, "ndim", 0):
        return math.nan
    try:
        return float(value) if isinstance(value, (SupportsFloat, SupportsIndex)) else math.nan
    except OverflowError:
        return math.inf
    except (TypeError, ValueError):
        return math.nan


def as_integer(name: str, value: object, least: int, below: float = math.inf) -> int:
    """Return an integer in [least, below), of Python, NumPy or JAX, as an int."""
    number = least - 1
    if isinstance(value, SupportsIndex) and not isinstance(value, bool):
        with contextlib.suppress(TypeError):  # an array that is not one integer
            number = operator.index(value)
    bound = "" if below == math.inf else f" and below {below}"
    require(least <= number < below, name, f"an integer of at least {least}{bound}", value)
    return number


def as_float(
    name: str, value: object, *, least: float = -math.inf, above: float = -math.inf
) -> float:
    """Return a finite number of float32, at least or above a bound, as a float of Python."""
    number = as_number(value)
    float32 = np.finfo(np.float32)
    is_float32 = number == 0 or float(float32.tiny) <= abs(number) <= float(float32.max)
    sign = "positive and " if above == 0 else "not negative and " if least == 0 else ""
    is_met = is_float32 and number >= least and number > above
    require(is_met, name, f"{sign}a finite number of float32", value)
    return number


def convert_fields(record: object, convert: Callable[[str, object], object], *names: str) -> None:
    """Replace fields of a frozen dataclass by what `convert` makes of their names and values."""
    for name in names:
        object.__setattr__(record, name, convert(name, getattr(record, name)))


def check_tolerance(tolerance: object) -> None:
    """Raise ValueError unless a tolerance is a number of at least 0."""
    if not as_number(tolerance) >= 0:
        raise ValueError(f"tolerance must not be negative, got {displayed(tolerance)}")


def check_choice(name: str, value: object, allowed: tuple) -> None:
    """Raise ValueError unless a value is one of the allowed ones, which are of one class."""
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


def is_finite(array: jax.Array) -> bool:
    """Return whether an array is finite as far as it is known."""
    return isinstance(array, Tracer) or bool(np.isfinite(np.asarray(array, np.float64)).all())


def check_key(name: str, key: jax.Array) -> None:
    """Raise ValueError unless a value is a single PRNG key, new style or old style."""
    dtype = getattr(key, "dtype", np.dtype(object))
    is_new = jnp.issubdtype(dtype, jax.dtypes.prng_key) and key.ndim == 0
    is_old = dtype == np.uint32 and np.ndim(key) == 1
    wanted = "one PRNG key, such as jax.random.key(0)"
    is_batch = jnp.issubdtype(dtype, jax.dtypes.prng_key)
    wanted += "; for a batch of keys, lift the function by jax.vmap" * bool(is_batch)
    require(is_new or is_old, name, wanted, key)


def as_array(name: str, value: object) -> jax.Array:
    """Convert an array-like; refuse what would lose its meaning, and integers that JAX would wrap.

    Masks of masked arrays would be lost, and bytes would become integers.
    """
    _check_parts(name, value)
    parts = jax.tree.leaves(value) if isinstance(value, (list, tuple)) else [value]
    if any(isinstance(part, jax.Array) or hasattr(part, "__jax_array__") for part in parts):
        return _converted(name, value, jnp.asarray)
    return jnp.asarray(as_host_array(name, value))


def as_host_array(name: str, value: object) -> np.ndarray:
    """Convert as `as_array` does, to the same dtype, by NumPy alone: no device is needed."""
    _check_parts(name, value)
    array = _converted(name, value, np.asarray)
    kinds = () if array.dtype.kind == "m" else (np.number, np.bool_)  # not a duration
    is_met = any(jnp.issubdtype(array.dtype, kind) for kind in kinds)
    require(is_met, name, f"an array of numbers, but its dtype is {array.dtype}", value)
    dtype = _converted(name, array.dtype.newbyteorder("="), jax.dtypes.canonicalize_dtype)
    if jnp.issubdtype(dtype, jnp.integer):
        limits = np.iinfo(dtype)
        outside = array[(array < limits.min) | (array > limits.max)]
        if outside.size:
            raise ValueError(f"{name} must hold integers of {dtype}, got {outside[0]}")
    with np.errstate(over="ignore"):  # infinite, as in JAX
        return array.astype(dtype, copy=False)


def _check_parts(name: str, value: object) -> None:
    """Raise ValueError for containers that NumPy and JAX convert with another meaning."""
    parts = jax.tree.leaves(value) if isinstance(value, (list, tuple)) else [value]
    for part in parts:
        if isinstance(part, np.ma.MaskedArray):
            raise ValueError(
                f"{name} must not be a masked array; give it filled, and its mask as that of Steps"
            )
        require(not isinstance(part, (bytes, bytearray)), name, "an array of numbers", value)


def _converted(name: str, value: V, convert: Callable[[V], A]) -> A:
    try:
        return convert(value)
    except (TypeError, ValueError, OverflowError, RuntimeError) as error:
        found = f"{displayed(value)}: {str(error).splitlines()[0]}"
        raise ValueError(f"{name} must be an array of numbers, got {found}") from error


def as_real(name: str, value: object) -> jax.Array:
    """Convert an array-like of real numbers: floating, integer or bool."""
    array = as_array(name, value)
    is_real = any(jnp.issubdtype(array.dtype, k) for k in (jnp.floating, jnp.integer, jnp.bool_))
    require(is_real, name, "an array of real numbers", array.dtype)
    return array


def as_floats(arrays: Mapping[str, jax.Array]) -> dict[str, jax.Array]:
    """Convert arrays to one floating dtype, the widest of theirs; the default if none has one."""
    dtype = widest(*arrays.values())
    return {name: array.astype(dtype) for name, array in arrays.items()}


def widest(*arrays: jax.Array) -> np.dtype:
    """Return the widest floating dtype of arrays, or the default one if none is floating."""
    floating = [array.dtype for array in arrays if jnp.issubdtype(array.dtype, jnp.floating)]
    with jax.numpy_dtype_promotion("standard"):
        return jnp.result_type(*floating) if floating else jnp.result_type(float)


def batch_hint(found: tuple[int, ...], wanted: tuple[int, ...]) -> str:
    """Return the end of a message about shapes: what to do if the argument is a batch."""
    is_batch = len(found) > 0 and found[1:] == wanted
    return "; for a batch, lift the function by jax.vmap" if is_batch else ""


def as_flags(name: str, value: ArrayLike, shape: tuple[int, ...]) -> jax.Array:
    """Convert bools of a shape to an array."""
    flags = as_array(name, value)
    if flags.shape != shape or flags.dtype != bool:
        found = f"{flags.dtype} {flags.shape}{batch_hint(flags.shape, shape)}"
        raise ValueError(f"{name} must be bool of shape {shape}, got {found}")
    return flags


def as_length(length: ArrayLike, steps: int, lanes: tuple[int, ...] = ()) -> jax.Array:
    """Convert a number of steps, one for all lanes or one per lane, to an array."""
    length = as_array("length", length)
    if not jnp.issubdtype(length.dtype, jnp.integer) or length.shape not in ((), lanes):
        wanted = f"an integer, or integers of shape {lanes}" if lanes else "an integer"
        found = f"{length.dtype} {length.shape}{batch_hint(length.shape, lanes)}"
        raise ValueError(f"length must be {wanted}, got {found}")
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
        hint = batch_hint(inputs.shape[1:], shape)
        wanted = f"[{', '.join(['T', *map(str, shape)])}], got {inputs.shape}{hint}"
        raise ValueError(f"inputs of dtype {inputs.dtype} must be {wanted}")
    return inputs


def as_input(x_t: ArrayLike, num_inputs: int) -> jax.Array:
    """Convert the input of one step, [I] floating or an integer in [0, I), to an array."""
    x_t = as_array("x_t", x_t)
    shape = _input_shape("x_t", x_t, num_inputs)
    if x_t.shape != shape:
        found = f"{x_t.shape}{batch_hint(x_t.shape, shape)}"
        raise ValueError(f"x_t of dtype {x_t.dtype} must have shape {shape}, got {found}")
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
    """Convert real numbers of a shape to an array."""
    array = as_real(name, value)
    if array.shape != shape:
        found = f"{array.shape}{batch_hint(array.shape, shape)}"
        raise ValueError(f"{name} must have shape {shape}, got {found}")
    return array


def check_is_array(name: str, value: object) -> None:
    """Raise ValueError unless a value is None, or an array of JAX or NumPy without a mask."""
    arrays = (jax.Array, np.ndarray, np.generic, type(None))
    is_met = isinstance(value, arrays) and not isinstance(value, np.ma.MaskedArray)
    require(is_met, name, "an array of JAX or NumPy", value)


def check_fields(name: str, value: T, shapes: T, dtype: DTypeLike) -> None:
    """Raise ValueError unless a named tuple's arrays have the given shapes and one dtype."""
    check_type(name, value, type(shapes))
    dtype = jax.dtypes.canonicalize_dtype(dtype)
    describe = lambda shape, dtype: "None" if shape is None else f"{dtype} of shape {shape}"
    for field, array, shape in zip(shapes._fields, value, shapes, strict=True):
        check_is_array(f"{name}.{field}", array)
        found = "None" if array is None else describe(jnp.shape(array), array.dtype)
        if found != describe(shape, dtype):
            hint = "" if array is None or shape is None else batch_hint(jnp.shape(array), shape)
            raise ValueError(f"{name}.{field} must be {describe(shape, dtype)}, got {found}{hint}")


def picklable(record: object, advice: str) -> dict[str, object]:
    """Return the fields of a dataclass; raise TypeError that names one that cannot be pickled."""
    for name, value in vars(record).items():
        try:
            pickle.dumps(value)
        except Exception as error:  # of whatever type a field's class raises
            which = f"{type(record).__name__}.{name}"
            raise TypeError(f"{which} cannot be pickled ({error}): {advice}") from error
    return vars(record)
