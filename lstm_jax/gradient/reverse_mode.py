"""The truncated gradient in reverse mode: the scan of a layer with a custom derivative.

The scan is differentiated with respect to its net inputs alone, by a `custom_vjp` whose backward
pass is `equations.backward_pass`. The net inputs are linear in weights and inputs, with the layer's
previous activations given; JAX differentiates them. So, under `jax.vmap`, the gradient of weights
that a batch shares is one product over all sequences and steps.
"""

from __future__ import annotations

import functools
from typing import NoReturn

import jax
import jax.numpy as jnp
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from lstm_jax.cell.lanes import (
    FEW_SOURCES,
    one_hot_outer_sum_over_time,
    outer_sum_over_time,
    sum_over_time,
    weighted_sum_over_time,
)
from lstm_jax.cell.parameters import split
from lstm_jax.cell.records import Activations, State, UnitWeights
from lstm_jax.cell.scan import (
    LayerScan,
    ScanOutput,
    Sequence,
    previous_states,
    project,
    recurrent_sources_over_time,
)
from lstm_jax.cell.step import sum_over_blocks
from lstm_jax.cell.units import GATES, Layer
from lstm_jax.gradient.equations import backward_pass


@functools.partial(jax.jit, static_argnums=0, inline=True)  # drops what is not used
def truncated(layer: LayerScan, weights: UnitWeights, sequence: Sequence[State]) -> ScanOutput:
    """Run `layer`; under `jax.grad`, errors flow back by the paper's truncation rule.

    Only first derivatives in reverse mode are defined; others raise TypeError. The error on the
    initial internal state is exact along the carrousel; that on the initial activations is 0.
    """
    weights, sequence = jax.tree.map(_reverse_mode_identity.bind, (weights, sequence))
    record = _record(layer, weights, sequence)
    net = _net_inputs(layer, weights, sequence, record[1])
    return _truncated(layer, net, weights, sequence, record)


def _run(layer: LayerScan, weights: UnitWeights, sequence: Sequence[State]) -> ScanOutput:
    """Run the layer for the record, through which no error flows."""
    return layer._replace(record=True)(weights, sequence)


_record = jax.custom_vjp(_run, nondiff_argnums=(0,))
_record.defvjp(lambda *arguments: (_record(*arguments), None), lambda *_: (None, None))


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _truncated(
    layer: LayerScan,
    net: Layer,
    weights: UnitWeights,
    sequence: Sequence[State],
    record: ScanOutput,
) -> ScanOutput:
    """Run the layer; errors flow to `net` and the initial internal state alone."""
    del net, record
    return layer(weights, sequence)


def _forward(
    layer: LayerScan,
    net: Layer,
    weights: UnitWeights,
    sequence: Sequence[State],
    record: ScanOutput,
) -> tuple[ScanOutput, tuple[Sequence[State], ScanOutput]]:
    del net, weights
    final, activations = record
    return (final, activations if layer.record else None), (sequence._replace(inputs=None), record)


def _backward(
    layer: LayerScan, residuals: tuple[Sequence[State], ScanOutput], delta: ScanOutput
) -> tuple:
    is_floating = lambda x: jnp.issubdtype(x.dtype, jnp.floating)
    refuse = lambda x: _first_order_identity(x) if is_floating(x) else x
    delta_net, delta_start = _backward_pass(layer, *jax.tree.map(refuse, residuals), delta)
    return delta_net, None, Sequence(None, delta_start), None


_truncated.defvjp(_forward, _backward)
# Without the jit, every eager call would compile its loop.
_backward_pass = jax.jit(backward_pass, static_argnums=0, inline=True)


def _net_inputs(
    layer: LayerScan, weights: UnitWeights, sequence: Sequence[State], activations: Activations
) -> Layer[jax.Array]:
    """Return the net inputs at all steps, [T, n, *lanes], of which only derivatives are used."""
    architecture = layer.architecture
    given = previous_states(layer, sequence, activations), activations.internal_state
    before, s = jax.lax.stop_gradient(given)
    linear = _linear_in_lanes if weights.input.ndim > 2 else _linear
    y_tm1 = recurrent_sources_over_time(architecture, before)
    net = linear(weights._replace(peephole=None), sequence.inputs, y_tm1)
    net = split(architecture, net, axis=1)
    states = {"s(t-1)": before.internal_state, "s(t)": s}
    for gate in GATES:
        if architecture.has_peephole(gate):
            by_cell = getattr(weights.peephole, gate.name)[None] * states[gate.peephole]
            total = getattr(net, gate.name) + sum_over_blocks(architecture, by_cell, axis=1)
            net = net._replace(**{gate.name: total})
    return net


def _linear(weights: UnitWeights, inputs: jax.Array, y_tm1: jax.Array | None) -> jax.Array:
    """Return Σ_m w_lm y_m over inputs, activations and biases for all steps: [T, H, *lanes]."""
    num_inputs, has_lanes = len(weights.input), weights.input.ndim > 2
    if jnp.issubdtype(inputs.dtype, jnp.integer) and num_inputs <= FEW_SOURCES and not has_lanes:
        # A product is faster to transpose.
        vectors = jax.nn.one_hot(inputs, num_inputs, dtype=weights.input.dtype)
        net = vectors @ weights.input
        net = net if weights.bias is None else net + weights.bias[None]
    else:
        net = project(weights, inputs)
    return net if y_tm1 is None else net + weighted_sum_over_time(weights.recurrent, y_tm1)


# With lanes every network has its own weights, and the sums over time are written out.
_linear_in_lanes = jax.custom_vjp(_linear)


def _linear_backward(
    residuals: tuple[UnitWeights, jax.Array, jax.Array | None], delta_net: jax.Array
) -> tuple[UnitWeights, jax.Array | None, None]:
    """Return Σ_t y_m(t) delta_net_l(t) for every weight, and the error on floating inputs."""
    weights, inputs, y_tm1 = residuals
    delta_inputs = None
    if jnp.issubdtype(inputs.dtype, jnp.integer):
        by_input = one_hot_outer_sum_over_time(weights.input, inputs, delta_net)
    else:
        by_input = outer_sum_over_time(inputs, delta_net)
        delta_inputs = weighted_sum_over_time(jnp.swapaxes(weights.input, 0, 1), delta_net)
    by_recurrent = None if y_tm1 is None else outer_sum_over_time(y_tm1, delta_net)
    by_bias = None if weights.bias is None else sum_over_time(delta_net)
    return UnitWeights(by_input, by_recurrent, by_bias), delta_inputs, None


_linear_in_lanes.defvjp(lambda *arguments: (_linear(*arguments), arguments), _linear_backward)


# Other derivatives are refused. A `custom_vjp` alone would refuse forward mode without naming an
# alternative, and would return wrong second derivatives without an error.

_ALTERNATIVES = 'gradient="truncated_autodiff", the same derivative, or gradient="full", the exact'


def _refuse_second_order(*_: object) -> NoReturn:
    raise TypeError(f'gradient="truncated" has no second derivatives; use {_ALTERNATIVES}')


def _refuse_forward_mode(*_: object, **__: object) -> NoReturn:
    raise TypeError(
        'gradient="truncated" works in reverse mode only (jax.grad, jax.vjp, jax.jacrev); '
        f"for forward mode (jax.jvp, jax.jacfwd, jax.linearize) use {_ALTERNATIVES}"
    )


_first_order_identity = jax.custom_jvp(lambda x: x)
_first_order_identity.defjvp(_refuse_second_order)

# A linear map that can be staged out and transposed, but neither evaluated nor compiled.
_tangent_identity = Primitive("tangent_identity")
_tangent_identity.def_abstract_eval(lambda tangent: tangent)
_tangent_identity.def_impl(_refuse_forward_mode)
ad.deflinear2(_tangent_identity, lambda cotangent, _: [cotangent])
batching.primitive_batchers[_tangent_identity] = _refuse_forward_mode
mlir.register_lowering(_tangent_identity, _refuse_forward_mode)

_reverse_mode_identity = Primitive("reverse_mode_identity")
_reverse_mode_identity.def_abstract_eval(lambda x: x)
_reverse_mode_identity.def_impl(lambda x: x)
ad.defjvp(_reverse_mode_identity, lambda tangent, _: _tangent_identity.bind(tangent))
batching.defvectorized(_reverse_mode_identity)
mlir.register_lowering(_reverse_mode_identity, lambda _, x: [x])
