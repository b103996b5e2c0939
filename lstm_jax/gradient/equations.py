"""The paper's truncated gradient: eqs. 19-28, and the traces that forward mode needs.

An error that reaches a net input changes the weights into that unit and goes no further back in
time; inside a cell it flows back through the internal state, unchanged (eqs. 30-35). So the only
sequential part of the backward pass is the sum delta_s. At every step,

    e_s     = y_out h'(s) delta_y_c                      eq. 23, the error that the step injects
    delta_s = e_s + y_phi(t+1) delta_s(t+1)              the constant error carrousel
    delta_net_c   = g'(net_c) y_in delta_s               eqs. 27, 28
    delta_net_in  = f'(net_in) Σ_v g(net_cv) delta_s_v   eqs. 25, 26
    delta_net_phi = f'(net_phi) Σ_v s_v(t-1) delta_s_v
    delta_net_out = f'(net_out) Σ_v h(s_v) delta_y_cv    eqs. 21, 22
    delta_net_i   = f'(net_i) delta_y_i                  eq. 20

where y_phi = 1 without forget gates, and delta_y comes from the output units by JAX (eq. 19).
Every weight gradient is Σ_t y_m(t-1) delta_net_l(t), one product over all steps. The sum of
e_s(τ) ∂s(τ)/∂w over τ, with the traces of eqs. 25 and 27, as in `lstm_jax.network.online`, and that
of delta_s(t) times the traces' increments, as in `reverse_mode`, are one double sum in two orders.

Peepholes are treated like other weights: an error changes the peephole and goes no further (Gers,
Schraudolph & Schmidhuber 2002, p. 121).

Here delta_x is ∂E/∂x, and so is e_s: the paper's e_x with the opposite sign.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from optax.tree_utils import tree_where

from lstm_jax.cell.activations import ACTIVATIONS, logistic
from lstm_jax.cell.architecture import Architecture
from lstm_jax.cell.carrousel import carrousel_errors, carrousel_factors
from lstm_jax.cell.lanes import as_indices
from lstm_jax.cell.records import Activations, State, UnitWeights
from lstm_jax.cell.scan import (
    LayerScan,
    ScanOutput,
    Sequence,
    last_step,
    previous_states,
    recurrent_sources_over_time,
)
from lstm_jax.cell.step import apply_gate, broadcast_to_cells, by_unit_type, sum_over_blocks
from lstm_jax.cell.units import Layer, UnitType, add_layers, map_layer

# One step, or all steps at once with `axis` 1: from activations to net inputs -------------------


def unit_errors(
    architecture: Architecture,
    activations: State | Activations,
    delta: State | Activations,
    axis: int = 0,
) -> tuple[jax.Array, Layer[jax.Array]]:
    """Propagate the errors `delta` on activations to the units of the same step (eqs. 21, 23).

    Returns e_s, the error on the internal states [C], and the error on the values of the units:
    y_in, y_phi, y_out, y_i and, if `delta` holds it, g(net_c).
    """
    h = ACTIVATIONS[architecture.cell_output]
    h_s = h(activations.internal_state)
    gate_factor = apply_gate(architecture, activations.output_gate, h.derivative(h_s), axis)
    e_s = delta.internal_state + gate_factor * delta.cell_output  # (23)
    values = by_unit_type(delta)._replace(cell=getattr(delta, "cell_input", None))
    if values.output_gate is not None:
        to_gate = sum_over_blocks(architecture, h_s * delta.cell_output, axis)  # (21)
        values = values._replace(output_gate=values.output_gate + to_gate)
    return e_s, values


def errors_through_state(
    architecture: Architecture,
    activations: Activations,
    s_tm1: jax.Array,
    delta_s: jax.Array,
    axis: int = 0,
) -> Layer[jax.Array]:
    """Propagate errors on internal states to the values that entered them, cell by cell, [C]."""
    to_input_gate = None if activations.input_gate is None else activations.cell_input * delta_s
    to_forget_gate = None if activations.forget_gate is None else s_tm1 * delta_s
    to_cell = apply_gate(architecture, activations.input_gate, delta_s, axis)
    return Layer(to_input_gate, to_forget_gate, None, to_cell, None)


def activation_derivatives(architecture: Architecture, activations: Activations) -> Layer:
    """Return f', and g' for the cells, at the net inputs of one step or of all steps."""
    g = ACTIVATIONS[architecture.cell_input]
    derivative = lambda t, value: (g if t.name == "cell" else logistic).derivative(value)
    return map_layer(derivative, by_unit_type(activations)._replace(cell=activations.cell_input))


def net_input_errors(
    architecture: Architecture, activations: Activations, delta_values: Layer
) -> Layer:
    """Return delta_net = f'(net) times the error on f(net); for cells g (eqs. 20, 21)."""
    derivatives = activation_derivatives(architecture, activations)
    return map_layer(lambda _, derivative, error: derivative * error, derivatives, delta_values)


def derivatives_of_state(
    architecture: Architecture, activations: Activations, s_tm1: jax.Array
) -> Layer[jax.Array]:
    """Return ∂s_v(t)/∂net_l(t) for every cell v and its net inputs l (eqs. 25, 27), [..., C]."""
    axis = activations.cell_input.ndim - 1
    ones = jnp.ones_like(activations.cell_input)
    by_value = errors_through_state(architecture, activations, s_tm1, ones, axis)
    by_net = activation_derivatives(architecture, activations)
    by_cell = map_layer(
        lambda t, d: broadcast_to_cells(architecture, d, axis) if t.is_gate else d, by_net
    )
    return map_layer(lambda _, value, derivative: value * derivative, by_value, by_cell)


# All steps: along the carrousel ----------------------------------------------------------------


def backward_pass(
    layer: LayerScan, sequence: Sequence[State], record: ScanOutput, delta: ScanOutput
) -> tuple[Layer[jax.Array], State]:
    """Return the errors on all net inputs [T, n, *lanes] and on the initial state.

    `delta` is the error on the final state and, if they were recorded, on the activations. The
    error on the initial state is exact along the carrousel, and 0 on the initial activations.
    """
    architecture = layer.architecture
    (final, activations), (delta_final, delta_steps) = record, delta
    is_last, is_any = last_step(sequence, activations.cell_input.shape[0])
    delta_s_final, at_end = unit_errors(architecture, final, delta_final)
    values = jax.tree.map(lambda error: jnp.where(is_last[:, None], error[None], 0), at_end)
    e_s = None
    if delta_steps is not None:
        e_s, at_steps = unit_errors(architecture, activations, delta_steps, axis=1)
        values = add_layers(values, at_steps)

    # If no step is real, the final state is the initial one, and its error passes unchanged.
    delta_s_final = tree_where(is_any[None], delta_s_final, delta_final.internal_state)
    factors = carrousel_factors(
        architecture, activations.cell_input, activations.forget_gate, sequence.mask, sequence.reset
    )
    if factors is None and e_s is None:
        delta_start = delta_s_final
        delta_s = jnp.broadcast_to(delta_start, activations.cell_input.shape)
    else:
        e_s = jnp.zeros_like(activations.cell_input) if e_s is None else e_s
        delta_s, delta_start = carrousel_errors(e_s, factors, delta_s_final)

    s_tm1 = previous_states(layer, sequence, activations).internal_state
    by_cell = errors_through_state(architecture, activations, s_tm1, delta_s, axis=1)
    by_unit = map_layer(
        lambda t, error: sum_over_blocks(architecture, error, 1) if t.is_gate else error, by_cell
    )
    delta_net = net_input_errors(architecture, activations, add_layers(values, by_unit))
    if sequence.mask is not None:
        is_real = sequence.mask[:, None]
        delta_net = jax.tree.map(lambda error: jnp.where(is_real, error, 0), delta_net)

    # The initial activations have an error only where they are the output: after no step.
    if sequence.reset is not None:
        is_any = is_any | sequence.reset.any(0)
    delta_initial = jax.tree.map(lambda error: jnp.where(is_any[None], 0, error), delta_final)
    return delta_net, delta_initial._replace(internal_state=delta_start)


# Traces ----------------------------------------------------------------------------------------
#
# For each type of unit that enters the internal state, a trace is ∂s_v/∂w_m for every cell v and
# source m (eqs. 25, 27): shaped as the weights of C units, one per cell, though a block shares its
# gate. A peephole's sources are the states of all cells; only those of its block count in the end.

Traces = Layer[UnitWeights]


def zero_traces(architecture: Architecture, layer: Layer[UnitWeights]) -> Traces:
    """Return the traces before the first step, when no state depends on a weight."""
    num_cells = architecture.num_cells

    def trace(unit_type: UnitType, weights: UnitWeights) -> UnitWeights | None:
        if not unit_type.enters_state:
            return None
        if weights.peephole is not None:  # of each cell's state by each state that is seen
            weights = weights._replace(peephole=weights.peephole[:, None])
        return jax.tree.map(lambda w: jnp.zeros((*w.shape[:-1], num_cells), w.dtype), weights)

    return map_layer(trace, layer)


def outer(weights: UnitWeights, sources: UnitWeights, delta: jax.Array) -> UnitWeights:
    """Return y_m delta_l for every weight that `weights` has, summed over the steps if any."""
    absent = {name: None for name, w in weights._asdict().items() if w is None}
    present = sources._replace(**absent)
    if delta.ndim == 1:
        return jax.tree.map(lambda y: jnp.multiply.outer(y, delta), present)
    return jax.tree.map(lambda y: jnp.tensordot(y, delta, axes=(0, 0)), present)


def add_outer(traces: Traces, sources: UnitWeights, increments: Layer[jax.Array]) -> Traces:
    """Add to every trace the contribution of one step, or of T steps."""
    add = lambda _, trace, by_net: jax.tree.map(jnp.add, trace, outer(trace, sources, by_net))
    return map_layer(add, traces, increments)


def decay(traces: Traces, factors: jax.Array) -> Traces:
    """Multiply the traces of each cell by its factor, [C]."""
    return jax.tree.map(lambda trace: trace * jnp.broadcast_to(factors, trace.shape), traces)


def gradient_from_traces(
    architecture: Architecture, traces: Traces, delta_s: jax.Array
) -> Layer[UnitWeights]:
    """Return the gradient by all weights that enter the states, from delta_s [C] (eqs. 26, 28)."""
    block = np.repeat(np.arange(architecture.num_blocks), architecture.blocks)
    is_same_block = block[:, None] == block[None]

    def gradient(unit_type: UnitType, by_cell: UnitWeights) -> UnitWeights:
        if not unit_type.is_gate:
            return by_cell
        peephole = by_cell.peephole
        if peephole is not None:  # a cell's state is seen by the gate of its block alone
            peephole = (peephole * jnp.asarray(is_same_block, peephole.dtype)).sum(-1)
        sum_up = lambda cells: sum_over_blocks(architecture, cells, -1)
        return jax.tree.map(sum_up, by_cell._replace(peephole=None))._replace(peephole=peephole)

    return map_layer(gradient, decay(traces, delta_s))


def advance_traces(
    layer: LayerScan, traces: Traces, sequence: Sequence[State], activations: Activations
) -> Traces:
    """Return the traces at the end of a chunk from those at its start (eqs. 25, 27)."""
    architecture = layer.architecture
    before = previous_states(layer, sequence, activations)
    increments = derivatives_of_state(architecture, activations, before.internal_state)
    if sequence.mask is not None:
        is_real = sequence.mask[:, None]
        increments = jax.tree.map(lambda part: jnp.where(is_real, part, 0), increments)
    factors = carrousel_factors(
        architecture, activations.cell_input, activations.forget_gate, sequence.mask, sequence.reset
    )
    if factors is not None:  # a trace decays with the states that it is a derivative of
        body = lambda product, factor: (product * factor, product)
        ones = jnp.ones_like(factors, shape=factors.shape[1:])
        all_factors, later = jax.lax.scan(body, ones, factors, reverse=True)
        increments = jax.tree.map(lambda part: part * later, increments)
        traces = decay(traces, all_factors)
    dtype = activations.cell_input.dtype
    sources = UnitWeights(
        one_hot(architecture, sequence.inputs, dtype),
        recurrent_sources_over_time(architecture, before),
        jnp.ones(sequence.inputs.shape[0], dtype),
        before.internal_state,
    )
    return add_outer(traces, sources, increments)


def one_hot(architecture: Architecture, inputs: jax.Array, dtype: DTypeLike) -> jax.Array:
    """Return inputs [I] or [T, I] of a dtype; integers become one-hot vectors."""
    if jnp.issubdtype(inputs.dtype, jnp.integer):
        symbols = as_indices(inputs, architecture.num_inputs)
        return jax.nn.one_hot(symbols, architecture.num_inputs, dtype=dtype)
    return inputs.astype(dtype)
