"""The hidden layer over a sequence, with the gradient of your choice."""

from __future__ import annotations

import functools
from typing import Literal, NamedTuple, get_args, overload

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from lstm_jax.cell.architecture import Architecture
from lstm_jax.cell.step import State, advance, zero_state
from lstm_jax.network.arguments import Given, check_choice, check_given, check_state, check_step
from lstm_jax.cell.parameters import Parameters, check_parameters, join
from lstm_jax.cell.scan import Activations, Recurrence, Sequence, project
from lstm_jax.gradient.reverse_mode import truncated
from lstm_jax.cell.sharding import vary_alike

Gradient = Literal["truncated", "truncated_autodiff", "full"]
Record = Literal["last", "all"]


class How(NamedTuple):
    """How a layer is run: what is static under `jit`, beside the architecture."""

    gradient: Gradient
    """What `jax.grad` computes."""
    record: Record
    """Whether activations are kept."""
    steps_per_iteration: int
    """Steps that one iteration of the compiled loop takes."""
    reverse: bool
    """Whether steps are taken from the last to the first."""


@overload
def unroll(
    architecture: Architecture,
    parameters: Parameters,
    inputs: ArrayLike,
    *,
    initial_state: State | None = None,
    mask: ArrayLike | None = None,
    length: ArrayLike | None = None,
    reset: ArrayLike | None = None,
    reverse: bool = False,
    gradient: Gradient = "truncated",
    record: Literal["all"] = "all",
    steps_per_iteration: int = 1,
) -> tuple[Activations, State]: ...


@overload
def unroll(
    architecture: Architecture,
    parameters: Parameters,
    inputs: ArrayLike,
    *,
    initial_state: State | None = None,
    mask: ArrayLike | None = None,
    length: ArrayLike | None = None,
    reset: ArrayLike | None = None,
    reverse: bool = False,
    gradient: Gradient = "truncated",
    record: Literal["last"],
    steps_per_iteration: int = 1,
) -> tuple[None, State]: ...


def unroll(
    architecture: Architecture,
    parameters: Parameters,
    inputs: ArrayLike,
    *,
    initial_state: State | None = None,
    mask: ArrayLike | None = None,
    length: ArrayLike | None = None,
    reset: ArrayLike | None = None,
    reverse: bool = False,
    gradient: Gradient = "truncated",
    record: Record = "all",
    steps_per_iteration: int = 1,
) -> tuple[Activations | None, State]:
    """Runs the hidden layer of one network over one sequence; lift it with `jax.vmap`.

    Arrays may also carry lanes, axes behind all others, on parameters and inputs alike: see
    `lstm_jax.cell.lanes`.

    >>> from lstm_jax.cell.parameters import initialise
    >>> net = Architecture(num_inputs=3, blocks=(2,), num_outputs=1)
    >>> parameters = initialise(jax.random.key(0), net)
    >>> activations, final_state = unroll(net, parameters, jnp.ones((10, 3)))
    >>> activations.cell_output.shape, final_state.internal_state.shape
    ((10, 2), (2,))

    Args:
      architecture: the network; static under `jit`.
      parameters: its weights; their dtype is that of all results.
      inputs: [T, I] floating, or [T] integers in [0, I) that stand for one-hot vectors; anything
        that `jnp.asarray` takes. T may be 0. Under `jit`, where integers cannot be checked, one
        outside [0, I) is no input: a vector of zeros.
      initial_state: the state before the first step; None: `zero_state`, as in the paper.
      mask: [T] bool, False at steps that are padding. A masked step is the identity on the state,
        its activations are recorded as 0, and it contributes nothing to any gradient.
      length: instead of `mask`, the number of steps before the padding, in [0, T]; under `jit`,
        where it cannot be checked, the nearest number in [0, T] is taken.
      reset: [T] bool, True where the state is set to `zero_state` before the step, masked or not:
        sequences one behind the other. No error flows back over a reset.
      reverse: whether steps are taken from the last to the first, padding staying where it is; the
        final state is then that after step 0. A reset acts before its step is taken.
      gradient: what `jax.grad` computes.
        "truncated": the paper's rule, by `custom_vjp`; first derivatives in reverse mode only.
        "truncated_autodiff": the same numbers by `stop_gradient` inside the scan: slower, with the
          memory of full backpropagation, but open to forward mode and to higher derivatives, which
          are those of the truncated graph: truncated themselves.
        "full": the exact gradient, by backpropagation through time.
      record: "all" returns the activations of every step; "last" only the final state, and then a
        gradient costs no sum over time.
      steps_per_iteration: how many steps one iteration of the compiled loop takes.

    Returns:
      The `Activations` [T, ...], or None, and the final `State`, which is that after the last
      step taken that is not padding.

    Raises:
      ValueError: if an argument does not fit the architecture.
    """
    given = check_given(architecture, parameters, inputs, initial_state, mask, length, reset)
    how = check_how(gradient, record, steps_per_iteration, reverse)
    return _unroll(architecture, how, parameters, given)


def step(architecture: Architecture, parameters: Parameters, state: State, x_t: ArrayLike) -> State:
    """One step of the hidden layer: from its state and one input to the next state.

    >>> from lstm_jax.cell.parameters import initialise
    >>> net = Architecture(num_inputs=3, blocks=(2,), num_outputs=1)
    >>> parameters = initialise(jax.random.key(0), net)
    >>> step(net, parameters, zero_state(net), 2).cell_output.shape
    (2,)

    Args:
      architecture, parameters: the network.
      state: after the step before; `zero_state` at the start of a sequence.
      x_t: [I] floating, or an integer in [0, I).

    Returns:
      The state after the step. Its derivatives are the exact ones: no error is cut.

    Raises:
      ValueError: if an argument does not fit the architecture.
    """
    check_parameters(architecture, parameters)
    check_state("state", architecture, state, parameters.output.cell)
    return _step(architecture, parameters, state, check_step(architecture, x_t))


def check_how(gradient: Gradient, record: Record, steps_per_iteration: int, reverse: bool) -> How:
    """Raises ValueError unless all are of those that `unroll` allows."""
    check_choice("gradient", gradient, get_args(Gradient))
    check_choice("record", record, get_args(Record))
    check_choice("reverse", reverse, (False, True))
    is_count = isinstance(steps_per_iteration, int) and not isinstance(steps_per_iteration, bool)
    if not is_count or steps_per_iteration < 1:
        raise ValueError(f"steps_per_iteration must be at least 1, got {steps_per_iteration!r}")
    return How(gradient, record, steps_per_iteration, bool(reverse))


def run(
    architecture: Architecture, how: How, parameters: Parameters, sequence: Sequence
) -> tuple[Activations | None, State]:
    """`unroll` over a sequence whose steps are in the order in which they are taken."""
    layer = Recurrence(
        architecture,
        record=how.record == "all",
        cut=how.gradient == "truncated_autodiff",
        unroll=how.steps_per_iteration,
    )
    call = truncated if how.gradient == "truncated" else Recurrence.__call__
    weights, sequence = vary_alike((join(architecture, parameters.layer), sequence))
    final_state, activations = call(layer, weights, sequence)
    if activations is not None:
        activations = jax.tree.map(lambda a: clear_padding(a, sequence.mask), activations)
    return activations, final_state


def as_sequence(
    architecture: Architecture, parameters: Parameters, given: Given, reverse: bool = False
) -> Sequence:
    """What is given as a `Sequence` of the parameters' dtype, in the order of steps."""
    like = parameters.output.cell
    lanes, steps = like.shape[2:], given.inputs.shape[0]
    mask, length = given.mask, given.length
    if length is not None:
        at_steps = jnp.arange(steps).reshape((-1,) + (1,) * len(lanes))
        length = jnp.broadcast_to(length, lanes).astype(at_steps.dtype)
        mask = at_steps < length[None]
    inputs = clear_padding(given.inputs, mask)
    is_symbols = jnp.issubdtype(inputs.dtype, jnp.integer)
    inputs = inputs.astype(jnp.int32 if is_symbols else like.dtype)
    start = given.initial_state
    if start is None:
        start = zero_state(architecture, like.dtype, lanes)
    sequence = Sequence(inputs, start, mask, length, given.reset)
    return in_reverse(sequence) if reverse else sequence


def in_reverse(sequence: Sequence) -> Sequence:
    """The same steps in the other order; padding is then in front, so that no length tells it."""
    inputs, mask, reset = backwards((sequence.inputs, sequence.mask, sequence.reset))
    return sequence._replace(inputs=inputs, mask=mask, reset=reset, length=None)


def backwards(tree):
    """The arrays of a pytree with the first axis, time, the other way round."""
    return jax.tree.map(lambda array: array[::-1], tree)


def clear_padding(values: jax.Array, mask: jax.Array | None) -> jax.Array:
    """0 at masked steps, for [T, n, *lanes] or [T, *lanes]: be it NaN, padding touches no sum."""
    if mask is None:
        return values
    return jnp.where(mask[:, None] if values.ndim > mask.ndim else mask, values, 0)


# Compiled once for all calls with the same static arguments and shapes; inside another compiled
# function they leave no trace.
@functools.partial(jax.jit, static_argnums=(0, 1), inline=True)
def _unroll(
    architecture: Architecture, how: How, parameters: Parameters, given: Given
) -> tuple[Activations | None, State]:
    sequence = as_sequence(architecture, parameters, given, how.reverse)
    activations, state = run(architecture, how, parameters, sequence)
    return (backwards(activations) if how.reverse else activations), state


@functools.partial(jax.jit, static_argnums=0, inline=True)
def _step(
    architecture: Architecture, parameters: Parameters, state: State, x_t: jax.Array
) -> State:
    weights = join(architecture, parameters.layer)
    is_symbol = jnp.issubdtype(x_t.dtype, jnp.integer)
    inputs = x_t[None] if is_symbol else x_t[None].astype(weights.input.dtype)
    return advance(architecture, weights, state, project(weights, inputs)[0])[0]
