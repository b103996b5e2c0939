"""The truncated gradient in forward mode (eqs. 25-28): one step of a layer, and its gradient.

For each cell v and each weight into its gates and its cell input there is a trace, the derivative
of the internal state by that weight:

    ∂s_v/∂w_in,m (t) = y_phi ∂s_v/∂w_in,m (t-1) + g(net_cv) f'(net_in) y_m      eq. 25
    ∂s_v/∂w_cv,m (t) = y_phi ∂s_v/∂w_cv,m (t-1) + g'(net_cv) f(net_in) y_m      eq. 27
    ∂s_v/∂w_phi,m (t) = y_phi ∂s_v/∂w_phi,m (t-1) + s_v(t-1) f'(net_phi) y_m

y_phi = 1 without forget gates. The sources m of a peephole are the states that it sees. The sums of
the gradients of all steps equal those of `reverse_mode`. `influence` has less truncated gradients.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from lstm_jax.cell.architecture import Architecture
from lstm_jax.cell.parameters import join
from lstm_jax.cell.records import Activations, State, UnitWeights
from lstm_jax.cell.scan import project
from lstm_jax.cell.step import broadcast_to_cells, cell_step, recurrent_sources
from lstm_jax.cell.units import Layer
from lstm_jax.gradient.equations import (
    add_outer,
    decay,
    derivatives_of_state,
    gradient_from_traces,
    net_input_errors,
    outer,
    unit_errors,
)
from lstm_jax.gradient.influence import RTRLTraces, SnAp1Traces

AnyTraces = Any  # Traces, RTRLTraces or SnAp1Traces, by the gradient of the learner


class LayerStep(NamedTuple):
    """One step of one layer, and what a gradient needs of it."""

    architecture: Architecture
    layer: Layer[UnitWeights]
    joined: UnitWeights
    before: State
    state: State
    at: Activations
    sources: UnitWeights
    traces: AnyTraces


def step_layer(
    architecture: Architecture,
    layer: Layer[UnitWeights],
    before: State,
    traces: AnyTraces,
    x_t: jax.Array,
) -> LayerStep:
    """Take a step from the state and the traces before it, with the inputs x_t [I]."""
    weights = join(architecture, layer)
    state, cell_input = cell_step(architecture, weights, before, project(weights, x_t[None])[0])
    at = Activations(cell_input=cell_input, **state._asdict())
    rows = recurrent_sources(architecture, before)
    recurrent = jnp.concatenate(rows) if rows else None
    ones = jnp.ones((), x_t.dtype)
    sources = UnitWeights(x_t, recurrent, ones, before.internal_state)
    if isinstance(traces, (RTRLTraces, SnAp1Traces)):
        traces = traces.advance(architecture, layer, before, x_t)
    else:
        increments = derivatives_of_state(architecture, at, before.internal_state)
        if at.forget_gate is not None:
            traces = decay(traces, broadcast_to_cells(architecture, at.forget_gate))
        traces = add_outer(traces, sources, increments)
    return LayerStep(architecture, layer, weights, before, state, at, sources, traces)


def errors_on_inputs(step: LayerStep, delta: State) -> jax.Array:
    """Return the error on a layer's inputs [I] from that on its units, both of the same step."""

    def state(x_t: jax.Array) -> State:
        net_input = project(step.joined, x_t[None])[0]
        return cell_step(step.architecture, step.joined, step.before, net_input, truncate=True)[0]

    return jax.vjp(state, step.sources.input)[1](delta)[0]


def layer_gradient(step: LayerStep, delta: State) -> Layer[UnitWeights]:
    """Return the gradient by a layer's weights from the error on its units at the last step."""
    architecture, at, sources = step.architecture, step.at, step.sources
    if isinstance(step.traces, (RTRLTraces, SnAp1Traces)):
        return step.traces.gradient(architecture, step.layer, delta)
    e_s, delta_values = unit_errors(architecture, at, delta)  # (21), (23)
    delta_net = net_input_errors(architecture, at, delta_values)  # (20), (21)
    by_output_gate = by_hidden = None
    if at.output_gate is not None:  # (22)
        gate = step.layer.output_gate
        by_output_gate = outer(gate._replace(peephole=None), sources, delta_net.output_gate)
        if gate.peephole is not None:  # it sees the state of this very step
            by_peephole = broadcast_to_cells(architecture, delta_net.output_gate)
            by_peephole = by_peephole * at.internal_state
            by_output_gate = by_output_gate._replace(peephole=by_peephole)
    if at.hidden is not None:
        by_hidden = outer(step.layer.hidden, sources, delta_net.hidden)
    by_layer = gradient_from_traces(architecture, step.traces, e_s)  # (26), (28)
    return by_layer._replace(output_gate=by_output_gate, hidden=by_hidden)
