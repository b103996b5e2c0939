"""The truncated gradient as what `jax.grad` of a run gives: `truncated`, wired into JAX.

A run is differentiated with respect to its net inputs alone, by a `custom_vjp` whose backward pass
is `truncated.pull_back`. The net inputs themselves are linear in weights and inputs, with all that
they see of the layer given; JAX differentiates that by itself. So, under `jax.vmap`, the gradient
of weights that a batch shares is one product over all sequences and steps.
"""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp

from lstm_jax.cell.lanes import (
    FEW_SOURCES,
    outer_sum_over_time,
    sum_over_time,
    weighted_sum_over_time,
)
from lstm_jax.cell.parameters import UnitWeights, split
from lstm_jax.cell.scan import (
    Activations,
    LayerScan,
    Sequence,
    add_to_rows,
    before_each_step,
    project,
    recurrent_sources_over_time,
)
from lstm_jax.cell.step import State, through_peephole
from lstm_jax.cell.units import GATES, Layer
from lstm_jax.gradient.equations import Outcome, pull_back
from lstm_jax.gradient.refusals import first_order_only, reverse_mode_only

Record = tuple[State, Activations]


@functools.partial(jax.jit, static_argnums=0, inline=True)  # drops what is not used
def truncated(layer: LayerScan, weights: UnitWeights, sequence: Sequence) -> Outcome:
    """Runs `layer`; under `jax.grad`, errors come back by the paper's truncation rule.

    The values are those of `layer(weights, sequence)`. Only first derivatives in reverse mode are
    defined; others raise TypeError. The error on the inputs is what each step's own net inputs send
    down; that on the initial internal state is exact along the carrousel; that on the initial
    activations is cut, like every activation's.
    """
    weights, sequence = reverse_mode_only((weights, sequence))
    record: Any = _record(layer, weights, sequence)
    net = _net_inputs(layer, weights, sequence, record[1])
    return _truncated(layer, net, weights, sequence, record)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _record(layer: LayerScan, weights: UnitWeights, sequence: Sequence) -> Record:
    """Runs the layer for the record, through which no error flows."""
    final, activations = layer._replace(record=True)(weights, sequence)
    assert activations is not None
    return final, activations


_record.defvjp(lambda *run: (_record(*run), None), lambda *_: (None, None))


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _truncated(
    layer: LayerScan,
    net: Layer[jax.Array],
    weights: UnitWeights,
    sequence: Sequence,
    record: Record,
) -> Outcome:
    """The layer's outcome, from which errors flow to `net` and the initial internal state alone.

    The record serves the gradient; without one it is not used, and neither are the net inputs.
    """
    del net, record
    return layer(weights, sequence)


def _forward(
    layer: LayerScan, net: Layer, weights: UnitWeights, sequence: Sequence, record: Record
) -> tuple[Outcome, tuple[Sequence, Record]]:
    del net, weights
    final, activations = record
    return (final, activations if layer.record else None), (sequence._replace(inputs=None), record)


def _backward(layer: LayerScan, residuals: tuple[Sequence, Record], delta: Outcome) -> tuple:
    delta_net, delta_start = _pull_back(layer, *first_order_only(residuals), delta)
    return delta_net, None, Sequence(None, delta_start), None


_truncated.defvjp(_forward, _backward)
_pull_back = jax.jit(pull_back, static_argnums=0, inline=True)  # or eager calls compile its loop


def _net_inputs(
    layer: LayerScan, weights: UnitWeights, sequence: Sequence, activations: Activations
) -> Layer[jax.Array]:
    """The net inputs at all steps, [T, n, *lanes] each, with all that they see of the layer given.

    Only their derivatives are used: their values are those of the run.
    """
    architecture = layer.architecture
    given = before_each_step(layer, sequence, activations), activations.internal_state
    before, states = jax.lax.stop_gradient(given)
    linear = _linear_of_lanes if weights.input.ndim > 2 else _linear
    y_tm1 = recurrent_sources_over_time(architecture, before)
    net = linear(weights._replace(peephole=None), sequence.inputs, y_tm1)
    net = split(architecture, net, axis=1)
    displayed = {"s(t-1)": before.internal_state, "s(t)": states}
    with_peepholes = {}
    for gate in GATES:
        if architecture.has_peephole(gate):
            peephole = getattr(weights.peephole, gate.name)[None]
            heard = through_peephole(architecture, peephole, displayed[gate.peephole], axis=1)
            with_peepholes[gate.name] = getattr(net, gate.name) + heard
    return net._replace(**with_peepholes)


def _linear(weights: UnitWeights, inputs: jax.Array, y_tm1: jax.Array | None) -> jax.Array:
    """Σ_m w_lm y_m over inputs, activations and biases for all steps: [T, H, *lanes]."""
    num_inputs, has_lanes = len(weights.input), weights.input.ndim > 2
    if jnp.issubdtype(inputs.dtype, jnp.integer) and num_inputs <= FEW_SOURCES and not has_lanes:
        # A product is the faster to transpose.
        vectors = jax.nn.one_hot(inputs, num_inputs, dtype=weights.input.dtype)
        net = vectors @ weights.input
        net = net if weights.bias is None else net + weights.bias[None]
    else:
        net = project(weights, inputs)
    return net if y_tm1 is None else net + weighted_sum_over_time(weights.recurrent, y_tm1)


# With lanes every network has its own weights, and the sums over time are written out.
_linear_of_lanes = jax.custom_vjp(_linear)


def _pull_back_weights(
    seen: tuple[UnitWeights, jax.Array, jax.Array | None], delta_net: jax.Array
) -> tuple[UnitWeights, jax.Array | None, None]:
    """Σ_t y_m(t) delta_net_l(t) for every weight, and the error on floating inputs."""
    weights, inputs, y_tm1 = seen
    delta_inputs = None
    if jnp.issubdtype(inputs.dtype, jnp.integer):
        delta_input_weights = add_to_rows(weights.input, inputs, delta_net)
    else:
        delta_input_weights = outer_sum_over_time(inputs, delta_net)
        delta_inputs = weighted_sum_over_time(jnp.swapaxes(weights.input, 0, 1), delta_net)
    delta_recurrent = None if y_tm1 is None else outer_sum_over_time(y_tm1, delta_net)
    delta_bias = None if weights.bias is None else sum_over_time(delta_net)
    return UnitWeights(delta_input_weights, delta_recurrent, delta_bias), delta_inputs, None


_linear_of_lanes.defvjp(lambda *seen: (_linear(*seen), seen), _pull_back_weights)
