"""The hidden layer over a whole sequence: one `lax.scan` that carries the state alone."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from lstm_jax.network.architecture import Architecture
from lstm_jax.network.cell import State, step
from lstm_jax.network.lanes import FEW_SOURCES, outer_sum_over_time, weighted_sum_over_time
from lstm_jax.network.parameters import UnitWeights


class Activations(NamedTuple):
    """What every unit of the hidden layer did over a sequence; absent kinds are None."""

    cell_output: jax.Array  # [T, C], y_c
    hidden: Any  # [T, N], y_i
    internal_state: jax.Array  # [T, C], s_c
    input_gate: Any  # [T, J], y_in
    output_gate: Any  # [T, J], y_out
    cell_input: jax.Array  # [T, C], g(net_c)


class Sequence(NamedTuple):
    """What the hidden layer is run on."""

    inputs: Any  # [T, I] floating, or [T] integers: the places of the ones of one-hot inputs
    initial_state: State
    mask: Any  # [T] bool: which steps are real; None: all
    length: Any  # [] integer, where the mask is that of the first steps; else None


class Recurrence(NamedTuple):
    """The hidden layer of an architecture, as a static (hashable) function of its weights."""

    architecture: Architecture
    record: bool  # whether to keep the activations of every step
    cut: bool = False  # whether autodiff is cut at the previous activations (not at the carrousel)
    unroll: int = 1  # steps per iteration of the compiled loop

    def __call__(
        self, weights: UnitWeights, sequence: Sequence
    ) -> tuple[State, Activations | None]:
        """Runs the layer; a masked step is the identity on the state."""
        # Behind a sequence's length the state may run on: the record tells what it was there.
        runs_on = self.record and sequence.length is not None

        def body(state_tm1: State, x_t: tuple) -> tuple[State, tuple | None]:
            net_input, is_real = x_t
            seen = cut_activations(state_tm1) if self.cut else state_tm1
            state, cell_input = step(self.architecture, weights.recurrent, seen, net_input)
            if is_real is not None:
                state = jax.tree.map(
                    lambda new, old: jnp.where(is_real[None], new, old), state, state_tm1
                )
            return state, (state, cell_input) if self.record else None

        xs = (project(weights, sequence.inputs), None if runs_on else sequence.mask)
        final, kept = jax.lax.scan(body, sequence.initial_state, xs, unroll=self.unroll)
        if kept is None:
            return final, None
        states, cell_input = kept
        if runs_on:
            final = _state_after(sequence, states)
        return final, Activations(cell_input=cell_input, **states._asdict())


def _state_after(sequence: Sequence, states: State) -> State:
    """The state after the last of the sequence's steps, from those after every step."""
    ran = sequence.length > 0

    def after(start: jax.Array, states: jax.Array) -> jax.Array:
        last = pick_rows(states, jnp.maximum(sequence.length - 1, 0)[None])[0]
        return jnp.where(ran[None], last, start)

    return jax.tree.map(after, sequence.initial_state, states)


def cut_activations(state: State) -> State:
    """The state with autodiff cut at the activations, not at the carrousels."""
    cut = jax.tree.map(jax.lax.stop_gradient, state)
    return cut._replace(internal_state=state.internal_state)


def project(weights: UnitWeights, inputs: jax.Array) -> jax.Array:
    """What inputs and biases contribute to every net input, [T, H], for all steps at once.

    Args:
      weights: `input` [I, H] and `bias` [H] are used.
      inputs: [T, I] floating, or [T] integers in [0, I), each of which picks its row of weights.
    """
    if jnp.issubdtype(inputs.dtype, jnp.integer):
        net = pick_rows(weights.input, inputs)
    else:
        net = weighted_sum_over_time(weights.input, inputs)
    return net if weights.bias is None else net + weights.bias[None]


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
        place = (i % num_lanes, rows[i], 0)
        row = jax.lax.dynamic_slice(totals, place, (1, 1, num_units))
        return jax.lax.dynamic_update_slice(totals, row + terms[i][None, None], place)

    zeros = jnp.zeros_like(deltas, shape=(num_lanes, num_rows, num_units))
    totals = jax.lax.fori_loop(0, rows.shape[0], add, zeros)
    return jnp.moveaxis(totals, 0, -1).reshape(weights.shape)


def last_step(sequence: Sequence, num_steps: int) -> tuple[jax.Array, jax.Array]:
    """Marks the last real step of T, [T, *lanes] bool, and says if there is one, [*lanes] bool.

    The axes of lanes are of size 1 if there is no mask to tell them apart.
    """
    state = sequence.initial_state.internal_state
    steps = jnp.arange(num_steps).reshape((-1,) + (1,) * (state.ndim - 1))
    real = steps if sequence.mask is None else jnp.where(sequence.mask, steps, -1)
    index = real.max(0, keepdims=True, initial=-1)
    return steps == index, index[0] >= 0


def vary_alike(tree: Any) -> Any:
    """Marks all arrays as varying over every axis of a `shard_map` that one of them varies over.

    A loop's carry must vary like what is added to it, and the error on weights that all devices
    share is summed over the devices. Outside of `shard_map` this does nothing.
    """
    axes = frozenset().union(*(_varying_axes(leaf) for leaf in jax.tree.leaves(tree)))

    def vary(leaf: jax.Array) -> jax.Array:
        return jax.lax.pcast(leaf, tuple(axes - _varying_axes(leaf)), to="varying")

    return jax.tree.map(vary, tree) if axes else tree


def _varying_axes(array: jax.Array) -> frozenset[str]:
    return jax.typeof(array).manual_axis_type.varying
