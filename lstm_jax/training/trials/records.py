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

    Attributes:
      model: as `Trials.model`; the untrained models before the first chunk.
      error: [B] float32, the mean error of that chunk; `NO_ERROR` before the first one.
      sequences: [B] int32, training sequences until the end of that chunk; 0 before the first one.
    """

    model: AnyModel
    error: chex.Array
    sequences: chex.Array


class TrainState(NamedTuple):
    """The train state of B trials, on the host or on one device; the batch axis is last.

    Attributes:
      trials: the trials as they are now.
      best: their best models so far.
    """

    trials: Trials
    best: Best


class Progress(NamedTuple):
    """The progress of a run after a chunk of every running trial.

    Attributes:
      num_sequences: training sequences of each trial still running.
      total_sequences: training sequences, summed over all trials.
      trials: the number of trials.
      running: the number of trials that have not ended.
      solved: the number of solved trials.
      error: mean absolute error of an output over the training sequences of the chunk.
      max_sequences: the most training sequences of a trial.
    """

    num_sequences: int
    total_sequences: int
    trials: int
    running: int
    solved: int
    error: float
    max_sequences: int


class RunState(NamedTuple):
    """The complete state of a run of R trials, as a pytree of NumPy arrays.

    Attributes:
      num_sequences: [] int64, training sequences of each trial still running.
      trials: all R trials, in order; R is the last axis.
      metrics: [chunks, R] float32, the metrics of all chunks so far.
      best: the best models of all R trials.
    """

    num_sequences: np.ndarray
    trials: Trials
    metrics: Metrics
    best: Best


@dataclasses.dataclass(frozen=True)
class TrialResult:
    """The result of one trial.

    Attributes:
      index: from 0.
      solved: whether the rule of the task was met.
      sequences: training sequences until the trial ended.
      finite: False if the trial ended because its outputs became NaN or infinite.
      first_rule_sequences: training sequences until `Task.first_rule` was met; None: it was not.
      test_wrong: incorrect sequences in the final test.
      test_size: sequences in the final test, which are fresh.
      test_error: mean absolute error of an output in that test.
      test_squared_error: mean squared error of an output in that test.
      curve: [chunks, 3] float64: training sequences until the end of a chunk, its mean error and
        its fraction of incorrect sequences.
      model: the model when the trial ended, of its update rule, in NumPy arrays, except for PRNG
        keys.
      best_model: the model at the end of the chunk with the lowest mean error.
      best_error: mean error of that chunk; infinity if `best_model` is untrained.
      best_sequences: training sequences until the end of that chunk.
    """

    index: int
    solved: bool
    sequences: int
    finite: bool
    first_rule_sequences: int | None
    test_wrong: int
    test_size: int
    test_error: float
    test_squared_error: float
    curve: np.ndarray
    model: AnyModel
    best_model: AnyModel = None
    best_error: float = np.inf
    best_sequences: int = 0


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
