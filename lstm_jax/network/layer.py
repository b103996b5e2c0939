"""A network over a sequence, or one step of it, with a choice of gradients.

`unroll` runs the hidden layer, `bidirectional` two of them. `apply` runs the whole network, with
its output units (section 5; eq. 8).
"""

from __future__ import annotations

import dataclasses
import functools
from typing import TypeVar, get_args

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from lstm_jax.cell.architecture import (
    AnyNetwork,
    Architecture,
    NetworkOf,
    NetworkWith,
    NetworkWithState,
    check_network,
    check_outputs,
)
from lstm_jax.cell.lanes import as_indices
from lstm_jax.cell.parameters import check_parameters, one_array
from lstm_jax.cell.records import A, Activations, OutputWeights, P, Parameters, S, State
from lstm_jax.cell.scan import Sequence, Steps
from lstm_jax.cell.stack import Stack
from lstm_jax.cell.validation import (
    as_array,
    as_input,
    as_integer,
    as_real,
    check_choice,
    check_is_array,
    check_key,
    check_type,
    require,
)
from lstm_jax.network.run import (
    At,
    RunOptions,
    check_options,
    check_run,
    check_state,
    run_output_units,
    side_by_side,
    unroll_layer,
)
from lstm_jax.network.stack import apply_network, unroll_network

N = TypeVar("N", bound=AnyNetwork)


def unroll(
    architecture: NetworkOf[P, S, A],
    parameters: P,
    inputs: ArrayLike,
    *,
    steps: Steps = Steps(),
    initial_state: S | None = None,
    options: RunOptions = RunOptions(),
    key: jax.Array | None = None,
) -> tuple[A, S]:
    """Run the hidden layer of one network over one sequence; use `jax.vmap` for a batch.

    All arrays may have lanes, further axes after all others; see `lstm_jax.cell.lanes`.

    >>> from lstm_jax.cell.parameters import initialise
    >>> net = Architecture(num_inputs=3, blocks=(2,), num_outputs=1)
    >>> parameters = initialise(jax.random.key(0), net)
    >>> activations, final_state = unroll(net, parameters, jnp.ones((10, 3)))
    >>> activations.cell_output.shape, final_state.internal_state.shape
    ((10, 2), (2,))

    Args:
      architecture: the network, an `Architecture` or a `Stack`; static under `jit`.
      parameters: its weights; their dtype is that of all results.
      inputs: [T, I] floating, or [T] integers in [0, I) for one-hot vectors; any array-like. T may
        be 0. Integers are an embedding of I symbols: each gathers its row of the input weights.
        Under `jit`, where values cannot be checked, an integer outside [0, I) stands for a vector
        of zeros.
      steps: the padding and the resets of the state.
      initial_state: the state before the first step; None: `zero_state`, as in the paper.
      options: the gradient, the direction and the loop.
      key: PRNG key of the dropout of a stack, one per sequence; None: no dropout.

    Returns:
      The `Activations` [T, ...] and the final `State`, after the last real step taken. Of a stack,
      a tuple of each, one per layer; with two directions, activations are side by side as in
      `bidirectional`, and states are pairs.

    Raises:
      ValueError: if an argument does not fit the architecture, or a kernel cannot run the layer.
    """
    sequence = check_run(architecture, parameters, inputs, steps, initial_state)
    check_options(architecture, parameters, options)
    return unroll_network(architecture, options, parameters, sequence, _as_key(key))


def apply(
    architecture: NetworkWithState[P, S],
    parameters: P,
    inputs: ArrayLike,
    *,
    at: At = "every_step",
    steps: Steps = Steps(),
    initial_state: S | None = None,
    options: RunOptions = RunOptions(),
    key: jax.Array | None = None,
) -> tuple[jax.Array, S]:
    """Return the outputs of one network for one sequence; use `jax.vmap` for a batch.

    The output units see the cell outputs of the *same* step (section 5).

    >>> from lstm_jax.cell.parameters import initialise
    >>> net = Architecture(num_inputs=3, blocks=(2,), num_outputs=4)
    >>> parameters = initialise(jax.random.key(0), net)
    >>> outputs, final_state = apply(net, parameters, jnp.ones((10, 3)))
    >>> outputs.shape, apply(net, parameters, jnp.ones((10, 3)), at="end")[0].shape
    ((10, 4), (4,))

    All other arguments and errors are those of `unroll`; the network has output units. With
    `at="end"` the outputs are those after the last real step taken; unless a gradient is computed,
    no activations are then stored. Those of a bidirectional stack are of both final states.

    Returns:
      The outputs, [T, K] or [K], and the final `State`.
    """
    check_outputs(architecture)
    check_choice("at", at, get_args(At))
    sequence = check_run(architecture, parameters, inputs, steps, initial_state)
    check_options(architecture, parameters, options)
    return apply_network(architecture, options, at, parameters, sequence, _as_key(key))


def _as_key(key: jax.Array | None) -> jax.Array | None:
    if key is not None:
        check_key("key", key)
    return key


def unroll_one(
    architecture: NetworkWith[P],
    parameters: P,
    inputs: ArrayLike,
    layer: int,
    steps: Steps = Steps(),
) -> tuple[Architecture, Activations]:
    """Return the activations of one layer of a network, and an architecture with its units.

    `layer` is the index of the layer. The blocks of a backward direction follow those of the
    forward one.
    """
    number = len(architecture.layers)
    as_integer("layer", layer, -number, number)
    found, _ = unroll(architecture, parameters, inputs, steps=steps)
    return architecture.seen(layer), found if isinstance(found, Activations) else found[layer]


def output_units(
    architecture: Architecture,
    weights: OutputWeights,
    hidden: State | Activations,
    inputs: ArrayLike | None = None,
) -> jax.Array:
    """Return y_k = f_k(net_k) of one step, or of all steps.

    >>> from lstm_jax.cell.parameters import initialise
    >>> from lstm_jax.cell.step import zero_state
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
    if jnp.issubdtype(inputs.dtype, jnp.integer):
        inputs = as_indices(inputs, architecture.num_inputs)
    else:
        inputs = as_real("inputs", inputs).astype(weights.cell.dtype)
    return run_output_units(architecture, weights, hidden, inputs)


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
    return side_by_side(ahead, back), (ahead_state, back_state)


def step(architecture: Architecture, parameters: Parameters, state: State, x_t: ArrayLike) -> State:
    """Return the state of the hidden layer after one more step; its derivatives are exact.

    >>> from lstm_jax.cell.parameters import initialise
    >>> from lstm_jax.cell.step import zero_state
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
    check_type("architecture", architecture, Architecture)
    check_parameters(architecture, parameters)
    like = one_array(parameters)
    check_state("state", architecture, state, like.dtype, like.shape[2:])
    x_t = as_input(x_t, architecture.num_inputs)
    full = RunOptions(gradient="full")
    return unroll_layer(architecture, full, parameters, Sequence(x_t[None], state))[1]


def net_inputs_only(architecture: N) -> N:
    """Return the architecture whose outputs are the output units' net inputs, as losses need.

    >>> net = Architecture(num_inputs=3, blocks=(2,), num_outputs=4, output="softmax")
    >>> net_inputs_only(net).output
    'identity'

    Args:
      architecture: the network, an `Architecture` or a `Stack`.

    Raises:
      ValueError: if `architecture` is neither.
    """
    check_network(architecture)
    if not isinstance(architecture, Stack):
        return dataclasses.replace(architecture, output="identity")
    *below, top = architecture.layers
    return dataclasses.replace(architecture, layers=(*below, net_inputs_only(top)))
