"""Runs of a stack of layers, for arguments that fit each other."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any, cast

import jax
import jax.numpy as jnp

from lstm_jax.cell.parameters import Parameters, StackParameters
from lstm_jax.cell.scan import Activations, Sequence
from lstm_jax.cell.stack import Stack, without_outputs
from lstm_jax.cell.step import State
from lstm_jax.network.run import (
    At,
    RunOptions,
    apply_layer,
    clear_padding,
    last_input,
    prepare,
    run_output_units,
    side_by_side,
    unroll_layer,
)

EPSILON = 1e-6  # added to the mean square of normalised outputs


@functools.partial(jax.jit, static_argnums=(0, 1), inline=True)
def unroll_stack(
    stack: Stack,
    options: RunOptions,
    parameters: StackParameters,
    sequence: Sequence,
    key: jax.Array | None,
) -> tuple[tuple[Activations, ...], tuple[Any, ...]]:
    """Run all layers; return the activations and the final state of each."""
    found, states = _unroll_layers(stack, len(stack.layers), options, parameters, sequence, key)
    return tuple(found), tuple(states)


@functools.partial(jax.jit, static_argnums=(0, 1, 2), inline=True)
def apply_stack(
    stack: Stack,
    options: RunOptions,
    at: At,
    parameters: StackParameters,
    sequence: Sequence,
    key: jax.Array | None,
) -> tuple[jax.Array, tuple[Any, ...]]:
    """Run all layers and the output units; return the outputs and the final state of each layer.

    With two directions, outputs at the end are those of the two final states.
    """
    top, last = len(stack.layers) - 1, stack.layers[-1]
    found, states = _unroll_layers(stack, top, options, parameters, sequence, key)
    sequence = _at_layer(stack, top, sequence, found, key)
    if not stack.bidirectional:
        weights = Parameters(parameters.layers[-1], parameters.output)
        outputs, state = apply_layer(last, options, at, weights, sequence)
        return outputs, (*states, state)
    activations, state = _unroll_directions(stack, top, options, parameters, sequence)
    is_reversed = options.reverse and at == "end"
    sequence = prepare(sequence._replace(initial_state=state[0]), last.num_inputs, is_reversed)
    if at == "end":
        x_t = last_input(last, sequence) if last.input_to_output else None
        outputs = run_output_units(last, parameters.output, side_by_side(*state), x_t)
    else:
        outputs = run_output_units(last, parameters.output, activations, sequence.inputs)
        outputs = clear_padding(outputs, sequence.mask)
    return outputs, (*states, state)


def layer_outputs(hidden: State | Activations) -> jax.Array:
    """Return what those above a layer see of it: its cell outputs and conventional hidden units."""
    if hidden.hidden is None:
        return hidden.cell_output
    axis = 0 if isinstance(hidden, State) else 1
    return jnp.concatenate([hidden.cell_output, hidden.hidden], axis)


def normalise(stack: Stack, outputs: jax.Array, axis: int) -> jax.Array:
    """Return a layer's outputs, whose units lie on an axis, as the layer above takes them."""
    if stack.normalisation == "none":
        return outputs
    if stack.normalisation == "layer":
        outputs = outputs - outputs.mean(axis, keepdims=True)
    mean_square = (outputs * outputs).mean(axis, keepdims=True)
    return outputs * jax.lax.rsqrt(mean_square + EPSILON)


def _unroll_layers(
    stack: Stack,
    number: int,
    options: RunOptions,
    parameters: StackParameters,
    sequence: Sequence,
    key: jax.Array | None,
) -> tuple[list[Activations], list[Any]]:
    """Run the lowest layers; return the activations and the final state of each."""
    found, states = [], []
    for i in range(number):
        at = _at_layer(stack, i, sequence, found, key)
        activations, state = _unroll_directions(stack, i, options, parameters, at)
        found.append(activations)
        states.append(state)
    return found, states


def _at_layer(
    stack: Stack, index: int, sequence: Sequence, found: Any, key: jax.Array | None
) -> Sequence:
    """Return the sequence that a layer sees, given the activations of those below."""
    state = sequence.initial_state[index]
    if index == 0:
        return sequence._replace(initial_state=state)
    inputs = normalise(stack, layer_outputs(found[index - 1]), axis=1)
    if stack.dropout and key is not None:
        layer_key = jax.random.fold_in(key, index)
        is_kept = jax.random.bernoulli(layer_key, 1 - stack.dropout, inputs.shape[1:])
        inputs = jnp.where(is_kept[None], inputs / (1 - stack.dropout), 0)
    return sequence._replace(inputs=inputs, initial_state=state)


def _unroll_directions(
    stack: Stack, index: int, options: RunOptions, parameters: StackParameters, sequence: Sequence
) -> tuple[Activations, Any]:
    """Run a layer, in both directions if there are two."""
    layer = without_outputs(stack.layers[index])

    def run(weights: tuple, options: RunOptions, start: State) -> tuple[Activations, State]:
        one = Parameters(weights[index], None)
        return unroll_layer(layer, options, one, sequence._replace(initial_state=start))

    if not stack.bidirectional:
        return run(parameters.layers, options, sequence.initial_state)
    forward, backward = cast("Any", sequence.initial_state)
    reverse = dataclasses.replace(options, reverse=not options.reverse)
    ahead, ahead_state = run(parameters.layers, options, forward)
    back, back_state = run(parameters.backward, reverse, backward)
    return side_by_side(ahead, back), (ahead_state, back_state)
