"""One time step of the hidden layer: eqs. 6-9, forget gates (2000) and peepholes (2002).

    net_l(t) = Σ_m w_lm y_m    over the inputs x(t), the activations y(t-1) and a bias    (7), (8)
    y_in = f(net_in + p_in s(t-1))    y_phi = f(net_phi + p_phi s(t-1))    y_i = f(net_i)      (7)
    s_c(t) = y_phi s_c(t-1) + y_in g(net_c)                                                    (9)
    y_out = f(net_out + p_out s(t))    y_c = y_out h(s_c(t))                              (8), (9)

In the network of 1997 there is no y_phi, its factor is exactly 1, and there are no peepholes p.

| paper                         | here: the fields of `State`, and | shape           |
|-------------------------------|----------------------------------|-----------------|
| net_in, net_out, net_c, net_i | `net` (a `Layer`)                | [J] [J] [C] [N] |
| g(net_c), h(s_c)              | `cell_input`, `h_s`              | [C]             |
| e_s, e_out, ...               | `delta_*`, `e_s` (sign of ∂E)    | as the unit     |
| w_lm                          | `weights[m, l]`                  | sources, units  |
| t - 1                         | suffix `_tm1`                    |                 |

References:
  F. A. Gers, J. Schmidhuber and F. Cummins. Learning to forget. Neural Computation 12(10), 2000.
  F. A. Gers, N. N. Schraudolph and J. Schmidhuber. Learning precise timing. JMLR 3, 2002.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from lstm_jax.cell.activations import ACTIVATIONS, logistic
from lstm_jax.cell.architecture import Architecture, NetworkWithState, check_network
from lstm_jax.cell.lanes import weighted_sum
from lstm_jax.cell.parameters import is_shape, split
from lstm_jax.cell.records import Activations, AnyParameters, S, State, UnitWeights
from lstm_jax.cell.units import UNIT_TYPES, Layer, MaybeNone
from lstm_jax.cell.validation import check_floating, check_type


def zero_state(
    architecture: NetworkWithState[AnyParameters, S],
    dtype: DTypeLike = jnp.float32,
    lanes: tuple[int, ...] = (),
) -> S:
    """Return the state before the first step: activations `initial_activation`, internal states 0.

    >>> state = zero_state(Architecture(num_inputs=2, blocks=(2, 2), num_outputs=1))
    >>> state.internal_state.shape, state.input_gate.shape, state.hidden
    ((4,), (2,), None)

    Args:
      architecture: the network. Of a `Stack` the state is a tuple with a `State` per layer, or
        with two, forward and backward, if it is bidirectional.
      dtype: of every array; that of the parameters.
      lanes: axes after all others, as on the parameters: [C, *lanes], [J, *lanes], [N, *lanes].

    Raises:
      ValueError: if the dtype is not floating, or `lanes` is not a tuple.
    """
    check_network(architecture)
    check_floating("dtype", dtype)
    check_type("lanes", lanes, tuple)

    def start(layer: Architecture) -> State:
        full = lambda shape, value: jnp.full(shape, value, dtype)  # each a new array, to be donated
        y_0 = layer.initial_activation
        shapes = _layer_shapes(layer, lanes)
        state = jax.tree.map(lambda shape: full(shape, y_0), shapes, is_leaf=is_shape)
        return state._replace(internal_state=full(shapes.internal_state, 0.0))

    return _of_layers(architecture, start)


def state_shapes(
    architecture: NetworkWithState[AnyParameters, S], lanes: tuple[int, ...] = ()
) -> S:
    """Return the shape of every array of a state, a tuple; None for an absent array."""
    return _of_layers(architecture, lambda layer: _layer_shapes(layer, lanes))


def _layer_shapes(layer: Architecture, lanes: tuple[int, ...]) -> State:
    def shape(size: int) -> MaybeNone:
        return (size, *lanes) if size else None

    sizes = zip(UNIT_TYPES, layer.sizes, strict=True)
    activations = {unit_type.activation: shape(size) for unit_type, size in sizes}
    return State(internal_state=shape(layer.num_cells), **activations)


def _of_layers(
    architecture: NetworkWithState[AnyParameters, S], make: Callable[[Architecture], State]
) -> S:
    """Return a state per layer, or two with two directions, as the state of the network."""
    both = architecture.bidirectional
    one = lambda layer: (make(layer), make(layer)) if both else make(layer)
    return architecture.make_state(tuple(map(one, architecture.layers)))


def cell_step(
    architecture: Architecture,
    weights: UnitWeights,
    state_tm1: State,
    net_input: jax.Array,
    truncate: bool = False,
    x_t: jax.Array | None = None,
) -> tuple[State, jax.Array]:
    """Return the state after step t, and g(net_c) [C], which only a gradient needs.

    `net_input` [H] is the contribution of the inputs x(t) and the biases to the net inputs; with
    `x_t` [I], of the biases alone, [] for none, and `weights.recurrent` is then [I + S, H], the
    input weights first. With `truncate`, no error flows from net inputs to the activations and
    states that they see, which is the paper's truncation: only the carrousel stays open.
    """
    cut_gradient = jax.lax.stop_gradient if truncate else lambda array: array
    joined = net_input
    if weights.recurrent is not None:
        inputs = [] if x_t is None else [x_t]
        sources = [*inputs, *map(cut_gradient, recurrent_sources(architecture, state_tm1))]
        joined = joined + weighted_sum(weights.recurrent, sources)

    def seen_states(gate: str, s: jax.Array) -> jax.Array:
        return sum_over_blocks(architecture, getattr(weights.peephole, gate) * cut_gradient(s))

    net = split(architecture, joined)
    return activate_units(architecture, net, state_tm1.internal_state, seen_states)


def activate_units(
    architecture: Architecture,
    net: Layer[jax.Array],
    s_tm1: jax.Array,
    seen_states: Callable[[str, jax.Array], jax.Array],
    axis: int = 0,
) -> tuple[State, jax.Array]:
    """Return the state after a step, and g(net_c), from the net inputs without the peepholes.

    `seen_states` maps the name of a gate and the internal states to what its peepholes add.
    """
    g, h = ACTIVATIONS[architecture.cell_input], ACTIVATIONS[architecture.cell_output]

    def gate(name: str, s: jax.Array) -> jax.Array | None:
        net_gate = getattr(net, name)
        if net_gate is not None and architecture.peepholes:
            net_gate = net_gate + seen_states(name, s)
        return None if net_gate is None else logistic(net_gate)

    input_gate, forget_gate = gate("input_gate", s_tm1), gate("forget_gate", s_tm1)  # (7)
    hidden = None if net.hidden is None else logistic(net.hidden)
    cell_input = g(net.cell)
    remembered = apply_gate(architecture, forget_gate, s_tm1, axis)
    entering = apply_gate(architecture, input_gate, cell_input, axis)
    internal_state = remembered + entering  # (9)
    output_gate = gate("output_gate", internal_state)  # (8)
    cell_output = apply_gate(architecture, output_gate, h(internal_state), axis)  # (9)
    state = State(internal_state, cell_output, input_gate, output_gate, hidden, forget_gate)
    return state, cell_input


def by_unit_type(fields: State | Activations) -> Layer[jax.Array]:
    """Return the activations y in a `State` or `Activations`, or the errors on them, by type."""
    return Layer(*(getattr(fields, unit_type.activation) for unit_type in UNIT_TYPES))


def recurrent_sources(architecture: Architecture, state: State) -> list[jax.Array]:
    """Return the activations that the hidden layer sees one step later, in the layer's order."""
    pairs = zip(by_unit_type(state), architecture.is_recurrent, strict=True)
    return [y for y, is_recurrent in pairs if is_recurrent and y is not None]


def apply_gate(
    architecture: Architecture, gate: jax.Array | None, cells: jax.Array, axis: int = 0
) -> jax.Array:
    """Multiply each cell by its block's gate; without gates, return the cells."""
    return cells if gate is None else cells * broadcast_to_cells(architecture, gate, axis)


def broadcast_to_cells(architecture: Architecture, gate: jax.Array, axis: int = 0) -> jax.Array:
    """Repeat the gate of each block for each of its cells: [J] to [C] along `axis`."""
    blocks = architecture.blocks
    if len(set(blocks)) == 1:  # compiles to a broadcast; unequal blocks need a gather
        return jnp.repeat(gate, blocks[0], axis)
    block = np.repeat(np.arange(len(blocks)), blocks)
    return jnp.take(gate, block, axis, mode="clip")


def sum_over_blocks(architecture: Architecture, cells: jax.Array, axis: int = 0) -> jax.Array:
    """Sum the cells of each block, [C] to [J] along `axis`: the transpose of broadcasting."""
    # Sums of the v-th cells of all blocks: one sum per block takes long to compile for many blocks,
    # and a reduction becomes a library call, around which XLA cannot fuse.
    parts = [_cells_at(architecture, cells, v, axis) for v in range(max(architecture.blocks))]
    return functools.reduce(jnp.add, parts)


def _cells_at(architecture: Architecture, cells: jax.Array, v: int, axis: int) -> jax.Array:
    """Return the v-th cell of each block, [C] to [J] along `axis`; 0 for blocks that lack it."""
    blocks = np.array(architecture.blocks)
    if len(set(architecture.blocks)) == 1:
        return jax.lax.slice_in_dim(cells, v, None, blocks[0], axis)
    first = np.cumsum(blocks) - blocks
    index = np.where(v < blocks, first + v, architecture.num_cells)
    return jnp.take(cells, index, axis, mode="fill", fill_value=0)
