"""Real-time recurrent learning: the exact gradient, forward in time (Williams & Zipser 1989).

With z = (x(t), y(t-1)) and the weight w_is from source s to unit i, the sensitivities

    p^k_is(t) = ∂y_k(t)/∂w_is
              = τ_k p^k_is(t-1) + (1 - τ_k) f'(net_k) [Σ_l w_kl p^l_is(t-1) + δ_ik z_s(t)]

are carried from step to step, R³ + R² G numbers; the gradient of a step's E / 2 is
Σ_k ∂(E/2)(t)/∂y_k(t) p^k_is(t). The weights of outputs without feedback ("layered", "simple") need
no sensitivities.
"""

from __future__ import annotations

from typing import NamedTuple

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
from lstm_jax.baselines.update_rules import StepGradient


class Sensitivities(NamedTuple):
    """The state that RTRL carries."""

    y: jax.Array
    """[R], y(t)."""
    p: jax.Array
    """[R, (G + R) R], ∂y_k/∂w_is at [k, s R + i], flat for one matrix product per step."""


def _init(weights: Weights) -> Sensitivities:
    (given, units), dtype = weights.input.shape, weights.input.dtype
    return Sensitivities(
        jnp.zeros(units, dtype), jnp.zeros((units, (given + units) * units), dtype)
    )


def _step(
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
    outer, outputs = output_gradient(net, weights, y_t, sequence_t)
    layer = (outer.delta_y[:, None] * p).sum(0).reshape(-1, units)
    gradient = Weights(layer[: net.num_given], layer[net.num_given :], outer.output, outer.direct)
    return Sensitivities(y_t, p), gradient, outputs


RTRL = StepGradient(_init, _step)
