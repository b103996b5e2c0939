"""The best model of a trial: one that is never solved, or comes apart, may have been better."""

from __future__ import annotations

from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp

from lstm_jax.training.update_rules.base import AnyModel, Metrics


class Best(NamedTuple):
    """Of L trials, the models at the end of the chunk with the lowest mean error."""

    model: AnyModel
    """As `Trials.model`; before the first chunk, as they start."""
    error: chex.Array
    """[L] float32, mean error of that chunk; infinity before the first one."""
    sequences: chex.Array
    """[L] int32, training sequences before that chunk's end; 0 before the first one."""


def not_yet(model: AnyModel, num_lanes: int) -> Best:
    """The best of trials before their first chunk."""
    error = jnp.full(num_lanes, jnp.inf, jnp.float32)
    return Best(model, error, jnp.zeros(num_lanes, jnp.int32))


def keep_best(best: Best, model: AnyModel, report: Metrics, num_sequences: jax.Array) -> Best:
    """Keeps the models after a chunk where its mean error is the lowest so far, and finite.

    Args:
      best: until now.
      model: of all lanes, after the chunk.
      report: of the chunk.
      presented: int32, training sequences before the chunk.
    """
    error = report.mean_error()
    is_better = (report.sequences > 0) & (error < best.error)
    now = Best(model, error, num_sequences + report.sequences)
    return jax.tree.map(lambda new, old: jnp.where(is_better, new, old), now, best)
