"""The hidden layer, a step of it and its scan: eqs. 6-9, forget gates (2000), peepholes (2002).

    net_l(t) = Σ_m w_lm y_m    over the inputs x(t), the activations y(t-1) and a bias    (7), (8)
    y_in = f(net_in + p_in s(t-1))    y_phi = f(net_phi + p_phi s(t-1))    y_i = f(net_i)      (7)
    s_c(t) = y_phi s_c(t-1) + y_in g(net_c)                                                    (9)
    y_out = f(net_out + p_out s(t))    y_c = y_out h(s_c(t))                              (8), (9)

In the network of 1997 there is no y_phi, its factor is exactly 1, and there are no peepholes p.

| paper                         | here: the fields of `State`, and | shape           |
|-------------------------------|----------------------------------|-----------------|
| net_in, net_out, net_c, net_i | `net` (a `Layer`)                | [J] [J] [C] [N] |
| g(net_c), h(s_c)              | `cell_input`, `h_s`              | [C]             |
| e_s, e_out, ...               | `delta_*`, `e_s` (sign of dE)    | as the unit     |
| w_lm                          | `weights[m, l]`                  | sources, units  |
| t - 1                         | suffix `_tm1`                    |                 |

References:
  F. A. Gers, J. Schmidhuber and F. Cummins. Learning to forget. Neural Computation 12(10), 2000.
  F. A. Gers, N. N. Schraudolph and J. Schmidhuber. Learning precise timing. JMLR 3, 2002.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike, DTypeLike
from optax.tree_utils import tree_where

from lstm_jax.cell.activations import ACTIVATIONS, logistic
from lstm_jax.cell.architecture import UNIT_TYPES, Architecture, Layer, MaybeNone
from lstm_jax.cell.lanes import (
    FEW_SOURCES,
    one_hot_sum_over_time,
    take_rows,
    weighted_sum,
    weighted_sum_over_time,
)
from lstm_jax.cell.parameters import UnitWeights, split
from lstm_jax.cell.validation import check_floating, check_type


class State(NamedTuple):
    """The hidden layer's carry from one step to the next; absent types of unit are None."""

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


def zero_state(
    architecture: Architecture, dtype: DTypeLike = jnp.float32, lanes: tuple[int, ...] = ()
) -> State:
    """Return the state before the first step: activations `initial_activation`, internal states 0.

    >>> state = zero_state(Architecture(num_inputs=2, blocks=(2, 2), num_outputs=1))
    >>> state.internal_state.shape, state.input_gate.shape, state.hidden
    ((4,), (2,), None)

    Args:
      architecture: the network.
      dtype: of every array; that of the parameters.
      lanes: axes after all others, as on the parameters: [C, *lanes], [J, *lanes], [N, *lanes].

    Raises:
      ValueError: if the dtype is not floating, or `lanes` is not a tuple.
    """
    check_type("architecture", architecture, Architecture)
    check_floating("dtype", dtype)
    check_type("lanes", lanes, tuple)

    def full(size: int, value: float) -> jax.Array | MaybeNone:  # each a new array, to be donated
        return jnp.full((size, *lanes), value, dtype) if size else None

    activations = {
        unit_type.activation: full(size, architecture.initial_activation)
        for unit_type, size in zip(UNIT_TYPES, architecture.sizes, strict=True)
    }
    return State(internal_state=full(architecture.num_cells, 0.0), **activations)


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
    g, h = ACTIVATIONS[architecture.cell_input], ACTIVATIONS[architecture.cell_output]
    cut_gradient = jax.lax.stop_gradient if truncate else lambda array: array
    joined = net_input
    if weights.recurrent is not None:
        inputs = [] if x_t is None else [x_t]
        sources = [*inputs, *map(cut_gradient, recurrent_sources(architecture, state_tm1))]
        joined = joined + weighted_sum(weights.recurrent, sources)
    net, peephole, s_tm1 = split(architecture, joined), weights.peephole, state_tm1.internal_state

    def gate(net: jax.Array | None, peephole: jax.Array | None, s: jax.Array) -> jax.Array | None:
        if peephole is not None:
            net = net + sum_over_blocks(architecture, peephole * cut_gradient(s))
        return None if net is None else logistic(net)

    input_gate = gate(net.input_gate, peephole.input_gate, s_tm1)  # (7)
    forget_gate = gate(net.forget_gate, peephole.forget_gate, s_tm1)
    hidden = None if net.hidden is None else logistic(net.hidden)
    cell_input = g(net.cell)
    remembered = apply_gate(architecture, forget_gate, s_tm1)
    internal_state = remembered + apply_gate(architecture, input_gate, cell_input)  # (9)
    output_gate = gate(net.output_gate, peephole.output_gate, internal_state)  # (8)
    cell_output = apply_gate(architecture, output_gate, h(internal_state))  # (9)
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
    return jnp.repeat(gate, np.array(blocks), axis, total_repeat_length=architecture.num_cells)


def sum_over_blocks(architecture: Architecture, cells: jax.Array, axis: int = 0) -> jax.Array:
    """Sum the cells of each block, [C] to [J] along `axis`: the transpose of broadcasting."""
    size = architecture.blocks[0]
    axis %= cells.ndim
    if len(set(architecture.blocks)) > 1:
        ends = np.cumsum(architecture.blocks)[:-1].tolist()
        return jnp.stack([block.sum(axis) for block in jnp.split(cells, ends, axis)], axis)
    # Sums of slices: one sum per block takes long to compile for many blocks, and a reduction
    # becomes a library call, around which XLA cannot fuse.
    by_block = cells.reshape(
        *cells.shape[:axis], architecture.num_blocks, size, *cells.shape[axis + 1 :]
    )
    parts = [jax.lax.index_in_dim(by_block, v, axis + 1, keepdims=False) for v in range(size)]
    return functools.reduce(jnp.add, parts)


class Activations(NamedTuple):
    """The activations of the hidden layer over a sequence; absent types of unit are None."""

    cell_output: jax.Array
    """[T, C], y_c."""
    hidden: jax.Array | MaybeNone
    """[T, N], y_i."""
    internal_state: jax.Array
    """[T, C], s_c."""
    input_gate: jax.Array | MaybeNone
    """[T, J], y_in."""
    output_gate: jax.Array | MaybeNone
    """[T, J], y_out."""
    cell_input: jax.Array
    """[T, C], g(net_c)."""
    forget_gate: jax.Array | MaybeNone = None
    """[T, J], y_phi."""


ScanOutput = tuple[State, Activations | MaybeNone]


class Steps(NamedTuple):
    """The real steps of a padded sequence, and the resets of the state; a pytree."""

    mask: ArrayLike | None = None
    """[T] bool, False at padding; None: no padding. A masked step leaves the state as it is, its
    activations are recorded as 0, and it contributes nothing to any gradient."""
    length: ArrayLike | None = None
    """[] integer in [0, T], instead of `mask`: the number of steps before the padding. Under `jit`,
    where it cannot be checked, it is clipped to that range."""
    reset: ArrayLike | None = None
    """[T] bool, True where the state is set to `zero_state` before the step, masked or not, such
    as between concatenated sequences; None: nowhere. No error flows back through a reset."""


class Sequence(NamedTuple):
    """The inputs of the hidden layer, as arrays; `mask` and `reset` are those of `Steps`."""

    inputs: jax.Array | MaybeNone
    """[T, I] floating, or [T] integers for one-hot vectors; None where they are not needed."""
    initial_state: State
    """Before the first step."""
    mask: jax.Array | None = None
    length: jax.Array | None = None
    """[] integer, if the mask is that of the first steps; otherwise None."""
    reset: jax.Array | None = None


class LayerScan(NamedTuple):
    """The hidden layer of an `architecture`, as a static (hashable) function of its weights."""

    architecture: Architecture
    record: bool
    """Whether to return the activations of every step."""
    truncate: bool = False
    """Whether autodiff gives the truncated gradient, as in `cell_step`."""

    def __call__(self, weights: UnitWeights, sequence: Sequence) -> ScanOutput:
        """Run the layer."""
        # With a length, the loop need not mask: the state after the last real step is in the
        # record. An unbounded cell input could overflow in the padding, so it is masked.
        is_bounded = self.architecture.cell_input != "identity"
        final_from_record = self.record and sequence.length is not None and is_bounded
        start = self.state_at_reset(sequence)
        weights, net_inputs, inputs = _inputs_of_loop(weights, sequence.inputs)
        biases = jnp.zeros((), start.internal_state.dtype) if weights.bias is None else weights.bias

        def body(state_tm1: State, xs: tuple) -> tuple[State, tuple | None]:
            net_input, x_t, is_real, is_reset = xs
            if is_reset is not None:
                state_tm1 = tree_where(is_reset[None], start, state_tm1)
            net_input = biases if net_input is None else net_input
            state, cell_input = cell_step(
                self.architecture, weights, state_tm1, net_input, self.truncate, x_t
            )
            if is_real is not None:
                state = tree_where(is_real[None], state, state_tm1)
            return state, (state, cell_input) if self.record else None

        mask = None if final_from_record else sequence.mask
        xs = (net_inputs, inputs, mask, sequence.reset)
        final, record = jax.lax.scan(body, sequence.initial_state, xs)
        if record is None:
            return final, None
        states, cell_input = record
        if final_from_record:
            index = jnp.maximum(sequence.length - 1, 0)[None]
            last = jax.tree.map(lambda states: take_rows(states, index)[0], states)
            final = tree_where((sequence.length > 0)[None], last, sequence.initial_state)
        return final, Activations(cell_input=cell_input, **states._asdict())

    def state_at_reset(self, sequence: Sequence) -> State:
        """Return the state that a reset sets."""
        s_0 = sequence.initial_state.internal_state
        return zero_state(self.architecture, s_0.dtype, s_0.shape[1:])


def _inputs_of_loop(
    weights: UnitWeights, inputs: jax.Array
) -> tuple[UnitWeights, jax.Array | None, jax.Array | None]:
    """Return the loop's weights, and net inputs [T, H] computed before it or inputs [T, I]."""
    # Where a step is a matrix product, inputs are further sources of it: net inputs of all steps
    # would take longer to write and to read than they save.
    recurrent, is_symbols = weights.recurrent, jnp.issubdtype(inputs.dtype, jnp.integer)
    if is_symbols or recurrent is None or recurrent.ndim > 2 or len(recurrent) <= FEW_SOURCES:
        return weights, project(weights, inputs), None
    return weights._replace(recurrent=jnp.concatenate([weights.input, recurrent])), None, inputs


def previous_states(layer: LayerScan, sequence: Sequence, activations: Activations) -> State:
    """Return the state before every step, [T, n, *lanes] each, from those after every step."""
    steps = activations.cell_input.shape[0]
    after = State(*(getattr(activations, name) for name in State._fields))
    shift = lambda first, later: jnp.concatenate([first[None], later])[:steps]
    before = jax.tree.map(shift, sequence.initial_state, after)
    if sequence.reset is None:
        return before
    start = jax.tree.map(lambda start: start[None], layer.state_at_reset(sequence))
    return tree_where(sequence.reset[:, None], start, before)


def recurrent_sources_over_time(architecture: Architecture, states: State) -> jax.Array | None:
    """Return what the layer sees of states [T, n, *lanes], [T, S, *lanes]; None if nothing."""
    rows = recurrent_sources(architecture, states)
    return jnp.concatenate(rows, axis=1) if rows else None


def project(weights: UnitWeights, inputs: jax.Array) -> jax.Array:
    """Return the contribution of inputs and biases to every net input, [T, H]."""
    is_symbols = jnp.issubdtype(inputs.dtype, jnp.integer)
    sum_up = one_hot_sum_over_time if is_symbols else weighted_sum_over_time
    net = sum_up(weights.input, inputs)
    return net if weights.bias is None else net + weights.bias[None]


def last_step(sequence: Sequence, num_steps: int) -> tuple[jax.Array, jax.Array]:
    """Mark the step that the final state is of, [T, *lanes] bool, and whether there is one.

    There is none, [*lanes] bool, if no step is real, or none after the last reset. The axes of
    lanes are of size 1 without a mask and resets, which alone tell them apart.
    """
    state = sequence.initial_state.internal_state
    steps = jnp.arange(num_steps).reshape((-1,) + (1,) * (state.ndim - 1))
    real = steps if sequence.mask is None else jnp.where(sequence.mask, steps, -1)
    index = real.max(0, keepdims=True, initial=-1)
    if sequence.reset is not None:
        last_reset = jnp.where(sequence.reset, steps, -1).max(0, keepdims=True, initial=-1)
        index = jnp.where(index < last_reset, -1, index)
    return steps == index, index[0] >= 0
