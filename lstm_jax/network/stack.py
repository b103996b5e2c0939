"""Runs of the layers of a network on top of each other, for arguments that fit each other."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp

from lstm_jax.cell.architecture import AnyNetwork, NetworkOf, NetworkWithState
from lstm_jax.cell.compilation import compiled
from lstm_jax.cell.records import (
    A,
    Activations,
    LayerState,
    P,
    Parameters,
    S,
    StackParameters,
    State,
    by_layer,
)
from lstm_jax.cell.scan import Sequence
from lstm_jax.cell.stack import without_outputs
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


@compiled(num_static=2)
def unroll_network(
    network: NetworkOf[P, S, A],
    options: RunOptions,
    parameters: P,
    sequence: Sequence[S],
    key: jax.Array | None,
) -> tuple[A, S]:
    """Run all layers; return the activations and the final state of each."""
    number = len(network.layers)
    found, states = _unroll_layers(network, number, options, parameters, sequence, key)
    return network.make_activations(tuple(found)), network.make_state(tuple(states))


@compiled(num_static=3)
def apply_network(
    network: NetworkWithState[P, S],
    options: RunOptions,
    at: At,
    parameters: P,
    sequence: Sequence[S],
    key: jax.Array | None,
) -> tuple[jax.Array, S]:
    """Run all layers and the output units; return the outputs and the final state of each layer.

    With two directions, outputs at the end are those of the two final states.
    """
    top, last = len(network.layers) - 1, network.layers[-1]
    found, states = _unroll_layers(network, top, options, parameters, sequence, key)
    sequence_of_top = _at_layer(network, top, sequence, found, key)
    start = sequence_of_top.initial_state
    if isinstance(start, State):
        weights = Parameters(parameters.layers[-1], parameters.output)
        run = _starting_from(start, sequence_of_top)
        outputs, state = apply_layer(last, options, at, weights, run)
        return outputs, network.make_state((*states, state))
    activations, both = _unroll_both(network, top, options, parameters, sequence_of_top, start)
    is_reversed = options.reverse and at == "end"
    run = prepare(_starting_from(start[0], sequence_of_top), last.num_inputs, is_reversed)
    if at == "end":
        x_t = last_input(last, run) if last.input_to_output else None
        outputs = run_output_units(last, parameters.output, side_by_side(*both), x_t)
    else:
        outputs = run_output_units(last, parameters.output, activations, run.inputs)
        outputs = clear_padding(outputs, run.mask)
    return outputs, network.make_state((*states, both))


def layer_outputs(hidden: State | Activations) -> jax.Array:
    """Return what those above a layer see of it: its cell outputs and conventional hidden units."""
    if hidden.hidden is None:
        return hidden.cell_output
    axis = 0 if isinstance(hidden, State) else 1
    return jnp.concatenate([hidden.cell_output, hidden.hidden], axis)


def normalise(network: AnyNetwork, outputs: jax.Array, axis: int) -> jax.Array:
    """Return a layer's outputs, whose units lie on an axis, as the layer above takes them."""
    if network.normalisation == "none":
        return outputs
    if network.normalisation == "layer":
        outputs = outputs - outputs.mean(axis, keepdims=True)
    mean_square = (outputs * outputs).mean(axis, keepdims=True)
    return outputs * jax.lax.rsqrt(mean_square + EPSILON)


def _unroll_layers(
    network: AnyNetwork,
    number: int,
    options: RunOptions,
    parameters: Parameters | StackParameters,
    sequence: Sequence[S],
    key: jax.Array | None,
) -> tuple[list[Activations], list[LayerState]]:
    """Run the lowest layers; return the activations and the final state of each."""
    found, states = [], []
    for i in range(number):
        at = _at_layer(network, i, sequence, found, key)
        start = at.initial_state
        if isinstance(start, State):
            layer, weights = without_outputs(network.layers[i]), parameters.layers[i]
            run = _starting_from(start, at)
            activations, state = unroll_layer(layer, options, Parameters(weights, None), run)
        else:
            activations, state = _unroll_both(network, i, options, parameters, at, start)
        found.append(activations)
        states.append(state)
    return found, states


def _at_layer(
    network: AnyNetwork,
    index: int,
    sequence: Sequence[S],
    found: list[Activations],
    key: jax.Array | None,
) -> Sequence[LayerState]:
    """Return the sequence that a layer sees, given the activations of those below."""
    inputs = sequence.inputs
    if index > 0:
        inputs = normalise(network, layer_outputs(found[index - 1]), axis=1)
        if network.dropout and key is not None:
            layer_key = jax.random.fold_in(key, index)
            is_kept = jax.random.bernoulli(layer_key, 1 - network.dropout, inputs.shape[1:])
            inputs = jnp.where(is_kept[None], inputs / (1 - network.dropout), 0)
    state = by_layer(sequence.initial_state)[index]
    return Sequence(inputs, state, sequence.mask, sequence.length, sequence.reset)


def _starting_from(state: State, sequence: Sequence[LayerState]) -> Sequence[State]:
    return Sequence(sequence.inputs, state, sequence.mask, sequence.length, sequence.reset)


def _unroll_both(
    network: AnyNetwork,
    index: int,
    options: RunOptions,
    parameters: Parameters | StackParameters,
    sequence: Sequence[LayerState],
    start: tuple[State, State],
) -> tuple[Activations, tuple[State, State]]:
    """Run a layer in both directions."""
    layer = without_outputs(network.layers[index])
    reverse = dataclasses.replace(options, reverse=not options.reverse)
    assert parameters.backward is not None
    forward = Parameters(parameters.layers[index], None)
    backward = Parameters(parameters.backward[index], None)
    ahead, state = unroll_layer(layer, options, forward, _starting_from(start[0], sequence))
    back, back_state = unroll_layer(layer, reverse, backward, _starting_from(start[1], sequence))
    return side_by_side(ahead, back), (state, back_state)
