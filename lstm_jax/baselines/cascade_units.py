"""The units of a net that grows by cascade correlation, and the score that they are chosen by.

The equations are in `cascade_correlation`, which decides when they are asked for.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from lstm_jax.cell.activations import logistic


class Sums(NamedTuple):
    """What is added up over the steps of a pass.

    M counts a candidate's weights, U the hidden units, S = I + 1 + U the sources of an output.
    """

    steps: jax.Array
    """[] how many."""
    squared_error: jax.Array
    """[] Σ e_o²."""
    slope: jax.Array
    """[S, K] Σ y_m f'(net_o) e_o."""
    error: jax.Array
    """[K] Σ e_o."""
    value: jax.Array
    """[C] Σ v."""
    value_error: jax.Array
    """[C, K] Σ v e_o."""
    derivative: jax.Array
    """[C, M] Σ ∂v/∂w_m."""
    derivative_error: jax.Array
    """[C, M, K] Σ ∂v/∂w_m e_o."""


def run_units(hidden: jax.Array, num_units: jax.Array, inputs: jax.Array) -> jax.Array:
    """Computes all that the output units see.

    Args:
      hidden: [U, M], see `Cascade`.
      num_units: units from this one on stay at 0.
      inputs: [T, I].

    Returns:
      [T, S]: the inputs, the bias 1, and the values of the hidden units.
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
    """Computes the candidates' values, and carries their derivatives forward in time.

    Args:
      candidate: weights [C, M], the last of which is that of the unit's own value before.
      sources: [T, S], with S = M - 1; 0 for units that have not joined.

    Returns:
      v [T, C] and ∂v/∂w [T, C, M].
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


def covariance(sums: Sums) -> tuple[jax.Array, jax.Array]:
    """The candidates' covariances with each output's error [C, K], and their scores [C].

    Quickprop may double a step again and again until a candidate's weights overflow: its score is
    0, so that it does not join, and the others of its pool are not lost.
    """
    mean_error = sums.error / sums.steps
    covariances = sums.value_error - sums.value[:, None] * mean_error[None]
    scores = jnp.abs(covariances).sum(1) / total_error(sums)
    return covariances, jnp.where(jnp.isfinite(scores), scores, 0)


def score_slopes(sums: Sums) -> jax.Array:
    """The derivative of every candidate's score by each of its weights, [C, M]."""
    covariances, _ = covariance(sums)
    mean_error = sums.error / sums.steps
    by_output = sums.derivative_error - sums.derivative[..., None] * mean_error[None, None]
    return jnp.einsum("ck,cmk->cm", jnp.sign(covariances), by_output) / total_error(sums)


def total_error(sums: Sums) -> jax.Array:
    """Σ e², kept from 0, to which saturated outputs can bring it."""
    return jnp.maximum(sums.squared_error, jnp.finfo(sums.squared_error.dtype).tiny)
