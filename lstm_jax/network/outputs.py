"""The whole network: hidden layer and output units (section 5; eq. 8)."""

from __future__ import annotations

from typing import Literal

import jax
import jax.numpy as jnp

from lstm_jax.network.activations import ACTIVATIONS
from lstm_jax.network.architecture import Architecture
from lstm_jax.network.cell import State
from lstm_jax.network.lanes import weighted_sum, weighted_sum_over_time
from lstm_jax.network.layer import Gradient, clear_padding, prepare, run
from lstm_jax.network.parameters import OutputWeights, Parameters
from lstm_jax.network.recurrence import Activations, Sequence, last_step, pick_rows

At = Literal["every_step", "end"]


def apply(
    architecture: Architecture,
    parameters: Parameters,
    inputs: jax.Array,
    *,
    at: At = "every_step",
    initial_state: State | None = None,
    mask: jax.Array | None = None,
    length: jax.Array | int | None = None,
    gradient: Gradient = "truncated",
    steps_per_iteration: int = 1,
) -> tuple[jax.Array, State]:
    """Computes the outputs of one network for one sequence; lift it with `jax.vmap`.

    The output units see the cell outputs of the *same* step (section 5, three processing steps).

    >>> from lstm_jax.parameters import initialise
    >>> net = Architecture(num_inputs=3, blocks=(2,), num_outputs=4)
    >>> parameters = initialise(jax.random.key(0), net)
    >>> outputs, final_state = apply(net, parameters, jnp.ones((10, 3)))
    >>> outputs.shape, apply(net, parameters, jnp.ones((10, 3)), at="end")[0].shape
    ((10, 4), (4,))

    Args:
      architecture, parameters, inputs, initial_state, mask, length, gradient,
        steps_per_iteration: as in `unroll`.
      at: "every_step", or "end" for the outputs after the last real step alone, at which no
        activation needs to be kept without a gradient, and no error needs summing with one.

    Returns:
      The outputs, [T, K] or [K], and the final `State`.

    Raises:
      ValueError: as in `unroll`, or if `at` is unknown.
    """
    if at not in ("every_step", "end"):
        raise ValueError(f"at must be 'every_step' or 'end', got {at!r}")
    sequence = prepare(architecture, parameters, inputs, initial_state, mask, length)
    activations, state = run(
        architecture,
        parameters,
        sequence,
        gradient=gradient,
        record="all" if at == "every_step" else "last",
        steps_per_iteration=steps_per_iteration,
    )
    if at == "every_step":
        assert activations is not None
        outputs = output_units_over_time(
            architecture, parameters.output, activations, sequence.inputs
        )
        return clear_padding(outputs, sequence.mask), state
    x_t = _last_input(architecture, sequence) if architecture.input_to_output else None
    return output_units(architecture, parameters.output, state, x_t), state


def output_units(
    architecture: Architecture, weights: OutputWeights, state: State, x_t: jax.Array | None
) -> jax.Array:
    """y_k(t) = f_k(net_k(t)), [K], from the hidden layer's state after the same step t.

    Args:
      architecture: the network.
      weights: the incoming weights of the output units.
      state: the hidden layer after step t.
      x_t: the inputs of step t, [I] floating; used with `input_to_output` only.
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


def output_units_over_time(
    architecture: Architecture, weights: OutputWeights, activations: Activations, inputs: jax.Array
) -> jax.Array:
    """`output_units` for all steps at once, [T, K], from inputs [T, I] floating or [T] symbols."""
    net = weighted_sum_over_time(weights.cell, activations.cell_output)
    if weights.hidden is not None:
        net = net + weighted_sum_over_time(weights.hidden, activations.hidden)
    if weights.input is not None:
        is_symbol = jnp.issubdtype(inputs.dtype, jnp.integer)
        net = net + (pick_rows if is_symbol else weighted_sum_over_time)(weights.input, inputs)
    if weights.bias is not None:
        net = net + weights.bias[None]
    return ACTIVATIONS[architecture.output].value(net)


def _last_input(architecture: Architecture, sequence: Sequence) -> jax.Array:
    """The inputs of the last real step, [I, *lanes] floating; 0 if no step is real."""
    inputs, like = sequence.inputs, sequence.initial_state.internal_state
    is_last, is_any = last_step(sequence, len(inputs))
    if not jnp.issubdtype(inputs.dtype, jnp.integer):
        return jnp.where(is_last[:, None], inputs, 0).sum(0)
    symbol = jnp.broadcast_to(jnp.where(is_last, inputs, 0).sum(0), like.shape[1:])
    x_t = jax.nn.one_hot(symbol, architecture.num_inputs, dtype=like.dtype, axis=0)
    return jnp.where(is_any[None], x_t, 0)
