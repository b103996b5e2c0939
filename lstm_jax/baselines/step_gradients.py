"""Gradients of recurrent nets that are known step by step, forward in time: RTRL and Elman's.

Real-time recurrent learning has the exact gradient. With z = (x(t), y(t-1)) and the weight w_is
from source s to unit i, the sensitivities

    p^k_is(t) = ∂y_k(t)/∂w_is
              = τ_k p^k_is(t-1) + (1 - τ_k) f'(net_k) [Σ_l w_kl p^l_is(t-1) + δ_ik z_s(t)]

are carried from step to step, R³ + R² G numbers; the gradient of a step's E / 2 is
Σ_k ∂(E/2)(t)/∂y_k(t) p^k_is(t). The weights of outputs without feedback ("layered", "simple") need
no sensitivities.

Elman's procedure propagates errors through the current step alone: the hidden layer is copied to
context units, which count as given inputs of the next step.

References:
  R. J. Williams and D. Zipser. A learning algorithm for continually running fully recurrent neural
  networks. Neural Computation 1(2):270-280, 1989.
  J. L. Elman. Finding structure in time. Cognitive Science 14(2):179-211, 1990.
  A. Cleeremans, D. Servan-Schreiber and J. L. McClelland. Finite-state automata and simple
  recurrent networks. Neural Computation 1(3):372-381, 1989.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar

import jax
import jax.numpy as jnp

from lstm_jax.baselines.fully_recurrent import (
    RecurrentNet,
    SupervisedSequence,
    Weights,
    activation_derivatives,
    output_gradient,
    step,
    time_constants,
)

CarriedT = TypeVar("CarriedT")


class StepGradient(NamedTuple, Generic[CarriedT]):
    """A gradient that is known step by step, forward in time."""

    init: Callable[[Weights], CarriedT]
    """(weights) -> the state before a sequence's first step."""
    step: Callable[
        [RecurrentNet, Weights, CarriedT, SupervisedSequence], tuple[CarriedT, Weights, jax.Array]
    ]
    """(net, weights, state, sequence_t) -> the state, the gradient of this step's E / 2, and the
    outputs [K]."""


class Sensitivities(NamedTuple):
    """The state that RTRL carries."""

    y: jax.Array
    """[R], y(t)."""
    p: jax.Array
    """[R, (G + R) R], ∂y_k/∂w_is at [k, s R + i], flat for one matrix product per step."""


def _rtrl_init(weights: Weights) -> Sensitivities:
    (given, units), dtype = weights.input.shape, weights.input.dtype
    return Sensitivities(
        jnp.zeros(units, dtype), jnp.zeros((units, (given + units) * units), dtype)
    )


def _rtrl_step(
    net: RecurrentNet, weights: Weights, carried: Sensitivities, sequence_t: SupervisedSequence
) -> tuple[Sensitivities, Weights, jax.Array]:
    y_t, value = step(net, weights, carried.y, sequence_t.inputs)
    z_t = jnp.concatenate([sequence_t.inputs, carried.y])
    units = net.num_recurrent
    at_once = (z_t[None, :, None] * jnp.eye(units, dtype=z_t.dtype)[:, None]).reshape(units, -1)
    through_units = weights.recurrent.T @ carried.p
    p = activation_derivatives(net, value)[:, None] * (through_units + at_once)
    tau = time_constants(net, p.dtype)
    if tau is not None:
        p = p + tau[:, None] * carried.p
    delta_y, output, direct, outputs = output_gradient(net, weights, y_t, sequence_t)
    layer = (delta_y[:, None] * p).sum(0).reshape(-1, units)
    gradient = Weights(layer[: net.num_given], layer[net.num_given :], output, direct)
    return Sensitivities(y_t, p), gradient, outputs


def _elman_step(
    net: RecurrentNet, weights: Weights, context: jax.Array, sequence_t: SupervisedSequence
) -> tuple[jax.Array, Weights, jax.Array]:
    y_t, value = step(net, weights, context, sequence_t.inputs)
    delta_y, output, direct, outputs = output_gradient(net, weights, y_t, sequence_t)
    delta_net = delta_y * activation_derivatives(net, value)
    gradient = Weights(
        jnp.outer(sequence_t.inputs, delta_net), jnp.outer(context, delta_net), output, direct
    )
    return y_t, gradient, outputs


RTRL = StepGradient(_rtrl_init, _rtrl_step)
ELMAN = StepGradient(lambda weights: jnp.zeros_like(weights.recurrent[0]), _elman_step)
