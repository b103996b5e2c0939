"""The traces of eqs. 25 and 27: what the internal states owe to every weight so far.

For each kind of unit whose net inputs enter the states, they are ∂s_v/∂w_m for every cell v and
source m: shaped as the weights of C units, one a cell, though its block shares the gate. A
peephole's sources are the states of all cells, of which its own block's count in the end.
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
    before_each_step,
    recurrent_sources_over_time,
)
from lstm_jax.cell.step import sum_over_blocks
from lstm_jax.cell.units import Layer
from lstm_jax.gradient.equations import carrousel_factors, derivatives_of_state

Traces = Layer[UnitWeights]


def zero_traces(architecture: Architecture, layer: Layer[UnitWeights]) -> Traces:
    """Before the first step no state depends on a weight."""
    zeros = lambda w: jnp.zeros((*w.shape[:-1], architecture.num_cells), w.dtype)

    def of_kind(weights: UnitWeights | None) -> UnitWeights | None:
        if weights is None:
            return None
        of_peepholes = weights.peephole
        if of_peepholes is not None:  # of each cell's state by each state that is seen
            of_peepholes = jnp.zeros((architecture.num_cells,) * 2, of_peepholes.dtype)
        return jax.tree.map(zeros, weights._replace(peephole=None))._replace(peephole=of_peepholes)

    enters = layer._replace(output_gate=None, hidden=None)
    return Layer(*map(of_kind, enters))


def outer(weights: UnitWeights, sources: UnitWeights, delta: jax.Array) -> UnitWeights:
    """y_m delta_l for every weight that `weights` has, summed over the steps if there are many."""
    absent = {name: None for name, w in weights._asdict().items() if w is None}
    present = sources._replace(**absent)
    if delta.ndim == 1:
        return jax.tree.map(lambda y: jnp.multiply.outer(y, delta), present)
    return jax.tree.map(lambda y: jnp.tensordot(y, delta, axes=(0, 0)), present)


def add_outer(traces: Traces, sources: UnitWeights, increments: Layer[jax.Array]) -> Traces:
    """Adds to every trace what a step contributes, or T of them."""
    parts = [
        None if trace is None else jax.tree.map(jnp.add, trace, outer(trace, sources, part))
        for trace, part in zip(traces, increments, strict=True)
    ]
    return Layer(*parts)


def fade(traces: Traces, factors: jax.Array) -> Traces:
    """The traces of each cell times its factor, [C]."""
    return jax.tree.map(lambda trace: trace * jnp.broadcast_to(factors, trace.shape), traces)


def through_traces(
    architecture: Architecture, traces: Traces, delta_s: jax.Array
) -> Layer[UnitWeights]:
    """Eqs. 26 and 28: the gradient by all weights that enter the states, from delta_s [C]."""
    by_cell = fade(traces, delta_s)
    add_up = functools.partial(sum_over_blocks, architecture, axis=-1)

    def of_gate(weights: UnitWeights | None) -> UnitWeights | None:
        if weights is None:
            return None
        by_peephole = weights.peephole
        if by_peephole is not None:  # a cell's state is seen by its own block's gate alone
            is_own = jnp.asarray(_same_block(architecture), by_peephole.dtype)
            by_peephole = (by_peephole * is_own).sum(-1)
        by_others = jax.tree.map(add_up, weights._replace(peephole=None))
        return by_others._replace(peephole=by_peephole)

    return Layer(
        input_gate=of_gate(by_cell.input_gate),
        forget_gate=of_gate(by_cell.forget_gate),
        output_gate=None,
        cell=by_cell.cell,
        hidden=None,
    )


def _same_block(architecture: Architecture) -> np.ndarray:
    """Whether two cells are of one block, [C, C]."""
    block = np.repeat(np.arange(architecture.num_blocks), architecture.blocks)
    return block[:, None] == block[None]


def traces_after(
    layer: LayerScan, traces: Traces, sequence: Sequence, activations: Activations
) -> Traces:
    """Eqs. 25 and 27 over a whole stretch: the traces at its end from those at its start."""
    architecture = layer.architecture
    before = before_each_step(layer, sequence, activations)
    increments = derivatives_of_state(architecture, activations, before.internal_state)
    if sequence.mask is not None:
        is_real = sequence.mask[:, None]
        increments = jax.tree.map(lambda part: jnp.where(is_real, part, 0), increments)
    factors = carrousel_factors(architecture, sequence, activations)
    if factors is not None:  # a trace fades with the states that it is a derivative of
        after, through = _products_behind(factors)
        increments = jax.tree.map(lambda part: part * after, increments)
        traces = fade(traces, through)
    dtype = activations.cell_input.dtype
    sources = UnitWeights(
        one_hot(architecture, sequence.inputs, dtype),
        recurrent_sources_over_time(architecture, before),
        jnp.ones(sequence.inputs.shape[0], dtype),
        before.internal_state,
    )
    return add_outer(traces, sources, increments)


def _products_behind(factors: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The product of all factors [T, C] behind each step, [T, C], and of all there are, [C]."""

    def back(product: jax.Array, factor: jax.Array) -> tuple[jax.Array, jax.Array]:
        return product * factor, product

    through, after = jax.lax.scan(
        back, jnp.ones_like(factors, shape=factors.shape[1:]), factors, reverse=True
    )
    return after, through


def one_hot(architecture: Architecture, inputs: jax.Array, dtype: DTypeLike) -> jax.Array:
    """Inputs as vectors, [I] or [T, I]: real ones as they are, integers by the place of a one."""
    if jnp.issubdtype(inputs.dtype, jnp.integer):
        return jax.nn.one_hot(inputs, architecture.num_inputs, dtype=dtype)
    return inputs.astype(dtype)
