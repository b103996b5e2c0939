"""The hidden layer over a whole sequence: one `lax.scan` that carries the state alone."""

from __future__ import annotations

import math
from typing import NamedTuple, TypeVar

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from optax.tree_utils import tree_where

from lstm_jax.cell.architecture import Architecture
from lstm_jax.cell.lanes import FEW_SOURCES, outer_sum_over_time, weighted_sum_over_time
from lstm_jax.cell.parameters import UnitWeights
from lstm_jax.cell.step import State, cell_step, recurrent_sources, zero_state
from lstm_jax.cell.units import MaybeNone

T = TypeVar("T")


class Activations(NamedTuple):
    """What every unit of the hidden layer did over a sequence; absent kinds are None.

    The gates and `cell_output` are what the equations call y; see `lstm_jax.cell.step`.
    """

    cell_output: jax.Array
    """[T, C], y_c."""
    hidden: jax.Array | MaybeNone
    """[T, N], y_i, in [0, 1]."""
    internal_state: jax.Array
    """[T, C], s_c."""
    input_gate: jax.Array | MaybeNone
    """[T, J], y_in, in [0, 1]."""
    output_gate: jax.Array | MaybeNone
    """[T, J], y_out, in [0, 1]."""
    cell_input: jax.Array
    """[T, C], g(net_c)."""
    forget_gate: jax.Array | MaybeNone = None
    """[T, J], y_phi, in [0, 1]."""


class Steps(NamedTuple):
    """Which steps of a padded sequence are real, and where the state is reset; a pytree.

    >>> Steps(length=7).mask is None
    True
    """

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
    """What the hidden layer is run on."""

    inputs: jax.Array | MaybeNone
    """[T, I] floating, or [T] integers: the places of the ones of one-hot inputs. None where only
    the rest counts."""
    initial_state: State
    """Before the first step."""
    mask: jax.Array | None = None
    """[T] bool, which steps are real; None: all."""
    length: jax.Array | None = None
    """[] integer, where the mask is that of the first steps; else None."""
    reset: jax.Array | None = None
    """[T] bool, before which steps the state is set to that of a sequence's start; None: none."""


class LayerScan(NamedTuple):
    """The hidden layer of an architecture, as a static (hashable) function of its weights."""

    architecture: Architecture
    """The network."""
    record: bool
    """Whether to keep the activations of every step."""
    cut: bool = False
    """Whether autodiff is cut at what net inputs see of the layer (not at the carrousel)."""

    def __call__(
        self, weights: UnitWeights, sequence: Sequence
    ) -> tuple[State, Activations | None]:
        """Runs the layer; a masked step is the identity on the state, but for a reset."""
        see = jax.lax.stop_gradient if self.cut else lambda activity: activity
        # Behind a sequence's length the state may run on: the record tells what it was there. But
        # where nothing bounds what a step adds, it might run beyond all numbers.
        is_bounded = self.architecture.cell_input != "identity"
        runs_on = self.record and sequence.length is not None and is_bounded
        start = self.state_at_reset(sequence)
        weights, net_inputs, inputs = _inputs_of_loop(weights, sequence.inputs)
        biases = jnp.zeros((), start.internal_state.dtype) if weights.bias is None else weights.bias

        def body(state_tm1: State, at: tuple) -> tuple[State, tuple | None]:
            net_input, x_t, is_real, is_reset = at
            if is_reset is not None:
                state_tm1 = tree_where(is_reset[None], start, state_tm1)
            net_input = biases if net_input is None else net_input
            state, cell_input = cell_step(
                self.architecture, weights, state_tm1, net_input, see, x_t
            )
            if is_real is not None:
                state = tree_where(is_real[None], state, state_tm1)
            return state, (state, cell_input) if self.record else None

        mask = None if runs_on else sequence.mask
        xs = (net_inputs, inputs, mask, sequence.reset)
        final, kept = jax.lax.scan(body, sequence.initial_state, xs)
        if kept is None:
            return final, None
        states, cell_input = kept
        if runs_on:
            final = _state_after(sequence, states)
        return final, Activations(cell_input=cell_input, **states._asdict())

    def state_at_reset(self, sequence: Sequence) -> State:
        """What a reset sets the state to: that of a sequence's start."""
        s_0 = sequence.initial_state.internal_state
        return zero_state(self.architecture, s_0.dtype, s_0.shape[1:])


def _inputs_of_loop(
    weights: UnitWeights, inputs: jax.Array
) -> tuple[UnitWeights, jax.Array | None, jax.Array | None]:
    """What the inputs are in the loop: part of its net inputs, [T, H], or rows [T, I] that it sees.

    Where a step is a matrix product, inputs are further sources of it: net inputs of all steps
    would take longer to write and to read than they save.
    """
    of_layer, is_symbols = weights.recurrent, jnp.issubdtype(inputs.dtype, jnp.integer)
    if is_symbols or of_layer is None or of_layer.ndim > 2 or len(of_layer) <= FEW_SOURCES:
        return weights, project(weights, inputs), None
    return weights._replace(recurrent=jnp.concatenate([weights.input, of_layer])), None, inputs


def _state_after(sequence: Sequence, states: State) -> State:
    """The state after the last of the sequence's steps, from those after every step."""
    ran = sequence.length > 0

    def after(start: jax.Array, states: jax.Array) -> jax.Array:
        last = pick_rows(states, jnp.maximum(sequence.length - 1, 0)[None])[0]
        return jnp.where(ran[None], last, start)

    return jax.tree.map(after, sequence.initial_state, states)


def before_each_step(layer: LayerScan, sequence: Sequence, activations: Activations) -> State:
    """The state that every step saw, a `State` of [T, n, *lanes], from those after every step."""
    steps = activations.cell_input.shape[0]
    start = layer.state_at_reset(sequence) if sequence.reset is not None else None
    before: dict[str, jax.Array | MaybeNone] = {}
    for name, first in sequence.initial_state._asdict().items():
        before[name] = first
        if first is not None:
            after = getattr(activations, name)
            before[name] = jnp.concatenate([first[None], after])[:steps]
            if start is not None:
                at_reset = getattr(start, name)[None]
                before[name] = jnp.where(sequence.reset[:, None], at_reset, before[name])
    return State(**before)


def recurrent_sources_over_time(architecture: Architecture, states: State) -> jax.Array | None:
    """What the hidden layer sees of states [T, n, *lanes], [T, S, *lanes]; None if nothing."""
    rows = recurrent_sources(architecture, states)
    return jnp.concatenate(rows, axis=1) if rows else None


def project(weights: UnitWeights, inputs: jax.Array) -> jax.Array:
    """What inputs and biases contribute to every net input, [T, H], for all steps at once.

    Args:
      weights: `input` [I, H] and `bias` [H] are used.
      inputs: [T, I] floating, or [T] integers, each of which picks its row of weights; an integer
        outside [0, I) is no input, as `jax.nn.one_hot` has it.
    """
    if jnp.issubdtype(inputs.dtype, jnp.integer):
        rows = pick_rows(weights.input, inputs)
        net = jnp.where(is_symbol(inputs, len(weights.input))[:, None], rows, 0)
    else:
        net = weighted_sum_over_time(weights.input, inputs)
    return net if weights.bias is None else net + weights.bias[None]


def is_symbol(inputs: jax.Array, num_inputs: int) -> jax.Array:
    """Which integers stand for an input: those in [0, I)."""
    return (inputs >= 0) & (inputs < num_inputs)


def pick_rows(weights: jax.Array, indices: jax.Array) -> jax.Array:
    """Row `indices[t]` of weights [I, n, *lanes], for indices [T, *lanes]: [T, n, *lanes]."""
    if indices.ndim == 1:
        return weights[indices]
    return jax.vmap(pick_rows, in_axes=-1, out_axes=-1)(weights, indices)


def add_to_rows(weights: jax.Array, indices: jax.Array, deltas: jax.Array) -> jax.Array:
    """The transpose of `pick_rows`: Σ_t deltas(t) into row `indices[t]` of zeros like `weights`."""
    num_rows = weights.shape[0]
    if num_rows <= FEW_SOURCES:
        rows = jnp.arange(num_rows, dtype=indices.dtype)
        one_hot = jax.vmap(lambda row: indices == row, out_axes=1)(rows)
        return outer_sum_over_time(one_hot.astype(deltas.dtype), deltas)
    deltas = jnp.where(is_symbol(indices, num_rows)[:, None], deltas, 0)
    if indices.ndim == 1:
        return jnp.zeros_like(weights).at[indices].add(deltas)
    return _add_to_rows_of_lanes(weights, indices, deltas)


def _add_to_rows_of_lanes(weights: jax.Array, indices: jax.Array, deltas: jax.Array) -> jax.Array:
    """`add_to_rows` as a loop of additions, where a scatter would keep XLA from fusing the rest."""
    num_rows, num_units, *lanes = weights.shape
    num_lanes = math.prod(lanes)
    rows = indices.reshape(-1)  # [T * lanes]
    terms = jnp.moveaxis(deltas, 1, -1).reshape(-1, num_units)

    def add(i: jax.Array, totals: jax.Array) -> jax.Array:
        place = ((i % num_lanes).astype(rows.dtype), rows[i], jnp.zeros((), rows.dtype))
        row = jax.lax.dynamic_slice(totals, place, (1, 1, num_units))
        return jax.lax.dynamic_update_slice(totals, row + terms[i][None, None], place)

    zeros = jnp.zeros_like(deltas, shape=(num_lanes, num_rows, num_units))
    totals = jax.lax.fori_loop(0, rows.shape[0], add, zeros)
    return jnp.moveaxis(totals, 0, -1).reshape(weights.shape)


def last_step(sequence: Sequence, num_steps: int) -> tuple[jax.Array, jax.Array]:
    """Marks the real step of T that the final state is of, [T, *lanes] bool.

    Also says if there is one, [*lanes] bool: not if no step is real, or none after a last reset.
    The axes of lanes are of size 1 if there is no mask and no reset to tell them apart.
    """
    state = sequence.initial_state.internal_state
    steps = jnp.arange(num_steps).reshape((-1,) + (1,) * (state.ndim - 1))
    real = steps if sequence.mask is None else jnp.where(sequence.mask, steps, -1)
    index = real.max(0, keepdims=True, initial=-1)
    if sequence.reset is not None:
        last_reset = jnp.where(sequence.reset, steps, -1).max(0, keepdims=True, initial=-1)
        index = jnp.where(index < last_reset, -1, index)
    return steps == index, index[0] >= 0
