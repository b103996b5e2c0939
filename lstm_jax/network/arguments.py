"""What can be wrong with the arguments of a run, said before anything is traced."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.typing import ArrayLike

from lstm_jax.cell.architecture import Architecture
from lstm_jax.cell.parameters import Parameters, check_parameters
from lstm_jax.cell.scan import Steps
from lstm_jax.cell.step import State, zero_state
from lstm_jax.cell.validation import as_array, check_type


class RunArguments(NamedTuple):
    """The checked arguments of a run, as arrays."""

    inputs: jax.Array
    """[T, I] floating or [T] integer."""
    initial_state: State | None
    """The state before the first step; None: `zero_state`."""
    mask: jax.Array | None
    """[T] bool, as in `Steps`."""
    length: jax.Array | None
    """[] or lanes, integer, as in `Steps`."""
    reset: jax.Array | None
    """[T] bool, as in `Steps`."""


def check_run(
    architecture: Architecture,
    parameters: Parameters,
    inputs: ArrayLike,
    steps: Steps = Steps(),
    initial_state: State | None = None,
) -> RunArguments:
    """Converts the arguments of a run to arrays.

    Raises:
      ValueError: if one of them does not fit the architecture or the others.
    """
    check_parameters(architecture, parameters)
    like = parameters.output.cell
    lanes = like.shape[2:]
    inputs = _as_inputs(architecture, inputs, lanes)
    if initial_state is not None:
        check_state("initial_state", architecture, initial_state, like)
    mask, length, reset = check_steps(steps, inputs.shape[0], lanes)
    check_symbols("inputs", inputs, architecture.num_inputs, mask, length)
    return RunArguments(inputs, initial_state, mask, length, reset)


def check_steps(
    steps: Steps, num_steps: int, lanes: tuple[int, ...] = ()
) -> tuple[jax.Array | None, jax.Array | None, jax.Array | None]:
    """Converts `Steps` to arrays, mask, length and reset.

    Raises:
      ValueError: if one of them does not have T steps, or padding is given twice.
    """
    check_type("steps", steps, Steps)
    mask, length, reset = steps
    if mask is not None and length is not None:
        raise ValueError(f"give mask or length, not both, got length {length!r} and a mask")
    shape = (num_steps, *lanes)
    return (
        None if mask is None else as_flags("mask", mask, shape),
        None if length is None else as_length(length, num_steps, lanes),
        None if reset is None else as_flags("reset", reset, shape),
    )


def _as_inputs(architecture: Architecture, inputs: ArrayLike, lanes: tuple[int, ...]) -> jax.Array:
    inputs = as_array("inputs", inputs)
    is_symbols = jnp.issubdtype(inputs.dtype, jnp.integer)
    if not is_symbols and not jnp.issubdtype(inputs.dtype, jnp.floating):
        raise ValueError(f"inputs must be floating or integer, got dtype {inputs.dtype}")
    features = () if is_symbols else (architecture.num_inputs,)
    if inputs.ndim == 0 or inputs.shape[1:] != features + lanes:
        wanted = ", ".join(["T", *map(str, features + lanes)])
        is_batch = inputs.shape[2:] == features + lanes
        hint = "; for a batch of sequences, lift the function by jax.vmap" if is_batch else ""
        raise ValueError(
            f"inputs of dtype {inputs.dtype} must be [{wanted}], got {inputs.shape}{hint}"
        )
    return inputs


def check_step(architecture: Architecture, x_t: ArrayLike) -> jax.Array:
    """One step's input, [I] floating or an integer, as an array; raises ValueError if not."""
    check_type("architecture", architecture, Architecture)
    x_t = as_array("x_t", x_t)
    is_symbol = jnp.issubdtype(x_t.dtype, jnp.integer)
    if not is_symbol and not jnp.issubdtype(x_t.dtype, jnp.floating):
        raise ValueError(f"x_t must be floating or integer, got dtype {x_t.dtype}")
    wanted = () if is_symbol else (architecture.num_inputs,)
    if x_t.shape != wanted:
        raise ValueError(f"x_t of dtype {x_t.dtype} must have shape {wanted}, got {x_t.shape}")
    check_symbols("x_t", x_t, architecture.num_inputs)
    return x_t


def check_state(name: str, architecture: Architecture, state: State, like: jax.Array) -> None:
    """Raises ValueError if `state` is none of a network whose parameters are like `like`."""
    check_type(name, state, State)
    wanted = jax.eval_shape(lambda: zero_state(architecture, like.dtype, like.shape[2:]))
    for field, array, fitting in zip(State._fields, state, wanted, strict=True):
        if fitting is None and array is None:
            continue
        found, fits = (
            "None" if a is None else f"{a.dtype} of shape {jnp.shape(a)}" for a in (array, fitting)
        )
        if found != fits:
            raise ValueError(f"{name}.{field} must be {fits}, got {found}")


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


def check_target(
    architecture: Architecture, target: ArrayLike, steps: tuple[int, ...], name: str = "target"
) -> jax.Array:
    """What the output units should be, [*steps, K]; raises ValueError if it is not."""
    target, wanted = as_array(name, target), (*steps, architecture.num_outputs)
    if target.shape != wanted:
        raise ValueError(f"{name} must have shape {wanted}, got {target.shape}")
    return target


def check_weights(weights: ArrayLike | None, steps: tuple[int, ...]) -> jax.Array:
    """How much each step's error counts, 1 if nothing is said; raises ValueError if it is not."""
    weights = jnp.ones(steps) if weights is None else as_array("weights", weights)
    if weights.shape != steps:
        raise ValueError(f"weights must have shape {steps}, got {weights.shape}")
    return weights
