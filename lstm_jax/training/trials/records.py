"""Records of a run: its train state, its progress and the results of its trials."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np

from lstm_jax.training.trials.training_loop import Trials
from lstm_jax.training.update_rules.base import NO_ERROR, AnyModel, Metrics


class Best(NamedTuple):
    """The models of B trials at the end of the chunk with the lowest mean training error.

    A trial that is never solved, or whose numbers become infinite, may have been better before.
    """

    model: AnyModel
    """As `Trials.model`; the untrained models before the first chunk."""
    error: chex.Array
    """[B] float32, the mean error of that chunk; `NO_ERROR` before the first one."""
    sequences: chex.Array
    """[B] int32, training sequences until the end of that chunk; 0 before the first one."""


class TrainState(NamedTuple):
    """The train state of B trials, on the host or on one device; the batch axis is last."""

    trials: Trials
    """The trials as they are now."""
    best: Best
    """Their best models so far."""


class Progress(NamedTuple):
    """The progress of a run after a chunk of every running trial."""

    num_sequences: int
    """Training sequences of each trial still running."""
    total_sequences: int
    """Training sequences, summed over all trials."""
    trials: int
    """The number of trials."""
    running: int
    """The number of trials that have not ended."""
    solved: int
    """The number of solved trials."""
    error: float
    """Mean absolute error of an output over the training sequences of the chunk."""


class RunState(NamedTuple):
    """The complete state of a run of R trials, as a pytree of NumPy arrays."""

    num_sequences: np.ndarray
    """[] int64, training sequences of each trial still running."""
    trials: Trials
    """All R trials, in order; R is the last axis."""
    metrics: Metrics
    """[chunks, R] float32, the metrics of all chunks so far."""
    best: Best
    """The best models of all R trials."""


@dataclasses.dataclass(frozen=True)
class TrialResult:
    """The result of one trial."""

    index: int
    """The trial's index, from 0."""
    solved: bool
    """Whether its task's rule was met."""
    sequences: int
    """Training sequences until it ended."""
    finite: bool
    """False if it was stopped because its outputs became NaN or infinite."""
    first_rule_sequences: int | None
    """Training sequences until `Task.first_rule` was met; None: it was not."""
    test_wrong: int
    """The number of incorrect sequences in the final test, of `test_size` fresh ones."""
    test_size: int
    """The number of sequences in the final test."""
    test_error: float
    """Mean absolute error of an output in that test."""
    test_squared_error: float
    """Mean squared error of an output in that test."""
    curve: np.ndarray
    """[chunks, 3] float64: training sequences until the end of a chunk, its mean error and its
    fraction of incorrect sequences."""
    model: AnyModel
    """The model when the trial ended, in NumPy arrays, except for PRNG keys."""
    best_model: AnyModel = None
    """The model at the end of the chunk with the lowest mean error."""
    best_error: float = np.inf
    """Mean error of that chunk; infinity if there was none, and `best_model` is untrained."""
    best_sequences: int = 0
    """Training sequences until the end of that chunk."""


def init_train_state(trials: Trials) -> TrainState:
    """Return the train state of trials before their first chunk."""
    error = jnp.full_like(trials.status, NO_ERROR, jnp.float32)
    return TrainState(trials, Best(trials.model, error, jnp.zeros_like(trials.status)))


def update_best(best: Best, model: AnyModel, metrics: Metrics, num_sequences: jax.Array) -> Best:
    """Replace the best models where a chunk's mean error is finite and the lowest so far.

    `model` and `metrics` are those after the chunk, `num_sequences` the sequences before it.
    """
    error = metrics.mean_error()
    is_better = (metrics.sequences > 0) & (error < best.error)
    now = Best(model, error, num_sequences + metrics.sequences)
    return jax.tree.map(lambda new, old: jnp.where(is_better, new, old), now, best)


def stack_metrics(chunks: Sequence[Metrics], num_trials: int) -> Metrics:
    """Stack the metrics of chunks, [R] each, to [chunks, R]."""
    stacked = np.reshape(np.array(chunks, np.float32), (len(chunks), 3, num_trials))
    return Metrics(*np.moveaxis(stacked, 1, 0))


def learning_curve(metrics: Metrics, position: int) -> np.ndarray:
    """Return the curve of one trial until it ended, as `TrialResult.curve`."""
    chunks = np.stack([sums[:, position] for sums in metrics], axis=1)
    chunks = chunks[chunks[:, 0] > 0]
    return np.column_stack([chunks[:, 0].cumsum(), chunks[:, 1:] / chunks[:, :1]])
