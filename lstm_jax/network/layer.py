"""A network over a sequence, or one step of it, with a choice of gradients.

`unroll` runs the hidden layer, `bidirectional` two of them. `apply` runs the whole network, with
its output units (section 5; eq. 8).
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Literal, TypeVar, get_args

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from lstm_jax.cell.activations import activate_outputs
from lstm_jax.cell.architecture import Architecture
from lstm_jax.cell.lanes import (
    one_hot_sum_over_time,
    vary_alike,
    weighted_sum,
    weighted_sum_over_time,
)
from lstm_jax.cell.parameters import OutputWeights, Parameters, check_parameters, join
from lstm_jax.cell.pytrees import static
from lstm_jax.cell.scan import Activations, LayerScan, Sequence, Steps, last_step
from lstm_jax.cell.step import State, state_shapes, zero_state
from lstm_jax.cell.validation import (
    as_array,
    as_flags,
    as_input,
    as_inputs,
    as_length,
    as_real,
    check_choice,
    check_fields,
    check_is_array,
    check_symbols,
    check_type,
    require,
)
from lstm_jax.gradient.reverse_mode import truncated

Gradient = Literal["truncated", "truncated_autodiff", "full"]
At = Literal["every_step", "end"]
Tree = TypeVar("Tree")


@static
@dataclasses.dataclass(frozen=True)
class RunOptions:
    """The gradient and the direction of a run; static under `jit`, as the architecture is.

    Attributes:
      gradient: the gradient that `jax.grad` computes. "truncated" is the paper's, by a
        `custom_vjp`: first derivatives in reverse mode only. "truncated_autodiff" gives the same
        numbers by `stop_gradient` inside the scan: slower, with the memory of backpropagation
        through time, but with forward mode and higher derivatives, which are those of the truncated
        graph. "full" is the exact gradient, by backpropagation through time.
      reverse: whether to take the steps from the last to the first. Padding stays where it is, a
        reset acts before its step is taken, and the final state is that after step 0.

    Raises:
      ValueError: if a field has another value.
    """

    gradient: Gradient = "truncated"
    reverse: bool = False

    def __post_init__(self) -> None:
        check_choice("gradient", self.gradient, get_args(Gradient))
        check_choice("reverse", self.reverse, (False, True))


def unroll(
    architecture: Architecture,
    parameters: Parameters,
    inputs: ArrayLike,
    *,
    steps: Steps = Steps(),
    initial_state: State | None = None,
    options: RunOptions = RunOptions(),
) -> tuple[Activations, State]:
    """Run the hidden layer of one network over one sequence; use `jax.vmap` for a batch.

    All arrays may have lanes, further axes after all others; see `lstm_jax.cell.lanes`.

    >>> from lstm_jax.cell.parameters import initialise
    >>> net = Architecture(num_inputs=3, blocks=(2,), num_outputs=1)
    >>> parameters = initialise(jax.random.key(0), net)
    >>> activations, final_state = unroll(net, parameters, jnp.ones((10, 3)))
    >>> activations.cell_output.shape, final_state.internal_state.shape
    ((10, 2), (2,))

    Args:
      architecture: the network; static under `jit`.
      parameters: its weights; their dtype is that of all results.
      inputs: [T, I] floating, or [T] integers in [0, I) for one-hot vectors; any array-like. T may
        be 0. Integers are an embedding of I symbols: each gathers its row of the input weights.
        Under `jit`, where values cannot be checked, an integer outside [0, I) stands for a vector
        of zeros.
      steps: the padding and the resets of the state.
      initial_state: the state before the first step; None: `zero_state`, as in the paper.
      options: the gradient and the direction.

    Returns:
      The `Activations` [T, ...] and the final `State`, after the last real step taken.

    Raises:
      ValueError: if an argument does not fit the architecture.
    """
    sequence = check_run(architecture, parameters, inputs, steps, initial_state)
    check_type("options", options, RunOptions)
    return _unroll(architecture, options, parameters, sequence)


def apply(
    architecture: Architecture,
    parameters: Parameters,
    inputs: ArrayLike,
    *,
    at: At = "every_step",
    steps: Steps = Steps(),
    initial_state: State | None = None,
    options: RunOptions = RunOptions(),
) -> tuple[jax.Array, State]:
    """Return the outputs of one network for one sequence; use `jax.vmap` for a batch.

    The output units see the cell outputs of the *same* step (section 5).

    >>> from lstm_jax.cell.parameters import initialise
    >>> net = Architecture(num_inputs=3, blocks=(2,), num_outputs=4)
    >>> parameters = initialise(jax.random.key(0), net)
    >>> outputs, final_state = apply(net, parameters, jnp.ones((10, 3)))
    >>> outputs.shape, apply(net, parameters, jnp.ones((10, 3)), at="end")[0].shape
    ((10, 4), (4,))

    All other arguments and errors are those of `unroll`. With `at="end"` the outputs are those
    after the last real step taken; unless a gradient is computed, no activations are then stored.

    Returns:
      The outputs, [T, K] or [K], and the final `State`.
    """
    check_choice("at", at, get_args(At))
    check_type("options", options, RunOptions)
    sequence = check_run(architecture, parameters, inputs, steps, initial_state)
    return _apply(architecture, options, at, parameters, sequence)


def output_units(
    architecture: Architecture,
    weights: OutputWeights,
    hidden: State | Activations,
    inputs: ArrayLike | None = None,
) -> jax.Array:
    """Return y_k = f_k(net_k) of one step, or of all steps.

    >>> from lstm_jax.cell.parameters import initialise
    >>> net = Architecture(num_inputs=3, blocks=(2,), num_outputs=1, biases="none")
    >>> parameters = initialise(jax.random.key(0), net)
    >>> output_units(net, parameters.output, zero_state(net))
    Array([0.5], dtype=float32)

    Args:
      architecture: the network.
      weights: the incoming weights of the output units.
      hidden: the `State` of the step, or the `Activations` of all steps, as of `unroll`.
      inputs: [I] floating of the step, or [T, I] floating or [T] integers; needed only with
        `input_to_output`.

    Raises:
      ValueError: if an argument does not fit the others.
    """
    check_type("architecture", architecture, Architecture)
    check_type("weights", weights, OutputWeights)
    require(isinstance(hidden, (State, Activations)), "hidden", "a State or Activations", hidden)
    for name, fields in (("weights", weights), ("hidden", hidden)):
        for field, array in fields._asdict().items():
            check_is_array(f"{name}.{field}", array)
            if array is not None and array.dtype != weights.cell.dtype:
                wanted = f"{name}.{field} must have the dtype of weights.cell, {weights.cell.dtype}"
                raise ValueError(f"{wanted}, got {array.dtype}")
    if weights.input is None:
        return run_output_units(architecture, weights, hidden, None)
    inputs = as_array("inputs", inputs)
    if not jnp.issubdtype(inputs.dtype, jnp.integer):
        inputs = as_real("inputs", inputs).astype(weights.cell.dtype)
    return run_output_units(architecture, weights, hidden, inputs)


@functools.partial(jax.jit, static_argnums=0, inline=True)
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


def bidirectional(
    architecture: Architecture,
    forward: Parameters,
    backward: Parameters,
    inputs: ArrayLike,
    *,
    steps: Steps = Steps(),
    options: RunOptions = RunOptions(),
) -> tuple[Activations, tuple[State, State]]:
    """Run two hidden layers over one sequence, in opposite directions (Graves & Schmidhuber 2005).

    Each has its gradient, truncated or not. `output_units` of both take weights [2C, K] from the
    cells and [2N, K] from conventional hidden units.

    >>> from lstm_jax.cell.parameters import initialise
    >>> net = Architecture(num_inputs=3, blocks=(2,), num_outputs=1)
    >>> forward, backward = (initialise(jax.random.key(seed), net) for seed in range(2))
    >>> activations, _ = bidirectional(net, forward, backward, jnp.ones((10, 3)))
    >>> activations.cell_output.shape, activations.input_gate.shape
    ((10, 4), (10, 2))

    `forward` are the weights of the layer that begins at step 0, `backward` those of the layer that
    begins at the last real step; `options.reverse` exchanges the two. Other arguments and errors
    are those of `unroll`.

    Returns:
      The `Activations` of both at every step, [T, 2n] each, forward first, and the two final
      states; that of `backward` is the state after step 0.
    """
    run = functools.partial(unroll, architecture, inputs=inputs, steps=steps)
    ahead, ahead_state = run(forward, options=options)
    reverse = dataclasses.replace(options, reverse=not options.reverse)
    back, back_state = run(backward, options=reverse)
    return _side_by_side(ahead, back), (ahead_state, back_state)


@functools.partial(jax.jit, inline=True)
def _side_by_side(ahead: Activations, back: Activations) -> Activations:
    return jax.tree.map(lambda *both: jnp.concatenate(both, axis=1), ahead, back)


def step(architecture: Architecture, parameters: Parameters, state: State, x_t: ArrayLike) -> State:
    """Return the state of the hidden layer after one more step; its derivatives are exact.

    >>> from lstm_jax.cell.parameters import initialise
    >>> net = Architecture(num_inputs=3, blocks=(2,), num_outputs=1)
    >>> parameters = initialise(jax.random.key(0), net)
    >>> step(net, parameters, zero_state(net), 2).cell_output.shape
    (2,)

    Args:
      architecture: the network; static under `jit`.
      parameters: its weights.
      state: the state before the step; `zero_state` at the start of a sequence.
      x_t: [I] floating, or an integer in [0, I).

    Raises:
      ValueError: if an argument does not fit the architecture.
    """
    check_parameters(architecture, parameters)
    check_state("state", architecture, state, parameters.output.cell)
    x_t = as_input(x_t, architecture.num_inputs)
    full = RunOptions(gradient="full")
    return _apply(architecture, full, "end", parameters, Sequence(x_t[None], state))[1]


def net_inputs_only(architecture: Architecture) -> Architecture:
    """Return the architecture whose outputs are the output units' net inputs, as losses need.

    >>> net = Architecture(num_inputs=3, blocks=(2,), num_outputs=4, output="softmax")
    >>> net_inputs_only(net).output
    'identity'

    Args:
      architecture: the network.

    Raises:
      ValueError: if `architecture` is not an `Architecture`.
    """
    check_type("architecture", architecture, Architecture)
    return dataclasses.replace(architecture, output="identity")


def check_run(
    architecture: Architecture,
    parameters: Parameters,
    inputs: ArrayLike,
    steps: Steps = Steps(),
    initial_state: State | None = None,
) -> Sequence:
    """Convert the arguments of a run to arrays; raise ValueError if they do not fit."""
    check_parameters(architecture, parameters)
    like = parameters.output.cell
    lanes = like.shape[2:]
    inputs = as_inputs(inputs, architecture.num_inputs, lanes)
    if initial_state is None:
        initial_state = zero_state(architecture, like.dtype, lanes)
    check_state("initial_state", architecture, initial_state, like)
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


def check_state(name: str, architecture: Architecture, state: State, like: jax.Array) -> None:
    """Raise ValueError unless a state fits a network with output weights `like`."""
    check_fields(name, state, state_shapes(architecture, like.shape[2:]), like.dtype)


def _run(
    architecture: Architecture,
    options: RunOptions,
    record: bool,
    parameters: Parameters,
    sequence: Sequence,
) -> tuple[Sequence, Activations | None, State]:
    """Run the layer; return the sequence and its activations in the order of the steps taken."""
    sequence = prepare(sequence, options.reverse)
    layer = LayerScan(architecture, record, truncate=options.gradient == "truncated_autodiff")
    call = truncated if options.gradient == "truncated" else LayerScan.__call__
    weights, sequence = vary_alike((join(architecture, parameters.layer), sequence))
    final_state, activations = call(layer, weights, sequence)
    if activations is not None:
        activations = jax.tree.map(lambda a: clear_padding(a, sequence.mask), activations)
    return sequence, activations, final_state


def prepare(sequence: Sequence, reverse: bool = False) -> Sequence:
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
    inputs = inputs.astype(jnp.int32 if is_symbols else like.dtype)
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
@functools.partial(jax.jit, static_argnums=(0, 1), inline=True)
def _unroll(
    architecture: Architecture,
    options: RunOptions,
    parameters: Parameters,
    sequence: Sequence,
) -> tuple[Activations, State]:
    _, activations, state = _run(architecture, options, True, parameters, sequence)
    assert activations is not None
    return (backwards(activations) if options.reverse else activations), state


@functools.partial(jax.jit, static_argnums=(0, 1, 2), inline=True)
def _apply(
    architecture: Architecture,
    options: RunOptions,
    at: At,
    parameters: Parameters,
    sequence: Sequence,
) -> tuple[jax.Array, State]:
    record = at == "every_step"
    sequence, activations, state = _run(architecture, options, record, parameters, sequence)
    if activations is None:
        x_t = _last_input(architecture, sequence) if architecture.input_to_output else None
        return run_output_units(architecture, parameters.output, state, x_t), state
    outputs = run_output_units(architecture, parameters.output, activations, sequence.inputs)
    outputs = clear_padding(outputs, sequence.mask)
    return (backwards(outputs) if options.reverse else outputs), state


def _last_input(architecture: Architecture, sequence: Sequence) -> jax.Array:
    """Return the inputs of the last real step, [I, *lanes] floating; 0 if no step is real."""
    inputs, like = sequence.inputs, sequence.initial_state.internal_state
    is_last, is_any = last_step(sequence, inputs.shape[0])
    if not jnp.issubdtype(inputs.dtype, jnp.integer):
        return jnp.where(is_last[:, None], inputs, 0).sum(0)
    symbol = jnp.broadcast_to(jnp.where(is_last, inputs, 0).sum(0), like.shape[1:])
    x_t = jax.nn.one_hot(symbol, architecture.num_inputs, dtype=like.dtype, axis=0)
    return jnp.where(is_any[None], x_t, 0)
