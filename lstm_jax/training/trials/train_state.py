"""Train state of trials, and its division into batches."""

from __future__ import annotations

from typing import NamedTuple, TypeVar

import chex
import jax
import jax.numpy as jnp
import numpy as np

from lstm_jax.training.trials.training_loop import IDLE, Trials
from lstm_jax.training.update_rules.base import AnyModel, Metrics

T = TypeVar("T")


class Best(NamedTuple):
    """The models of B trials at the end of the chunk with the lowest mean training error.

    A trial that is never solved, or whose numbers become infinite, may have been better before.
    """

    model: AnyModel
    """As `Trials.model`; the untrained models before the first chunk."""
    error: chex.Array
    """[B] float32, the mean error of that chunk; infinity before the first one."""
    sequences: chex.Array
    """[B] int32, training sequences until the end of that chunk; 0 before the first one."""


class TrainState(NamedTuple):
    """The train state of B trials, on the host or on one device; the batch axis is last."""

    trials: Trials
    """The trials as they are now."""
    best: Best
    """Their best models so far."""


def init_train_state(trials: Trials) -> TrainState:
    """Return the train state of trials before their first chunk."""
    error = jnp.full_like(trials.status, jnp.inf, jnp.float32)
    best = Best(trials.model, error, jnp.zeros_like(trials.status))
    return TrainState(trials, best)


def update_best(best: Best, model: AnyModel, metrics: Metrics, num_sequences: jax.Array) -> Best:
    """Replace the best models where a chunk's mean error is finite and the lowest so far.

    Args:
      best: the best models before the chunk.
      model: the models after the chunk.
      metrics: the metrics of the chunk.
      num_sequences: int32, training sequences before the chunk.
    """
    error = metrics.mean_error()
    is_better = (metrics.sequences > 0) & (error < best.error)
    now = Best(model, error, num_sequences + metrics.sequences)
    return jax.tree.map(lambda new, old: jnp.where(is_better, new, old), now, best)


def split(positions: np.ndarray, width: int) -> list[np.ndarray]:
    """Split positions into batches of `width`, the last of which may be smaller.

    >>> split(np.arange(5), 2)
    [array([0, 1]), array([2, 3]), array([4])]
    """
    return [positions[i : i + width] for i in range(0, len(positions), width)]


def pad(positions: np.ndarray, width: int) -> np.ndarray:
    """Fill a batch up with its first position, to be marked as idle.

    >>> pad(np.array([7, 5]), 4)
    array([7, 5, 7, 7])
    """
    return np.pad(positions, (0, width - len(positions)), constant_values=positions[0])


def take(tree: T, positions: int | np.ndarray) -> T:
    """Take one position, or several, from the last axis of every array, on the host."""
    return jax.tree.map(lambda array: np.asarray(array)[..., positions], tree)


def take_batch(state: TrainState, positions: np.ndarray, width: int) -> TrainState:
    """Take the trials at some positions, followed by idle ones up to `width`."""
    taken = take(state, pad(positions, width))
    is_idle = np.arange(width) >= len(positions)
    status = np.where(is_idle, IDLE, taken.trials.status).astype(np.int32)
    return taken._replace(trials=taken.trials._replace(status=status))
