"""The paper's truncated gradient in reverse mode: eqs. 17-28, all steps at once.

Error that reaches a net input changes the weights into that unit and goes no further back in
time; inside a cell it flows back through the internal state, unchanged (eqs. 30-35). So nothing
in the backward pass is sequential but a sum: with e_s(t) the error that step t injects into the
internal state (eq. 23),

    delta_s(t) = Σ_{τ ≥ t} e_s(τ)                                the constant error carrousel
    delta_net_c(t)  = delta_s(t) y_in(t) g'(net_c(t))            eqs. 27, 28
    delta_net_in(t) = f'(net_in(t)) Σ_v delta_s_v(t) g(net_cv(t))   eqs. 25, 26
    delta_net_out(t) = f'(net_out(t)) Σ_v h(s_v(t)) delta_y_v(t)    eqs. 21, 22

and every weight gradient is Σ_t y_m(t-1) delta_net_l(t), one product over all steps. Summing
e_s(τ) ∂s(τ)/∂w over τ with the forward traces of eqs. 25 and 27 and summing delta_s(t) times the
traces' increments over t are the same double sum, taken in the other order.

Here delta_x is ∂E/∂x: the paper's e_x with the other sign.
"""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from lstm_jax.network.activations import ACTIVATIONS, logistic
from lstm_jax.network.architecture import Architecture
from lstm_jax.network.cell import State, gated, sum_over_blocks
from lstm_jax.network.lanes import (
    FEW_SOURCES,
    outer_sum_over_time,
    sum_over_time,
    weighted_sum_over_time,
)
from lstm_jax.network.parameters import Layer, UnitWeights, split
from lstm_jax.network.recurrence import (
    Activations,
    Recurrence,
    Sequence,
    add_to_rows,
    last_step,
    pick_rows,
)

Outcome = tuple[State, Activations | None]
Record = tuple[State, Activations]


@functools.partial(jax.jit, static_argnums=0, inline=True)  # drops the record if it is not used
def truncated(layer: Recurrence, weights: UnitWeights, sequence: Sequence) -> Outcome:
    """Runs `layer`; under `jax.grad`, errors come back by the paper's truncation rule.

    The values are those of `layer(weights, sequence)`. Only reverse mode is defined; forward mode
    raises TypeError. The error on the inputs is what each step's own net inputs send down; that on
    the initial internal state is exact along the carrousel; that on the initial activations is cut,
    like every activation's.
    """
    weights, sequence = jax.tree.map(_reverse_mode_only.bind, (weights, sequence))
    record: Any = _record(layer, weights, sequence)
    y_tm1 = previous_activations(sequence.initial_state, record[1])
    net = net_errors(weights, sequence.inputs, y_tm1)
    net = split(layer.architecture, net, axis=1)
    return _truncated(layer, net, weights, sequence, record)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _record(layer: Recurrence, weights: UnitWeights, sequence: Sequence) -> Record:
    """Runs the layer for the record, through which no error flows."""
    final, activations = layer._replace(record=True)(weights, sequence)
    assert activations is not None
    return final, activations


_record.defvjp(lambda *run: (_record(*run), None), lambda *_: (None, None))


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _truncated(
    layer: Recurrence, net: Layer, weights: UnitWeights, sequence: Sequence, record: Record
) -> Outcome:
    """The layer's outcome, from which errors flow to `net` and the initial internal state alone.

    The record serves the gradient; without one it is not used.
    """
    del net, record
    return layer(weights, sequence)


def _forward(
    layer: Recurrence, net: Layer, weights: UnitWeights, sequence: Sequence, record: Record
) -> tuple[Outcome, Any]:
    del net, weights
    final, activations = record
    return (final, activations if layer.record else None), (sequence._replace(inputs=None), record)


def _backward(layer: Recurrence, residuals: Any, cotangents: Outcome) -> tuple:
    sequence, (final, activations) = residuals
    architecture = layer.architecture
    delta_net, delta_start = _pull_back(architecture, sequence, final, activations, cotangents)
    return delta_net, None, Sequence(None, delta_start, None, None), None


_truncated.defvjp(_forward, _backward)


def _pull_back(
    architecture: Architecture,
    sequence: Sequence,
    final: State,
    activations: Activations,
    cotangents: Outcome,
) -> tuple[Layer, State]:
    """The error on every net input, a `Layer` of [T, n, *lanes], and on the initial state."""
    last, ran = last_step(sequence, len(activations.cell_input))
    errors = _errors(architecture, final, cotangents[0], axis=0)
    # A sequence without a real step ends where it starts: what arrives passes through.
    passed = jax.tree.map(lambda delta: jnp.where(ran[None], 0, delta), cotangents[0])
    delta_s = jnp.where(ran[None], errors.internal_state, cotangents[0].internal_state)
    delta = jax.tree.map(lambda error: jnp.where(last[:, None], error[None], 0), errors)
    delta = delta._replace(internal_state=jnp.broadcast_to(delta_s, activations.cell_input.shape))
    delta_cell_input = 0.0
    if cotangents[1] is not None:
        at_steps = _errors(architecture, activations, cotangents[1], axis=1)
        at_steps = at_steps._replace(internal_state=suffix_sum(at_steps.internal_state))
        delta = jax.tree.map(jnp.add, delta, at_steps)
        delta_s = delta_s + at_steps.internal_state[:1].sum(0)  # sum: [T = 0] counts nothing
        delta_cell_input = cotangents[1].cell_input

    delta_net = _delta_net(architecture, activations, delta, delta_cell_input)
    if sequence.mask is not None:
        is_real = sequence.mask[:, None]
        delta_net = jax.tree.map(lambda delta: jnp.where(is_real, delta, 0), delta_net)
    return delta_net, passed._replace(internal_state=delta_s)


def _errors(
    architecture: Architecture, at: State | Activations, delta: State | Activations, axis: int
) -> State:
    """Sends the error on the activations of a step to the units of that same step.

    Args:
      architecture: the network.
      at: the activations of the step, units in `axis`.
      delta: the error on each of them.
      axis: 0, or 1 for all steps at once.

    Returns:
      The error on the internal states (minus e_s, eq. 23) and on the values of the gates and
      conventional hidden units; its `cell_output` is 0, as all of it was sent on.
    """
    h = ACTIVATIONS[architecture.cell_output]
    squashed_state = h.value(at.internal_state)
    to_state = gated(architecture, at.output_gate, h.slope(squashed_state), axis)
    output_gate = delta.output_gate
    if output_gate is not None:
        to_gate = squashed_state * delta.cell_output
        output_gate = output_gate + sum_over_blocks(architecture, to_gate, axis)
    return State(
        internal_state=delta.internal_state + to_state * delta.cell_output,
        cell_output=jnp.zeros_like(delta.cell_output),
        input_gate=delta.input_gate,
        output_gate=output_gate,
        hidden=delta.hidden,
    )


def _delta_net(
    architecture: Architecture,
    activations: Activations,
    delta: State,
    delta_cell_input: jax.Array | float,
) -> Layer:
    """The error on every net input of the hidden layer, a `Layer` of [T, n, *lanes]."""
    g = ACTIVATIONS[architecture.cell_input]
    cell_input, input_gate = activations.cell_input, activations.input_gate
    delta_cell = gated(architecture, input_gate, delta.internal_state, axis=1) + delta_cell_input
    cell = g.slope(cell_input) * delta_cell
    delta_in = delta_out = hidden = None
    if input_gate is not None:
        to_gate = sum_over_blocks(architecture, cell_input * delta.internal_state, axis=1)
        delta_in = logistic.slope(input_gate) * (delta.input_gate + to_gate)
    if activations.output_gate is not None:
        delta_out = logistic.slope(activations.output_gate) * delta.output_gate
    if activations.hidden is not None:
        hidden = logistic.slope(activations.hidden) * delta.hidden
    return Layer(delta_in, delta_out, cell, hidden)


def net_errors(weights: UnitWeights, inputs: jax.Array, y_tm1: jax.Array) -> jax.Array:
    """A 0 for every net input whose derivatives are those of the net inputs, with y(t-1) cut.

    The truncation rule itself: error that arrives here changes the incoming weights, goes down to
    the same step's inputs, and nowhere else. As a term of its own it is open to `jax.vmap`: the
    gradient of weights that a batch shares is one product over all sequences and steps.

    Args:
      weights: [I, H], [H, H] and [H], with lanes or without.
      inputs: [T, I, *lanes] floating or [T, *lanes] symbols.
      y_tm1: [T, H, *lanes], what the hidden layer saw of itself at each step; not used without
        recurrent weights.

    Returns:
      [T, H, *lanes].
    """
    has_lanes = weights.input.ndim > 2
    return (_net_errors_of_lanes if has_lanes else _net_errors)(weights, inputs, y_tm1)


def _no_net(weights: UnitWeights, inputs: jax.Array, y_tm1: jax.Array) -> jax.Array:
    del weights, inputs
    return jnp.where(False, y_tm1, 0)  # not zeros_like, so that `jax.vmap` sees it vary


_net_errors = jax.custom_jvp(_no_net)


@functools.partial(_net_errors.defjvp, symbolic_zeros=True)
def _net_tangent(primals: tuple, tangents: tuple) -> tuple[jax.Array, jax.Array]:
    weights, inputs, y_tm1 = primals
    d_weights, d_inputs, _ = tangents
    is_symbols = jnp.issubdtype(inputs.dtype, jnp.integer)
    project = _project_symbols if is_symbols else weighted_sum_over_time
    terms = [
        (d_weights.input, lambda d: project(d, inputs)),
        (d_inputs, lambda d: weighted_sum_over_time(weights.input, d)),
        (d_weights.recurrent, lambda d: weighted_sum_over_time(d, y_tm1)),
        (d_weights.bias, lambda d: d[None]),
    ]
    present = [term(d) for d, term in terms if not (d is None or isinstance(d, SymbolicZero))]
    zero = _net_errors(*primals)  # also the tangent, where y(t-1) alone has one
    return zero, functools.reduce(jnp.add, present) if present else jnp.zeros_like(zero)


def _project_symbols(weights: jax.Array, symbols: jax.Array) -> jax.Array:
    """`pick_rows`, as a product where that is the faster to transpose."""
    if weights.shape[0] > FEW_SOURCES:
        return pick_rows(weights, symbols)
    return jax.nn.one_hot(symbols, weights.shape[0], dtype=weights.dtype) @ weights


# With lanes every network has its own weights, and the sums over time are written out.
_net_errors_of_lanes = jax.custom_vjp(_no_net)


def _pull_back_weights(
    seen: tuple[UnitWeights, jax.Array, jax.Array], delta_net: jax.Array
) -> tuple[UnitWeights, jax.Array | None, None]:
    """Σ_t y_m(t) delta_net_l(t) for every weight, and the error on floating inputs."""
    weights, inputs, y_tm1 = seen
    delta_inputs = None
    if jnp.issubdtype(inputs.dtype, jnp.integer):
        delta_input_weights = add_to_rows(weights.input, inputs, delta_net)
    else:
        delta_input_weights = outer_sum_over_time(inputs, delta_net)
        delta_inputs = weighted_sum_over_time(jnp.swapaxes(weights.input, 0, 1), delta_net)
    has_recurrent, has_bias = weights.recurrent is not None, weights.bias is not None
    delta_recurrent = outer_sum_over_time(y_tm1, delta_net) if has_recurrent else None
    delta_bias = sum_over_time(delta_net) if has_bias else None
    return UnitWeights(delta_input_weights, delta_recurrent, delta_bias), delta_inputs, None


_net_errors_of_lanes.defvjp(lambda *seen: (_no_net(*seen), seen), _pull_back_weights)


def previous_activations(initial: State, activations: Activations) -> jax.Array:
    """What the hidden layer saw of itself at each step, [T, H, *lanes]."""
    after = State(*(getattr(activations, name) for name in State._fields)).rows()
    steps = activations.cell_input.shape[0]
    pairs = zip(initial.rows(), after, strict=True)
    before = [jnp.concatenate([y[None], ys])[:steps] for y, ys in pairs]
    return jnp.concatenate(before, axis=1)


def suffix_sum(errors: jax.Array) -> jax.Array:
    """Σ_{τ ≥ t} errors[τ] for every step t: the error that the carrousel has gathered by t."""
    zero = jnp.zeros_like(errors, shape=errors.shape[1:])
    return jax.lax.scan(lambda total, e: (total + e, total + e), zero, errors, reverse=True)[1]


def _refuse_forward_mode(*_: Any, **__: Any) -> Any:
    raise TypeError(
        'gradient="truncated" works in reverse mode only (jax.grad, jax.vjp, jax.jacrev); '
        "for forward mode (jax.jvp, jax.jacfwd, jax.linearize) use "
        'gradient="truncated_autodiff", the same derivative, or gradient="full", the exact one'
    )


# A linear map that can be staged out and transposed, but neither evaluated nor compiled.
_untaken_tangent = Primitive("untaken_tangent")
_untaken_tangent.def_abstract_eval(lambda tangent: tangent)
_untaken_tangent.def_impl(_refuse_forward_mode)
ad.deflinear2(_untaken_tangent, lambda cotangent, _: [cotangent])
batching.primitive_batchers[_untaken_tangent] = _refuse_forward_mode
mlir.register_lowering(_untaken_tangent, _refuse_forward_mode)

# The identity, open to reverse mode only. `custom_vjp` too refuses forward mode, but cannot say
# what to use instead.
_reverse_mode_only = Primitive("reverse_mode_only")
_reverse_mode_only.def_abstract_eval(lambda x: x)
_reverse_mode_only.def_impl(lambda x: x)
ad.defjvp(_reverse_mode_only, lambda tangent, _: _untaken_tangent.bind(tangent))
batching.defvectorized(_reverse_mode_only)
mlir.register_lowering(_reverse_mode_only, lambda _, x: [x])
