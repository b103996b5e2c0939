"""One time step of the hidden layer: eqs. 6-9, and what came after 1997.

    y_in = f(net_in + p_in s(t-1))    y_phi = f(net_phi + p_phi s(t-1))    y_i = f(net_i)   (7), (8)
    s_c(t) = y_phi s_c(t-1) + y_in g(net_c)                                                     (9)
    y_out = f(net_out + p_out s(t))    y_c = y_out h(s_c(t))                               (8), (9)

In the network of 1997 there is no y_phi, its factor is exactly 1, and there are no peepholes p.

| paper              | here                              | shape            |
|--------------------|-----------------------------------|------------------|
| net_in, net_out, net_c, net_i | `net` (a `Layer`)      | [J] [J] [C] [N]  |
| y_in, y_out        | `input_gate`, `output_gate`       | [J]              |
| y_phi (2000)       | `forget_gate`                     | [J]              |
| g(net_c)           | `cell_input`                      | [C]              |
| s_c                | `internal_state`                  | [C]              |
| h(s_c)             | `squashed_state`                  | [C]              |
| y_c                | `cell_output`                     | [C]              |
| y_i                | `hidden`                          | [N]              |
| e_s, e_out, ...    | `delta_*` (with the sign of dE)   | as the unit      |
| w_lm               | `weights[m, l]`                   | sources, units   |
| t - 1              | suffix `_tm1`                     |                  |

References:
  F. A. Gers, J. Schmidhuber and F. Cummins. Learning to forget: continual prediction with LSTM.
  Neural Computation 12(10):2451-2471, 2000.
  F. A. Gers, N. N. Schraudolph and J. Schmidhuber. Learning precise timing with LSTM recurrent
  networks. Journal of Machine Learning Research 3:115-143, 2002.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from lstm_jax.cell.activations import ACTIVATIONS, logistic
from lstm_jax.cell.architecture import Architecture
from lstm_jax.cell.lanes import weighted_sum
from lstm_jax.cell.parameters import UnitWeights, split
from lstm_jax.cell.units import UNIT_TYPES, MaybeNone
from lstm_jax.cell.validation import check_floating, check_type

See = Callable[[jax.Array], jax.Array]


class State(NamedTuple):
    """What the hidden layer hands from one step to the next.

    Gates of a kind that the architecture lacks, and conventional hidden units where there are
    none, are None.
    """

    internal_state: jax.Array
    """[C], s_c: the constant error carrousels."""
    cell_output: jax.Array
    """[C], y_c."""
    input_gate: jax.Array | MaybeNone
    """[J], y_in, in [0, 1]."""
    output_gate: jax.Array | MaybeNone
    """[J], y_out, in [0, 1]."""
    hidden: jax.Array | MaybeNone
    """[N], y_i, in [0, 1]."""
    forget_gate: jax.Array | MaybeNone = None
    """[J], y_phi, in [0, 1]."""


def recurrent_sources(architecture: Architecture, activities: State) -> list[jax.Array]:
    """What the hidden layer sees of itself, in the layer's order: fields of a `State`.

    >>> net = Architecture(num_inputs=1, blocks=(2,), num_outputs=1, recurrent="cells")
    >>> [len(activity) for activity in recurrent_sources(net, zero_state(net))]
    [2]
    """
    return [
        getattr(activities, kind.activity)
        for kind, is_seen in zip(UNIT_TYPES, architecture.is_recurrent, strict=True)
        if is_seen and architecture.count(kind)
    ]


def zero_state(
    architecture: Architecture, dtype: DTypeLike = jnp.float32, lanes: tuple[int, ...] = ()
) -> State:
    """The state before the first step of every sequence: all zero, as in the paper.

    With an `initial_activation` of its own, an architecture's activations start there.

    >>> state = zero_state(Architecture(num_inputs=2, blocks=(2, 2), num_outputs=1))
    >>> state.internal_state.shape, state.input_gate.shape, state.hidden
    ((4,), (2,), None)

    Args:
      architecture: the network.
      dtype: of every array; that of the parameters.
      lanes: axes behind all others, as on the parameters.

    Returns:
      The state, [C], [J] and [N] with the lanes behind them.

    Raises:
      ValueError: if the dtype is not floating, or lanes are no tuple.
    """
    check_type("architecture", architecture, Architecture)
    check_floating("dtype", dtype)
    check_type("lanes", lanes, tuple)
    # Each array is one of its own, so that a caller may donate them.
    sizes = architecture.sizes

    def start(size: int, value: float = architecture.initial_activation) -> jax.Array | MaybeNone:
        return jnp.full((size, *lanes), value, dtype) if size else None

    return State(
        internal_state=start(sizes.cell, 0.0),
        cell_output=start(sizes.cell),
        input_gate=start(sizes.input_gate),
        forget_gate=start(sizes.forget_gate),
        output_gate=start(sizes.output_gate),
        hidden=start(sizes.hidden),
    )


def cell_step(
    architecture: Architecture,
    weights: UnitWeights,
    state_tm1: State,
    net_input: jax.Array,
    see: See = lambda activity: activity,
    x_t: jax.Array | None = None,
) -> tuple[State, jax.Array]:
    """Computes the hidden layer at step t from its inputs and its state at t - 1.

    Args:
      architecture: the network.
      weights: of the whole layer, joined; `recurrent` [S, H] and `peephole` are used.
      state_tm1: the state after step t - 1.
      net_input: [H], what the inputs x(t) and the biases contribute to the net inputs; with `x_t`,
        the biases alone, [] for none.
      see: through what net inputs see activations and states: `jax.lax.stop_gradient` is the
        paper's truncation, as what stays open is the carrousel alone.
      x_t: [I], inputs that are not in `net_input`; their weights then stand above the layer's in
        `recurrent`, [I + S, H].

    Returns:
      The state after step t, and `cell_input` = g(net_c) [C], which only a gradient needs.
    """
    g, h = ACTIVATIONS[architecture.cell_input], ACTIVATIONS[architecture.cell_output]
    joined = net_input
    if weights.recurrent is not None:
        inputs = [] if x_t is None else [x_t]
        sources = [*inputs, *map(see, recurrent_sources(architecture, state_tm1))]
        joined = joined + weighted_sum(weights.recurrent, sources)
    net, peephole, s_tm1 = split(architecture, joined), weights.peephole, state_tm1.internal_state

    input_gate = _gate(architecture, net.input_gate, peephole.input_gate, see(s_tm1))
    forget_gate = _gate(architecture, net.forget_gate, peephole.forget_gate, see(s_tm1))
    hidden = None if net.hidden is None else logistic(net.hidden)
    cell_input = g(net.cell)
    kept = gated(architecture, forget_gate, s_tm1)
    internal_state = kept + gated(architecture, input_gate, cell_input)
    output_gate = _gate(architecture, net.output_gate, peephole.output_gate, see(internal_state))
    cell_output = gated(architecture, output_gate, h(internal_state))
    return (
        State(internal_state, cell_output, input_gate, output_gate, hidden, forget_gate),
        cell_input,
    )


def _gate(
    architecture: Architecture, net: jax.Array | None, peephole: jax.Array | None, states: jax.Array
) -> jax.Array | None:
    """f of the net inputs [J] of a kind of gate, with what peepholes [C] show it of the states."""
    if net is None:
        return None
    if peephole is not None:
        net = net + through_peephole(architecture, peephole, states)
    return logistic(net)


def through_peephole(
    architecture: Architecture, peephole: jax.Array, states: jax.Array, axis: int = 0
) -> jax.Array:
    """What a kind of gate hears of its block's states: [C] weights and [C] along `axis` to [J]."""
    return sum_over_blocks(architecture, peephole * states, axis)


def gated(
    architecture: Architecture, gate: jax.Array | None, cells: jax.Array, axis: int = 0
) -> jax.Array:
    """Multiplies each cell by its block's gate; without gates, returns the cells.

    >>> net = Architecture(num_inputs=1, blocks=(1, 2), num_outputs=1)
    >>> gated(net, jnp.array([2.0, 3.0]), jnp.array([1.0, 1.0, 10.0]))
    Array([ 2.,  3., 30.], dtype=float32)
    """
    if gate is None:
        return cells
    return cells * spread(architecture, gate, axis)


def spread(architecture: Architecture, gate: jax.Array, axis: int = 0) -> jax.Array:
    """Repeats each block's gate for each of its cells: [J] to [C] along `axis`.

    >>> spread(Architecture(num_inputs=1, blocks=(1, 2), num_outputs=1), jnp.array([2.0, 3.0]))
    Array([2., 3., 3.], dtype=float32)
    """
    blocks = architecture.blocks
    if len(set(blocks)) == 1:  # a broadcast, where unequal blocks need a gather
        return jnp.repeat(gate, blocks[0], axis)
    return jnp.repeat(gate, np.array(blocks), axis, total_repeat_length=architecture.num_cells)


def sum_over_blocks(architecture: Architecture, cells: jax.Array, axis: int = 0) -> jax.Array:
    """Adds up the cells of each block: the transpose of spreading a gate over its cells.

    >>> net = Architecture(num_inputs=1, blocks=(1, 2), num_outputs=1)
    >>> sum_over_blocks(net, jnp.array([1.0, 1.0, 10.0]))
    Array([ 1., 11.], dtype=float32)
    """
    size = architecture.blocks[0]
    axis %= cells.ndim
    if any(other != size for other in architecture.blocks):
        ends = np.cumsum(architecture.blocks)[:-1].tolist()
        return jnp.stack([block.sum(axis) for block in jnp.split(cells, ends, axis)], axis)
    # Sums over one axis: one for each block by itself would take long to compile if there are
    # many, and a reduction becomes a library call that no loop can be compiled around.
    shape = (*cells.shape[:axis], architecture.num_blocks, size, *cells.shape[axis + 1 :])
    by_block = cells.reshape(shape)
    parts = [jax.lax.index_in_dim(by_block, v, axis + 1, keepdims=False) for v in range(size)]
    return functools.reduce(jnp.add, parts)
