"""The units of a net that grows by cascade correlation, and the score that selects them.

The equations are in `cascade_correlation`. C counts candidates, U hidden units. M = I + 1 + U + 1
is the number of a hidden unit's weights, S = I + 1 + U the number of sources of an output unit.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from lstm_jax.cell.activations import logistic


class PassSums(NamedTuple):
    """Sums over the steps of a pass; zero where the phase does not need them."""

    steps: jax.Array
    """[], the number of steps."""
    squared_error: jax.Array
    """[], Σ e_o²."""
    output_gradient: jax.Array
    """[S, K], Σ y_m f'(net_o) e_o."""
    error: jax.Array
    """[K], Σ e_o."""
    value: jax.Array
    """[C], Σ v."""
    value_error: jax.Array
    """[C, K], Σ v e_o."""
    derivative: jax.Array
    """[C, M], Σ ∂v/∂w_m."""
    derivative_error: jax.Array
    """[C, M, K], Σ ∂v/∂w_m e_o."""


def run_units(hidden: jax.Array, num_units: jax.Array, inputs: jax.Array) -> jax.Array:
    """Return the sources of the output units: the inputs, the bias 1 and the hidden units.

    Args:
      hidden: [U, M], the weights of the hidden units.
      num_units: int32, the number of units that have joined; the values of others are 0.
      inputs: [T, I].

    Returns:
      [T, S].
    """
    max_units, num_given = hidden.shape[0], inputs.shape[1] + 1
    given = jnp.concatenate([inputs, jnp.ones_like(inputs[:, :1])], axis=1)
    net_given = given @ hidden[:, :num_given].T
    below, self_weights = hidden[:, num_given:-1], hidden[:, -1]
    has_joined = jnp.arange(max_units, dtype=jnp.int32) < num_units

    def step(v_tm1: jax.Array, net_t: jax.Array) -> tuple[jax.Array, jax.Array]:
        net_t = net_t + self_weights * v_tm1
        v_t = jnp.zeros_like(v_tm1)
        for i in range(max_units):  # each unit sees those before it, at the same step
            v_i = logistic(net_t[i] + jnp.sum(below[i, :i] * v_t[:i])) - 0.5
            v_t = v_t.at[i].set(jnp.where(has_joined[i], v_i, 0))
        return v_t, v_t

    _, values = jax.lax.scan(step, jnp.zeros_like(self_weights), net_given)
    return jnp.concatenate([given, values], axis=1)


def run_candidates(candidate: jax.Array, sources: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Return the values v [T, C] of candidates and their derivatives ∂v/∂w [T, C, M].

    Args:
      candidate: [C, M], the weights of the candidates.
      sources: [T, S], from `run_units`.
    """
    net_given = sources @ candidate[:, :-1].T
    self_weights = candidate[:, -1]

    def step(carry: tuple, at: tuple) -> tuple[tuple, tuple]:
        v_tm1, derivative_tm1 = carry
        sources_t, net_t = at
        f_t = logistic(net_t + self_weights * v_tm1)
        given = jnp.broadcast_to(sources_t[None], (len(v_tm1), len(sources_t)))
        seen = jnp.concatenate([given, v_tm1[:, None]], axis=1)
        derivative_t = logistic.derivative(f_t)[:, None] * (
            seen + self_weights[:, None] * derivative_tm1
        )
        return (f_t - 0.5, derivative_t), (f_t - 0.5, derivative_t)

    start = (jnp.zeros_like(self_weights), jnp.zeros_like(candidate))
    return jax.lax.scan(step, start, (sources, net_given))[1]


def covariance(sums: PassSums) -> tuple[jax.Array, jax.Array]:
    """Return the candidates' covariances with each output's error [C, K], and their scores [C].

    Quickprop may let a candidate's weights overflow. Its score is then 0, so that it does not join.
    """
    mean_error = sums.error / sums.steps
    covariances = sums.value_error - sums.value[:, None] * mean_error[None]
    scores = jnp.abs(covariances).sum(1) / total_error(sums)
    return covariances, jnp.where(jnp.isfinite(scores), scores, 0)


def score_gradient(sums: PassSums) -> jax.Array:
    """Return the derivative of every candidate's score by each of its weights, [C, M]."""
    covariances, _ = covariance(sums)
    mean_error = sums.error / sums.steps
    by_output = sums.derivative_error - sums.derivative[..., None] * mean_error[None, None]
    return jnp.einsum("ck,cmk->cm", jnp.sign(covariances), by_output) / total_error(sums)


def total_error(sums: PassSums) -> jax.Array:
    """Return Σ e², but at least the smallest normal number, as outputs may saturate."""
    return jnp.maximum(sums.squared_error, jnp.finfo(sums.squared_error.dtype).tiny)
