"""Records of a run: its progress, its complete state, and the results of its trials."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from lstm_jax.training.trials.stopping import TestMetrics
from lstm_jax.training.trials.train_state import Best, TrainState
from lstm_jax.training.trials.training_loop import NON_FINITE, RUNNING, SOLVED, Trials
from lstm_jax.training.update_rules.base import AnyModel, Metrics


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
    """The model when the trial ended, as its update rule defines it, in NumPy arrays."""
    best_model: AnyModel = None
    """The model at the end of the chunk with the lowest mean error."""
    best_error: float = np.inf
    """Mean error of that chunk; infinity if there was none, and `best_model` is untrained."""
    best_sequences: int = 0
    """Training sequences until the end of that chunk."""


def make_result(
    index: int,
    state: TrainState,
    test: TestMetrics,
    curve: np.ndarray,
    test_size: int,
    num_sequences: int,
) -> TrialResult:
    """Make the result of one trial, from arrays without a batch axis.

    The fields are as in `TrialResult`; `num_sequences` are those of a trial that has not ended.
    """
    trial, best = state
    return TrialResult(
        index=index,
        solved=bool(trial.status == SOLVED),
        sequences=int(trial.ended_at) if trial.status != RUNNING else num_sequences,
        finite=bool(trial.status != NON_FINITE),
        first_rule_sequences=int(trial.first_rule_at) or None,
        test_wrong=int(test.wrong),
        test_size=test_size,
        test_error=float(test.error),
        test_squared_error=float(test.squared_error),
        curve=curve,
        model=trial.model,
        best_model=best.model,
        best_error=float(best.error),
        best_sequences=int(best.sequences),
    )


def stack_metrics(chunks: Sequence[Metrics], num_trials: int) -> Metrics:
    """Stack the metrics of chunks, [R] each, to [chunks, R]."""
    empty = np.zeros((0, num_trials), np.float32)
    if not chunks:
        return Metrics(empty, empty, empty)
    return Metrics(*(np.stack(sums) for sums in zip(*chunks, strict=True)))


def learning_curve(metrics: Metrics, position: int) -> np.ndarray:
    """Return the curve of one trial until it ended, as `TrialResult.curve`."""
    chunks = np.stack([sums[:, position] for sums in metrics], axis=1)
    chunks = chunks[chunks[:, 0] > 0]
    return np.column_stack([chunks[:, 0].cumsum(), chunks[:, 1:] / chunks[:, :1]])
