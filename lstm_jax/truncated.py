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

from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from lstm_jax.activations import ACTIVATIONS, logistic
from lstm_jax.architecture import Architecture
from lstm_jax.cell import State, gated, sum_over_blocks
from lstm_jax.lanes import (
    outer_sum_over_time,
    sum_over_time,
    weighted_sum_over_time,
)
from lstm_jax.parameters import UnitWeights
from lstm_jax.recurrence import Activations, Recurrence, Sequence, add_to_rows, last_step

Outcome = tuple[State, Activations | None]


def truncated(layer: Recurrence, weights: UnitWeights, sequence: Sequence) -> Outcome:
    """Runs `layer`; under `jax.grad`, errors come back by the paper's truncation rule.

    The values are those of `layer(weights, sequence)`. Only reverse mode is defined; forward mode
    raises TypeError. The error on the inputs is what each step's own net inputs send down; that on
    the initial internal state is exact along the carrousel; that on the initial activations is cut,
    like every activation's.
    """
    weights, sequence = jax.tree.map(_reverse_mode_only.bind, (weights, sequence))
    return _truncated(layer, weights, sequence)


def _primal(layer: Recurrence, weights: UnitWeights, sequence: Sequence) -> Outcome:
    return layer(weights, sequence)


def _forward(layer: Recurrence, weights: UnitWeights, sequence: Sequence) -> tuple[Outcome, Any]:
    final, activations = layer._replace(record=True)(weights, sequence)
    outcome = (final, activations if layer.record else None)
    return outcome, (weights, sequence, final, activations)


def _backward(layer: Recurrence, residuals: Any, cotangents: Outcome) -> tuple:
    weights, sequence, final, activations = residuals
    return _pull_back(layer.architecture, weights, sequence, final, activations, cotangents)


_truncated = jax.custom_vjp(_primal, nondiff_argnums=(0,))
_truncated.defvjp(_forward, _backward)


def _pull_back(
    architecture: Architecture,
    weights: UnitWeights,
    sequence: Sequence,
    final: State,
    activations: Activations,
    cotangents: Outcome,
) -> tuple[UnitWeights, Sequence]:
    """The truncated gradient with respect to the weights and the sequence."""
    last, ran = last_step(sequence)
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
        delta_net = jnp.where(sequence.mask[:, None], delta_net, 0)
    delta_weights, delta_inputs = _pull_back_weights(weights, sequence, activations, delta_net)
    passed = passed._replace(internal_state=delta_s)
    return delta_weights, Sequence(delta_inputs, passed, None, None)


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
) -> jax.Array:
    """The error on every net input of the hidden layer, [T, H, *lanes]."""
    g = ACTIVATIONS[architecture.cell_input]
    cell_input, input_gate = activations.cell_input, activations.input_gate
    delta_cell = gated(architecture, input_gate, delta.internal_state, axis=1) + delta_cell_input
    parts = [g.slope(cell_input) * delta_cell]
    if activations.output_gate is not None:
        parts.insert(0, logistic.slope(activations.output_gate) * delta.output_gate)
    if input_gate is not None:
        to_gate = sum_over_blocks(architecture, cell_input * delta.internal_state, axis=1)
        parts.insert(0, logistic.slope(input_gate) * (delta.input_gate + to_gate))
    if activations.hidden is not None:
        parts.append(logistic.slope(activations.hidden) * delta.hidden)
    return jnp.concatenate(parts, axis=1)


def _pull_back_weights(
    weights: UnitWeights, sequence: Sequence, activations: Activations, delta_net: jax.Array
) -> tuple[UnitWeights, jax.Array | None]:
    """Σ_t y_m(t) delta_net_l(t) for every weight, and the error on floating inputs."""
    inputs, delta_inputs = sequence.inputs, None
    if jnp.issubdtype(inputs.dtype, jnp.integer):
        delta_input_weights = add_to_rows(weights.input, inputs, delta_net)
    else:
        delta_input_weights = outer_sum_over_time(inputs, delta_net)
        delta_inputs = weighted_sum_over_time(jnp.swapaxes(weights.input, 0, 1), delta_net)
    delta_recurrent = None
    if weights.recurrent is not None:
        y_tm1 = _previous_activations(sequence.initial_state, activations)
        delta_recurrent = outer_sum_over_time(y_tm1, delta_net)
    delta_bias = None if weights.bias is None else sum_over_time(delta_net)
    return UnitWeights(delta_input_weights, delta_recurrent, delta_bias), delta_inputs


def _previous_activations(initial: State, activations: Activations) -> jax.Array:
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
