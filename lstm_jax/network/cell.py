"""One time step of the hidden layer, eqs. 6-9.

| paper              | here                              | shape            |
|--------------------|-----------------------------------|------------------|
| net_in, net_out, net_c, net_i | `net` (a `Layer`)      | [J] [J] [C] [N]  |
| y_in, y_out        | `input_gate`, `output_gate`       | [J]              |
| g(net_c)           | `cell_input`                      | [C]              |
| s_c                | `internal_state`                  | [C]              |
| h(s_c)             | `squashed_state`                  | [C]              |
| y_c                | `cell_output`                     | [C]              |
| y_i                | `hidden`                          | [N]              |
| e_s, e_out, ...    | `delta_*` (with the sign of dE)   | as the unit      |
| w_lm               | `weights[m, l]`                   | sources, units   |
| t - 1              | suffix `_tm1`                     |                  |
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lstm_jax.network.activations import ACTIVATIONS, logistic
from lstm_jax.network.architecture import Architecture
from lstm_jax.network.lanes import weighted_sum
from lstm_jax.network.parameters import layer_sizes, split


class State(NamedTuple):
    """What the hidden layer hands from one step to the next; all zero at a sequence's start.

    Gates of a kind that the architecture lacks, and conventional hidden units where there are
    none, are None.
    """

    internal_state: jax.Array  # [C], s_c: the constant error carrousels
    cell_output: jax.Array  # [C], y_c
    input_gate: Any  # [J], y_in
    output_gate: Any  # [J], y_out
    hidden: Any  # [N], y_i

    def rows(self) -> list[jax.Array]:
        """The activations that the hidden layer sees at the next step, in the layer's order."""
        kinds = (self.input_gate, self.output_gate, self.cell_output, self.hidden)
        return [kind for kind in kinds if kind is not None]


def zero_state(
    architecture: Architecture, dtype: Any = jnp.float32, lanes: tuple[int, ...] = ()
) -> State:
    """The state before the first step of every sequence: all zero.

    >>> state = zero_state(Architecture(num_inputs=2, blocks=(2, 2), num_outputs=1))
    >>> state.internal_state.shape, state.input_gate.shape, state.hidden
    ((4,), (2,), None)
    """
    sizes = layer_sizes(architecture)

    def zeros(size: int) -> jax.Array | None:
        return jnp.zeros((size, *lanes), dtype) if size else None

    cells = zeros(sizes.cell)
    assert cells is not None
    return State(
        cells, cells, zeros(sizes.input_gate), zeros(sizes.output_gate), zeros(sizes.hidden)
    )


def step(
    architecture: Architecture, recurrent: jax.Array | None, state_tm1: State, net_input: jax.Array
) -> tuple[State, jax.Array]:
    """Computes the hidden layer at step t from its inputs and its activations at t - 1.

        y_in = f(net_in)    y_out = f(net_out)    y_i = f(net_i)        (7), (8)
        s_c(t) = s_c(t-1) + y_in g(net_c)                               (9)
        y_c = y_out h(s_c(t))                                           (9)

    Args:
      architecture: the network.
      recurrent: [H, H], sources first, or None.
      state_tm1: the state after step t - 1.
      net_input: [H], what the inputs x(t) and the biases contribute to the net inputs.

    Returns:
      The state after step t, and `cell_input` = g(net_c) [C], which only a gradient needs.
    """
    g, h = ACTIVATIONS[architecture.cell_input], ACTIVATIONS[architecture.cell_output]
    net = net_input
    if recurrent is not None:
        net = net + weighted_sum(recurrent, state_tm1.rows())
    net = split(architecture, net)

    input_gate, output_gate, hidden = (
        None if x is None else logistic.value(x)
        for x in (net.input_gate, net.output_gate, net.hidden)
    )
    cell_input = g.value(net.cell)
    internal_state = state_tm1.internal_state + gated(architecture, input_gate, cell_input)
    cell_output = gated(architecture, output_gate, h.value(internal_state))
    return State(internal_state, cell_output, input_gate, output_gate, hidden), cell_input


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
