"""The whole network: the hidden layer and the output units (section 5; eq. 8)."""

from __future__ import annotations

import dataclasses
import functools
from typing import Literal, get_args

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from lstm_jax.cell.activations import ACTIVATIONS
from lstm_jax.cell.architecture import Architecture
from lstm_jax.cell.lanes import one_hot_sum_over_time, weighted_sum, weighted_sum_over_time
from lstm_jax.cell.parameters import OutputWeights, Parameters
from lstm_jax.cell.scan import Activations, Sequence, Steps, last_step
from lstm_jax.cell.step import State
from lstm_jax.cell.validation import check_choice, check_type
from lstm_jax.network.layer import (
    RunArguments,
    RunOptions,
    as_sequence,
    backwards,
    check_run,
    clear_padding,
    run,
)

At = Literal["every_step", "end"]


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

    A padded batch:

    >>> run = lambda x, n: apply(net, parameters, x, at="end", steps=Steps(length=n))[0]
    >>> jax.vmap(run)(jnp.ones((2, 10, 3)), jnp.array([10, 7])).shape
    (2, 4)

    The other arguments and the errors are those of `unroll`. With `at="end"` the outputs are those
    after the last real step taken; then no activations are stored without a gradient, and no error
    signals are summed over time with one.

    Returns:
      The outputs, [T, K] or [K], and the final `State`.
    """
    check_choice("at", at, get_args(At))
    check_type("options", options, RunOptions)
    arguments = check_run(architecture, parameters, inputs, steps, initial_state)
    return _apply(architecture, options, at, parameters, arguments)


def output_units(
    architecture: Architecture,
    weights: OutputWeights,
    hidden: State | Activations,
    inputs: jax.Array | None = None,
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

    Returns:
      The outputs [K], or [T, K].
    """
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
    return ACTIVATIONS[architecture.output](net)


def net_inputs_only(architecture: Architecture) -> Architecture:
    """Return the architecture whose outputs are the output units' net inputs, as losses need."""
    return dataclasses.replace(architecture, output="identity")


@functools.partial(jax.jit, static_argnums=(0, 1, 2), inline=True)
def _apply(
    architecture: Architecture,
    options: RunOptions,
    at: At,
    parameters: Parameters,
    arguments: RunArguments,
) -> tuple[jax.Array, State]:
    sequence = as_sequence(architecture, parameters, arguments, options.reverse)
    activations, state = run(architecture, options, at != "end", parameters, sequence)
    if activations is None:
        x_t = _last_input(architecture, sequence) if architecture.input_to_output else None
        return output_units(architecture, parameters.output, state, x_t), state
    outputs = output_units(architecture, parameters.output, activations, sequence.inputs)
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
