"""The whole network: hidden layer and output units (section 5; eq. 8)."""

from __future__ import annotations

import dataclasses
import functools
from typing import Literal, get_args

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from lstm_jax.cell.activations import ACTIVATIONS
from lstm_jax.cell.architecture import Architecture
from lstm_jax.cell.step import State
from lstm_jax.network.arguments import Given, check_choice, check_given
from lstm_jax.cell.lanes import weighted_sum, weighted_sum_over_time
from lstm_jax.network.layer import (
    Gradient,
    How,
    as_sequence,
    backwards,
    check_how,
    clear_padding,
    run,
)
from lstm_jax.cell.parameters import OutputWeights, Parameters
from lstm_jax.cell.scan import Activations, Sequence, is_symbol, last_step, pick_rows

At = Literal["every_step", "end"]


def apply(
    architecture: Architecture,
    parameters: Parameters,
    inputs: ArrayLike,
    *,
    at: At = "every_step",
    initial_state: State | None = None,
    mask: ArrayLike | None = None,
    length: ArrayLike | None = None,
    reset: ArrayLike | None = None,
    reverse: bool = False,
    gradient: Gradient = "truncated",
    steps_per_iteration: int = 1,
) -> tuple[jax.Array, State]:
    """Computes the outputs of one network for one sequence; lift it with `jax.vmap`.

    The output units see the cell outputs of the *same* step (section 5, three processing steps).

    >>> from lstm_jax.cell.parameters import initialise
    >>> net = Architecture(num_inputs=3, blocks=(2,), num_outputs=4)
    >>> parameters = initialise(jax.random.key(0), net)
    >>> outputs, final_state = apply(net, parameters, jnp.ones((10, 3)))
    >>> outputs.shape, apply(net, parameters, jnp.ones((10, 3)), at="end")[0].shape
    ((10, 4), (4,))

    Args:
      architecture, parameters, inputs, initial_state, mask, length, reset, reverse, gradient,
        steps_per_iteration: as in `unroll`.
      at: "every_step", or "end" for the outputs after the last real step taken alone, at which no
        activation needs to be kept without a gradient, and no error needs summing with one.

    Returns:
      The outputs, [T, K] or [K], and the final `State`.

    Raises:
      ValueError: as in `unroll`, or if `at` is unknown.
    """
    check_choice("at", at, get_args(At))
    given = check_given(architecture, parameters, inputs, initial_state, mask, length, reset)
    record = "all" if at == "every_step" else "last"
    how = check_how(gradient, record, steps_per_iteration, reverse)
    if at == "every_step":
        outputs, _, state = _at_every_step(architecture, how, parameters, given)
        return outputs, state
    return _at_end(architecture, how, parameters, given)


def observe(
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
    steps_per_iteration: int = 1,
) -> tuple[jax.Array, Activations, State]:
    """All that a network does over one sequence: `apply` and `unroll` in one run.

    >>> from lstm_jax.cell.parameters import initialise
    >>> net = Architecture(num_inputs=3, blocks=(2,), num_outputs=4)
    >>> parameters = initialise(jax.random.key(0), net)
    >>> outputs, activations, final_state = observe(net, parameters, jnp.ones((10, 3)))
    >>> outputs.shape, activations.input_gate.shape
    ((10, 4), (10, 1))

    Args:
      architecture, parameters, inputs, initial_state, mask, length, reset, reverse, gradient,
        steps_per_iteration: as in `unroll`.

    Returns:
      The outputs [T, K], the `Activations` [T, ...] and the final `State`.

    Raises:
      ValueError: as in `unroll`.
    """
    given = check_given(architecture, parameters, inputs, initial_state, mask, length, reset)
    how = check_how(gradient, "all", steps_per_iteration, reverse)
    return _at_every_step(architecture, how, parameters, given)


@functools.partial(jax.jit, static_argnums=(0, 1), inline=True)
def _at_every_step(
    architecture: Architecture, how: How, parameters: Parameters, given: Given
) -> tuple[jax.Array, Activations, State]:
    sequence = as_sequence(architecture, parameters, given, how.reverse)
    activations, state = run(architecture, how, parameters, sequence)
    assert activations is not None
    outputs = output_units_over_time(architecture, parameters.output, activations, sequence.inputs)
    outputs = clear_padding(outputs, sequence.mask)
    if how.reverse:
        outputs, activations = backwards((outputs, activations))
    return outputs, activations, state


@functools.partial(jax.jit, static_argnums=(0, 1), inline=True)
def _at_end(
    architecture: Architecture, how: How, parameters: Parameters, given: Given
) -> tuple[jax.Array, State]:
    sequence = as_sequence(architecture, parameters, given, how.reverse)
    _, state = run(architecture, how, parameters, sequence)
    x_t = _last_input(architecture, sequence) if architecture.input_to_output else None
    return output_units(architecture, parameters.output, state, x_t), state


def output_units(
    architecture: Architecture, weights: OutputWeights, state: State, x_t: jax.Array | None
) -> jax.Array:
    """y_k(t) = f_k(net_k(t)), [K], from the hidden layer's state after the same step t.

    >>> from lstm_jax.cell.step import zero_state
    >>> from lstm_jax.cell.parameters import initialise
    >>> net = Architecture(num_inputs=3, blocks=(2,), num_outputs=1, biases="none")
    >>> parameters = initialise(jax.random.key(0), net)
    >>> output_units(net, parameters.output, zero_state(net), None)
    Array([0.5], dtype=float32)

    Args:
      architecture: the network.
      weights: the incoming weights of the output units.
      state: the hidden layer after step t.
      x_t: the inputs of step t, [I] floating; used with `input_to_output` only.

    Returns:
      The outputs [K].
    """
    net = weighted_sum(weights.cell, [state.cell_output])
    if weights.hidden is not None:
        net = net + weighted_sum(weights.hidden, [state.hidden])
    if weights.input is not None:
        assert x_t is not None
        net = net + weighted_sum(weights.input, [x_t])
    if weights.bias is not None:
        net = net + weights.bias
    return ACTIVATIONS[architecture.output].value(net)


def unsquashed(architecture: Architecture) -> Architecture:
    """The same network, whose outputs are the net inputs of its output units: what errors take."""
    return dataclasses.replace(architecture, output="identity")


def output_units_over_time(
    architecture: Architecture, weights: OutputWeights, activations: Activations, inputs: jax.Array
) -> jax.Array:
    """`output_units` for all steps at once, [T, K], from inputs [T, I] floating or [T] symbols."""
    net = weighted_sum_over_time(weights.cell, activations.cell_output)
    if weights.hidden is not None:
        net = net + weighted_sum_over_time(weights.hidden, activations.hidden)
    if weights.input is not None:
        if jnp.issubdtype(inputs.dtype, jnp.integer):
            rows = pick_rows(weights.input, inputs)
            direct = jnp.where(is_symbol(inputs, len(weights.input))[:, None], rows, 0)
        else:
            direct = weighted_sum_over_time(weights.input, inputs)
        net = net + direct
    if weights.bias is not None:
        net = net + weights.bias[None]
    return ACTIVATIONS[architecture.output].value(net)


def _last_input(architecture: Architecture, sequence: Sequence) -> jax.Array:
    """The inputs of the last real step, [I, *lanes] floating; 0 if no step is real."""
    inputs, like = sequence.inputs, sequence.initial_state.internal_state
    is_last, is_any = last_step(sequence, inputs.shape[0])
    if not jnp.issubdtype(inputs.dtype, jnp.integer):
        return jnp.where(is_last[:, None], inputs, 0).sum(0)
    symbol = jnp.broadcast_to(jnp.where(is_last, inputs, 0).sum(0), like.shape[1:])
    x_t = jax.nn.one_hot(symbol, architecture.num_inputs, dtype=like.dtype, axis=0)
    return jnp.where(is_any[None], x_t, 0)
