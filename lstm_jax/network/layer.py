"""The hidden layer over a sequence, with the gradient of your choice."""

from __future__ import annotations

from typing import Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from lstm_jax.network.architecture import Architecture
from lstm_jax.network.cell import State, zero_state
from lstm_jax.network.parameters import Parameters, check_parameters, join
from lstm_jax.network.recurrence import Activations, Recurrence, Sequence, vary_alike
from lstm_jax.network.truncated import truncated

Gradient = Literal["truncated", "truncated_autodiff", "full"]
Record = Literal["last", "all"]


def unroll(
    architecture: Architecture,
    parameters: Parameters,
    inputs: jax.Array,
    *,
    initial_state: State | None = None,
    mask: jax.Array | None = None,
    length: jax.Array | int | None = None,
    gradient: Gradient = "truncated",
    record: Record = "all",
    steps_per_iteration: int = 1,
) -> tuple[Activations | None, State]:
    """Runs the hidden layer of one network over one sequence; lift it with `jax.vmap`.

    Arrays may also carry lanes, axes behind all others, on parameters and inputs alike: see
    `lstm_jax.network.lanes`.

    >>> from lstm_jax.parameters import initialise
    >>> net = Architecture(num_inputs=3, blocks=(2,), num_outputs=1)
    >>> parameters = initialise(jax.random.key(0), net)
    >>> activations, final_state = unroll(net, parameters, jnp.ones((10, 3)))
    >>> activations.cell_output.shape, final_state.internal_state.shape
    ((10, 2), (2,))

    Args:
      architecture: the network; static under `jit`.
      parameters: its weights; their dtype is that of all results.
      inputs: [T, I] floating, or [T] integers in [0, I) that stand for one-hot vectors. T may be 0.
      initial_state: the state before the first step; None: zero, as in the paper.
      mask: [T] bool, False at steps that are padding. A masked step is the identity on the state,
        its activations are recorded as 0, and it contributes nothing to any gradient.
      length: instead of `mask`, the number of steps before the padding, in [0, T].
      gradient: what `jax.grad` computes.
        "truncated": the paper's rule, by `custom_vjp`; reverse mode only.
        "truncated_autodiff": the same numbers by `stop_gradient` inside the scan: slower, with the
          memory of full backpropagation, but open to forward mode and higher derivatives.
        "full": the exact gradient, by backpropagation through time.
      record: "all" returns the activations of every step; "last" only the final state, and then a
        gradient costs no sum over time.
      steps_per_iteration: how many steps one iteration of the compiled loop takes.

    Returns:
      The `Activations` [T, ...], or None, and the final `State`, which is that after the last
      step that is not padding.

    Raises:
      ValueError: if an argument does not fit the architecture.
    """
    sequence = prepare(architecture, parameters, inputs, initial_state, mask, length)
    return run(
        architecture,
        parameters,
        sequence,
        gradient=gradient,
        record=record,
        steps_per_iteration=steps_per_iteration,
    )


def prepare(
    architecture: Architecture,
    parameters: Parameters,
    inputs: jax.Array,
    initial_state: State | None,
    mask: jax.Array | None,
    length: jax.Array | int | None,
) -> Sequence:
    """Checks the arguments of `unroll` and makes them a `Sequence` of the parameters' dtype.

    Raises:
      ValueError: if one of them does not fit the architecture.
    """
    check_parameters(architecture, parameters)
    dtype, lanes = parameters.output.cell.dtype, parameters.output.cell.shape[2:]
    _check_inputs(architecture, inputs, lanes)
    mask, length = _real_steps(inputs.shape[0], mask, length, lanes)
    inputs = clear_padding(inputs, mask)
    if not jnp.issubdtype(inputs.dtype, jnp.integer):
        inputs = inputs.astype(dtype)
    start = zero_state(architecture, dtype, lanes)
    if initial_state is None:
        return Sequence(inputs, start, mask, length)
    _check_state(initial_state, start)
    return Sequence(inputs, initial_state, mask, length)


def run(
    architecture: Architecture,
    parameters: Parameters,
    sequence: Sequence,
    *,
    gradient: Gradient,
    record: Record,
    steps_per_iteration: int,
) -> tuple[Activations | None, State]:
    """`unroll` over a prepared sequence."""
    _check_choice("gradient", gradient, get_args(Gradient))
    _check_choice("record", record, get_args(Record))
    if not isinstance(steps_per_iteration, int) or steps_per_iteration < 1:
        raise ValueError(f"steps_per_iteration must be at least 1, got {steps_per_iteration!r}")
    layer = Recurrence(
        architecture,
        record=record == "all",
        cut=gradient == "truncated_autodiff",
        unroll=steps_per_iteration,
    )
    call = truncated if gradient == "truncated" else Recurrence.__call__
    weights, sequence = vary_alike((join(architecture, parameters.layer), sequence))
    final_state, activations = call(layer, weights, sequence)
    if activations is not None:
        activations = jax.tree.map(lambda a: clear_padding(a, sequence.mask), activations)
    return activations, final_state


def clear_padding(values: jax.Array, mask: jax.Array | None) -> jax.Array:
    """0 at masked steps, for [T, n, *lanes] or [T, *lanes]: be it NaN, padding touches no sum."""
    if mask is None:
        return values
    return jnp.where(mask[:, None] if values.ndim > mask.ndim else mask, values, 0)


def _real_steps(
    steps: int,
    mask: jax.Array | None,
    length: jax.Array | int | None,
    lanes: tuple[int, ...],
) -> tuple[jax.Array | None, jax.Array | None]:
    """The mask, [T, *lanes] bool, and the length, [*lanes], that it was made from, if it was."""
    if mask is not None:
        if length is not None:
            raise ValueError(f"give mask or length, not both, got length {length!r} and a mask")
        if mask.shape != (steps, *lanes) or mask.dtype != bool:
            wanted = f"bool of shape {(steps, *lanes)}"
            raise ValueError(f"mask must be {wanted}, got {mask.dtype} {mask.shape}")
        return mask, None
    if length is None:
        return None, None
    _check_length(length, steps, lanes)
    length = jnp.broadcast_to(length, lanes)
    step = jnp.arange(steps).reshape((-1,) + (1,) * len(lanes))
    return step < length[None], length


def _check_inputs(architecture: Architecture, inputs: jax.Array, lanes: tuple[int, ...]) -> None:
    is_symbols = jnp.issubdtype(inputs.dtype, jnp.integer)
    if not is_symbols and not jnp.issubdtype(inputs.dtype, jnp.floating):
        raise ValueError(f"inputs must be floating or integer, got dtype {inputs.dtype}")
    features = () if is_symbols else (architecture.num_inputs,)
    if inputs.ndim == 0 or inputs.shape[1:] != features + lanes:
        wanted = ", ".join(["T", *map(str, features + lanes)])
        raise ValueError(f"inputs of dtype {inputs.dtype} must be [{wanted}], got {inputs.shape}")


def _check_length(length: jax.Array | int, steps: int, lanes: tuple[int, ...]) -> None:
    dtype, shape = jnp.result_type(length), jnp.shape(length)
    if not jnp.issubdtype(dtype, jnp.integer) or shape not in ((), lanes):
        wanted = f"an integer, or integers of shape {lanes}" if lanes else "an integer"
        raise ValueError(f"length must be {wanted}, got {dtype} {shape}")
    if isinstance(length, Tracer):
        return
    if np.any(np.asarray(length) < 0) or np.any(np.asarray(length) > steps):
        raise ValueError(f"length must be in [0, {steps}], got {length}")


def _check_state(state: State, like: State) -> None:
    for name, array, wanted in zip(State._fields, state, like, strict=True):
        if wanted is None and array is None:
            continue
        found, fits = (
            "None" if a is None else f"{a.dtype} of shape {jnp.shape(a)}" for a in (array, wanted)
        )
        if found != fits:
            raise ValueError(f"initial_state.{name} must be {fits}, got {found}")


def _check_choice(name: str, value: object, allowed: tuple) -> None:
    if value not in allowed:
        raise ValueError(f"{name} must be one of {allowed}, got {value!r}")
