"""The hidden layer over a whole sequence: one `lax.scan` that carries only the state."""

from __future__ import annotations

from typing import Generic, Literal, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from optax.tree_utils import tree_where

from lstm_jax.cell.activations import ACTIVATIONS, BOUNDED, logistic
from lstm_jax.cell.architecture import Architecture
from lstm_jax.cell.carrousel import carrousel_factors, run_carrousel
from lstm_jax.cell.lanes import (
    FEW_SOURCES,
    one_hot_sum_over_time,
    take_rows,
    weighted_sum_over_time,
)
from lstm_jax.cell.parameters import split
from lstm_jax.cell.pytrees import exportable
from lstm_jax.cell.records import Activations, S, State, UnitWeights
from lstm_jax.cell.step import apply_gate, cell_step, recurrent_sources, zero_state
from lstm_jax.cell.units import MaybeNone, map_layer

Loop = Literal["scan", "kernel", "interpreted_kernel"]
ScanOutput = tuple[State, Activations | MaybeNone]


@exportable
class Steps(NamedTuple):
    """The real steps of a padded sequence, and the resets of the state; a pytree.

    Attributes:
      mask: [T] bool, False at padding; None: no padding. A masked step leaves the state as it is,
        its activations are recorded as 0, and it contributes nothing to any gradient.
      length: [] integer in [0, T], instead of `mask`: the number of steps before the padding. Under
        `jit`, where it cannot be checked, it is clipped to that range.
      reset: [T] bool, True where the state is set to `zero_state` before the step, masked or not,
        such as between concatenated sequences; None: nowhere. No error flows back through a reset.
    """

    mask: ArrayLike | None = None
    length: ArrayLike | None = None
    reset: ArrayLike | None = None


class Sequence(NamedTuple, Generic[S]):
    """The inputs of a network or of a layer, as arrays.

    Attributes:
      inputs: [T, I] floating, or [T] integers for one-hot vectors; None where they are not needed.
      initial_state: the state before the first step.
      mask: as in `Steps`.
      length: [] integer, if the mask is that of the first steps; otherwise None.
      reset: as in `Steps`.
    """

    inputs: jax.Array | MaybeNone
    initial_state: S
    mask: jax.Array | None = None
    length: jax.Array | None = None
    reset: jax.Array | None = None


class LayerScan(NamedTuple):
    """The hidden layer of a network, as a static (hashable) function of its weights.

    Attributes:
      architecture: the network.
      record: whether to return the activations of every step.
      truncate: whether autodiff gives the truncated gradient, as in `cell_step`.
      loop: what takes the layer through all steps, as in `RunOptions`.
    """

    architecture: Architecture
    record: bool
    truncate: bool = False
    loop: Loop = "scan"

    def __call__(self, weights: UnitWeights, sequence: Sequence[State]) -> ScanOutput:
        """Run the layer."""
        # In lanes, a step of all networks is one vector operation already.
        has_lanes = weights.input.ndim > 2
        if self.record and not has_lanes and not _has_recurrence(self.architecture):
            return _run_at_once(self, weights, sequence)
        if self.loop != "scan":
            from lstm_jax.cell import kernel  # Pallas takes a second to import

            return kernel.run(self, weights, sequence)
        # With a length, the loop need not mask: the state after the last real step is in the
        # record. An unbounded cell input could overflow in the padding, so it is masked.
        is_bounded = self.architecture.cell_input in BOUNDED
        final_from_record = self.record and sequence.length is not None and is_bounded
        final_from_record = final_from_record and sequence.inputs.shape[0] != 0
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

    def state_at_reset(self, sequence: Sequence[State]) -> State:
        """Return the state that a reset sets."""
        s_0 = sequence.initial_state.internal_state
        return zero_state(self.architecture, s_0.dtype, s_0.shape[1:])


def _has_recurrence(architecture: Architecture) -> bool:
    """Return whether gates or cell inputs depend on the step before."""
    return any(architecture.is_recurrent) or architecture.peepholes


def _run_at_once(
    layer: LayerScan, weights: UnitWeights, sequence: Sequence[State]
) -> tuple[State, Activations]:
    """Run a layer without recurrence: only the carrousel is a loop."""
    architecture = layer.architecture
    g, h = ACTIVATIONS[architecture.cell_input], ACTIVATIONS[architecture.cell_output]
    net = split(architecture, project(weights, sequence.inputs), axis=1)
    values = map_layer(lambda t, net: g(net) if t.name == "cell" else logistic(net), net)
    increments = apply_gate(architecture, values.input_gate, values.cell, axis=1)
    if sequence.mask is not None:
        increments = jnp.where(sequence.mask[:, None], increments, 0)
    factors = carrousel_factors(
        architecture, increments, values.forget_gate, sequence.mask, sequence.reset
    )
    s = run_carrousel(increments, factors, sequence.initial_state.internal_state)  # (9)
    cell_output = apply_gate(architecture, values.output_gate, h(s), axis=1)  # (9)
    gates = values.input_gate, values.output_gate, values.hidden, values.forget_gate
    states = State(s, cell_output, *gates)
    return _final_state(layer, sequence, states), Activations(
        cell_input=values.cell, **states._asdict()
    )


def _final_state(layer: LayerScan, sequence: Sequence[State], states: State) -> State:
    """Return the state after the last step, from those after all steps, [T, n]."""
    steps = states.internal_state.shape[0]
    if steps == 0:
        return sequence.initial_state
    if sequence.mask is None and sequence.reset is None:
        return jax.tree.map(lambda states: states[-1], states)
    is_last, is_any = last_step(sequence, steps)
    start = sequence.initial_state
    if sequence.reset is not None:
        start = tree_where(sequence.reset.any(), layer.state_at_reset(sequence), start)
    last = jax.tree.map(lambda states: states[is_last.argmax()], states)
    return tree_where(is_any, last, start)


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


def previous_states(layer: LayerScan, sequence: Sequence[State], activations: Activations) -> State:
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


def last_step(sequence: Sequence[State], num_steps: int) -> tuple[jax.Array, jax.Array]:
    """Mark the step whose state is the final one, [T, *lanes] bool, and whether there is one.

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
