"""Runs of one hidden layer and its output units, for arguments that fit each other."""

from __future__ import annotations

import dataclasses
from typing import Literal, TypeVar, get_args

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike, DTypeLike

from lstm_jax.cell.activations import activate_outputs
from lstm_jax.cell.architecture import AnyNetwork, Architecture, NetworkWithState
from lstm_jax.cell.compilation import compiled
from lstm_jax.cell.lanes import (
    as_indices,
    one_hot_sum_over_time,
    vary_alike,
    weighted_sum,
    weighted_sum_over_time,
)
from lstm_jax.cell.parameters import check_parameters, join, one_array
from lstm_jax.cell.pytrees import static
from lstm_jax.cell.records import Activations, AnyParameters, OutputWeights, P, Parameters, S, State
from lstm_jax.cell.scan import LayerScan, Loop, Sequence, Steps, last_step
from lstm_jax.cell.step import state_shapes, zero_state
from lstm_jax.cell.validation import (
    as_flags,
    as_inputs,
    as_length,
    check_choice,
    check_fields,
    check_symbols,
    check_type,
    require,
)
from lstm_jax.gradient.reverse_mode import truncated

Gradient = Literal["truncated", "truncated_autodiff", "full"]
At = Literal["every_step", "end"]
Tree = TypeVar("Tree")
Hidden = TypeVar("Hidden", State, Activations)


@static
@dataclasses.dataclass(frozen=True)
class RunOptions:
    """The gradient, direction and loop of a run; static under `jit`, as the architecture is.

    Attributes:
      gradient: the gradient that `jax.grad` computes. "truncated" is the paper's, by a
        `custom_vjp`: first derivatives in reverse mode only. "truncated_autodiff" gives the same
        numbers by `stop_gradient` inside the scan: slower, with the memory of backpropagation
        through time, but with forward mode and higher derivatives, which are those of the truncated
        graph. "full" is the exact gradient, by backpropagation through time.
      reverse: whether to take the steps from the last to the first. Padding stays where it is, a
        reset acts before its step is taken, and the final state is that after step 0.
      loop: what takes a layer through all steps, with the same results to rounding: a "scan", on
        any device; or one "kernel" of a GPU, experimental and never run on a GPU so far, in float32
        without lanes, for layers whose recurrent weights fit into the memory of a multiprocessor
        and whose gradient is "truncated". An "interpreted_kernel" emulates it, slowly.

    Raises:
      ValueError: if a field has another value, or the loop does not have the gradient.
    """

    gradient: Gradient = "truncated"
    reverse: bool = False
    loop: Loop = "scan"

    def __post_init__(self) -> None:
        check_choice("gradient", self.gradient, get_args(Gradient))
        check_choice("reverse", self.reverse, (False, True))
        check_choice("loop", self.loop, get_args(Loop))
        if self.loop != "scan" and self.gradient != "truncated":
            wanted = f"'truncated' with loop={self.loop!r}"
            raise ValueError(f"gradient must be {wanted}, got {self.gradient!r}")


def check_options(architecture: AnyNetwork, parameters: AnyParameters, options: RunOptions) -> None:
    """Raise ValueError unless a network can run with the options, on the default device."""
    check_type("options", options, RunOptions)
    if options.loop != "scan":
        from lstm_jax.cell import kernel  # Pallas takes a second to import

        kernel.check_kernel(options.loop, architecture.layers, one_array(parameters))


def check_run(
    architecture: NetworkWithState[P, S],
    parameters: P,
    inputs: ArrayLike,
    steps: Steps = Steps(),
    initial_state: S | None = None,
) -> Sequence[S]:
    """Convert the arguments of a run to arrays; raise ValueError if they do not fit."""
    check_parameters(architecture, parameters)
    like = one_array(parameters)
    lanes = like.shape[2:]
    inputs = as_inputs(inputs, architecture.num_inputs, lanes)
    if initial_state is None:
        initial_state = zero_state(architecture, like.dtype, lanes)
    check_state("initial_state", architecture, initial_state, like.dtype, lanes)
    mask, length, reset = check_steps(steps, inputs.shape[0], lanes)
    check_symbols("inputs", inputs, architecture.num_inputs, mask, length)
    return Sequence(inputs, initial_state, mask, length, reset)


def check_steps(
    steps: Steps, num_steps: int, lanes: tuple[int, ...] = ()
) -> tuple[jax.Array | None, ...]:
    """Convert mask, length and reset to arrays; raise ValueError if they do not fit T steps."""
    check_type("steps", steps, Steps)
    mask, length, reset = steps
    if mask is not None and length is not None:
        raise ValueError(f"steps must have mask or length, not both, got length {length!r} too")
    shape = (num_steps, *lanes)
    return (
        None if mask is None else as_flags("mask", mask, shape),
        None if length is None else as_length(length, num_steps, lanes),
        None if reset is None else as_flags("reset", reset, shape),
    )


def check_state(
    name: str,
    architecture: NetworkWithState[AnyParameters, S],
    state: S,
    dtype: DTypeLike,
    lanes: tuple[int, ...] = (),
) -> None:
    """Raise ValueError unless a state fits a network with weights of a dtype."""
    flatten = lambda tree: jax.tree.flatten(tree, is_leaf=lambda node: isinstance(node, State))
    wanted = state_shapes(architecture, lanes)
    (found, structure), (shapes, wanted_structure) = flatten(state), flatten(wanted)
    of_stack = "a tuple with a State per layer, or two with two directions"
    described = "a State" if isinstance(wanted, State) else of_stack
    require(structure == wanted_structure, name, described, state)
    for one, shape in zip(found, shapes, strict=True):
        check_fields(name, one, shape, dtype)


def _run(
    architecture: Architecture,
    options: RunOptions,
    record: bool,
    parameters: Parameters,
    sequence: Sequence[State],
) -> tuple[Sequence[State], Activations | None, State]:
    """Run the layer; return the sequence and its activations in the order of the steps taken."""
    sequence = prepare(sequence, architecture.num_inputs, options.reverse)
    truncate = options.gradient == "truncated_autodiff"
    layer = LayerScan(architecture, record, truncate, options.loop)
    call = truncated if options.gradient == "truncated" else LayerScan.__call__
    weights, sequence = vary_alike((join(architecture, parameters.layer), sequence))
    final_state, activations = call(layer, weights, sequence)
    if activations is not None:
        activations = jax.tree.map(lambda a: clear_padding(a, sequence.mask), activations)
    return sequence, activations, final_state


def prepare(sequence: Sequence[State], num_inputs: int, reverse: bool = False) -> Sequence[State]:
    """Convert padding and dtypes for `LayerScan`; put the steps in the order of their taking."""
    inputs, start, mask, length, reset = sequence
    like = start.internal_state
    lanes = like.shape[1:]
    if length is not None:
        index = jnp.arange(len(inputs)).reshape((-1,) + (1,) * len(lanes))
        length = jnp.broadcast_to(length, lanes).astype(index.dtype)
        mask = index < length[None]
    inputs = clear_padding(inputs, mask)
    is_symbols = jnp.issubdtype(inputs.dtype, jnp.integer)
    inputs = as_indices(inputs, num_inputs) if is_symbols else inputs.astype(like.dtype)
    if not reverse:
        return Sequence(inputs, start, mask, length, reset)
    # Padding after the end then comes first, which a mask can say and a length cannot.
    inputs, mask, reset = backwards((inputs, mask, reset))
    return Sequence(inputs, start, mask, None, reset)


def backwards(tree: Tree) -> Tree:
    """Reverse the first axis, time, of the arrays of a pytree."""
    return jax.tree.map(lambda array: array[::-1], tree)


def clear_padding(values: jax.Array, mask: jax.Array | None) -> jax.Array:
    """Set [T, n, *lanes] or [T, *lanes] to 0 at padding, so that even NaN reaches no sum."""
    if mask is None:
        return values
    return jnp.where(mask[:, None] if values.ndim > mask.ndim else mask, values, 0)


# Calls with the same static arguments and shapes compile once; `inline` leaves no trace of these
# functions inside another compiled function.
@compiled(num_static=2)
def unroll_layer(
    architecture: Architecture,
    options: RunOptions,
    parameters: Parameters,
    sequence: Sequence[State],
) -> tuple[Activations, State]:
    """Return the activations of a hidden layer at every step, and its final state."""
    _, activations, state = _run(architecture, options, True, parameters, sequence)
    assert activations is not None
    return (backwards(activations) if options.reverse else activations), state


@compiled(num_static=3)
def apply_layer(
    architecture: Architecture,
    options: RunOptions,
    at: At,
    parameters: Parameters,
    sequence: Sequence[State],
) -> tuple[jax.Array, State]:
    """Return the outputs of a network of one layer, and its final state."""
    record = at == "every_step"
    sequence, activations, state = _run(architecture, options, record, parameters, sequence)
    if activations is None:
        x_t = last_input(architecture, sequence) if architecture.input_to_output else None
        return run_output_units(architecture, parameters.output, state, x_t), state
    outputs = run_output_units(architecture, parameters.output, activations, sequence.inputs)
    outputs = clear_padding(outputs, sequence.mask)
    return (backwards(outputs) if options.reverse else outputs), state


def last_input(architecture: Architecture, sequence: Sequence[State]) -> jax.Array:
    """Return the inputs of the last real step, [I, *lanes] floating; 0 if no step is real."""
    inputs, like = sequence.inputs, sequence.initial_state.internal_state
    is_last, is_any = last_step(sequence, inputs.shape[0])
    if not jnp.issubdtype(inputs.dtype, jnp.integer):
        return jnp.where(is_last[:, None], inputs, 0).sum(0)
    symbol = jnp.broadcast_to(jnp.where(is_last, inputs, 0).sum(0), like.shape[1:])
    x_t = jax.nn.one_hot(symbol, architecture.num_inputs, dtype=like.dtype, axis=0)
    return jnp.where(is_any[None], x_t, 0)


@compiled(num_static=1)
def run_output_units(
    architecture: Architecture,
    weights: OutputWeights,
    hidden: State | Activations,
    inputs: jax.Array | None,
) -> jax.Array:
    """Compute `output_units` of arguments that fit."""
    is_step = isinstance(hidden, State)
    at_step = lambda weights, values: weighted_sum(weights, [values])
    sum_up = at_step if is_step else weighted_sum_over_time
    net = sum_up(weights.cell, hidden.cell_output)
    if weights.hidden is not None:
        net = net + sum_up(weights.hidden, hidden.hidden)
    if weights.input is not None:
        assert inputs is not None
        if jnp.issubdtype(inputs.dtype, jnp.integer):
            net = net + one_hot_sum_over_time(weights.input, inputs)
        else:
            net = net + sum_up(weights.input, inputs)
    if weights.bias is not None:
        net = net + (weights.bias if is_step else weights.bias[None])
    return activate_outputs(architecture.output, net, axis=0 if is_step else 1)


@compiled()
def side_by_side(ahead: Hidden, back: Hidden) -> Hidden:
    """Join the activations, or the states, of two directions along their units."""
    axis = 0 if isinstance(ahead, State) else 1
    return jax.tree.map(lambda *both: jnp.concatenate(both, axis), ahead, back)
