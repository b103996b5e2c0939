"""The traces of eqs. 25 and 27: derivatives of the internal states by every weight so far.

For each type of unit that enters the internal state, a trace is ∂s_v/∂w_m for every cell v and
source m: shaped as the weights of C units, one per cell, though a block shares its gate. A
peephole's sources are the states of all cells, of which only those of its block count in the end.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from lstm_jax.cell.architecture import Architecture
from lstm_jax.cell.parameters import UnitWeights
from lstm_jax.cell.scan import (
    Activations,
    LayerScan,
    Sequence,
    previous_states,
    recurrent_sources_over_time,
)
from lstm_jax.cell.step import sum_over_blocks
from lstm_jax.cell.units import Layer, UnitType, map_layer
from lstm_jax.gradient.equations import carrousel_factors, derivatives_of_state

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
    sum_up = functools.partial(sum_over_blocks, architecture, axis=-1)
    block = np.repeat(np.arange(architecture.num_blocks), architecture.blocks)
    is_same_block = block[:, None] == block[None]

    def gradient(unit_type: UnitType, by_cell: UnitWeights) -> UnitWeights:
        if not unit_type.is_gate:
            return by_cell
        peephole = by_cell.peephole
        if peephole is not None:  # a cell's state is seen by the gate of its block alone
            peephole = (peephole * jnp.asarray(is_same_block, peephole.dtype)).sum(-1)
        others = by_cell._replace(peephole=None)
        return jax.tree.map(sum_up, others)._replace(peephole=peephole)

    return map_layer(gradient, decay(traces, delta_s))


def advance_traces(
    layer: LayerScan, traces: Traces, sequence: Sequence, activations: Activations
) -> Traces:
    """Return the traces at the end of a chunk from those at its start (eqs. 25, 27)."""
    architecture = layer.architecture
    before = previous_states(layer, sequence, activations)
    increments = derivatives_of_state(architecture, activations, before.internal_state)
    if sequence.mask is not None:
        is_real = sequence.mask[:, None]
        increments = jax.tree.map(lambda part: jnp.where(is_real, part, 0), increments)
    factors = carrousel_factors(architecture, sequence, activations)
    if factors is not None:  # a trace decays with the states that it is a derivative of
        later, all_factors = _products_of_later(factors)
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


def _products_of_later(factors: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Return the product of all factors [T, C] after each step, [T, C], and of all, [C]."""

    def body(product: jax.Array, factor: jax.Array) -> tuple[jax.Array, jax.Array]:
        return product * factor, product

    ones = jnp.ones_like(factors, shape=factors.shape[1:])
    all_factors, later = jax.lax.scan(body, ones, factors, reverse=True)
    return later, all_factors


def one_hot(architecture: Architecture, inputs: jax.Array, dtype: DTypeLike) -> jax.Array:
    """Return inputs [I] or [T, I] of a dtype; integers become one-hot vectors."""
    if jnp.issubdtype(inputs.dtype, jnp.integer):
        return jax.nn.one_hot(inputs, architecture.num_inputs, dtype=dtype)
    return inputs.astype(dtype)
