"""What is known of trials: while they run, when they have ended, and to go on from."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from lstm_jax.training.trials.batches import TrainState
from lstm_jax.training.trials.best import Best
from lstm_jax.training.trials.stopping import TestMetrics
from lstm_jax.training.trials.training_loop import NON_FINITE, RUNNING, SOLVED, Trials
from lstm_jax.training.update_rules.base import AnyModel, Metrics


class Progress(NamedTuple):
    """Where a run stands after a round: one chunk for every trial that was still running."""

    num_sequences: int
    """Training sequences, to each trial still running."""
    total_sequences: int
    """Training sequences, summed over all trials."""
    trials: int
    """How many there are."""
    running: int
    """How many have not ended."""
    solved: int
    """How many are solved."""
    error: float
    """Mean absolute error of an output over the round's training sequences."""


class RunState(NamedTuple):
    """Everything a run needs to go on where it stood; a pytree of NumPy arrays."""

    num_sequences: np.ndarray
    """[] int64, training sequences to each trial still running."""
    trials: Trials
    """All R trials, in order; R is the last axis."""
    reports: Metrics
    """[rounds, R] float32, of every round so far."""
    best: Best
    """Of all R trials."""


@dataclasses.dataclass(frozen=True)
class TrialResult:
    """What became of one trial."""

    index: int
    """Its number, from 0."""
    solved: bool
    """Whether its task's rule was met."""
    sequences: int
    """Training sequences until it ended."""
    finite: bool
    """False: its outputs became NaN or infinite, and it was stopped."""
    first_rule_sequences: int | None
    """Training sequences until `Task.first_rule` was met; None: it was not."""
    test_wrong: int
    """How many of `test_size` fresh sequences it gets wrong as it ended."""
    test_size: int
    """Sequences of the final test."""
    test_error: float
    """Mean absolute error of an output in that test."""
    test_squared_error: float
    """Mean squared error of an output in that test."""
    curve: np.ndarray
    """[chunks, 3] float64: sequences presented, mean error and fraction wrong of a chunk."""
    model: AnyModel
    """What it had learned when it ended, in its method's way, as NumPy arrays."""
    best_model: AnyModel = None
    """The same at the end of the chunk with the lowest mean error."""
    best_error: float = np.inf
    """Mean error of that chunk; infinity if there was none, and `best_model` is untrained."""
    best_sequences: int = 0
    """Training sequences before that chunk's end."""


def make_result(
    index: int,
    standing: TrainState,
    score: TestMetrics,
    curve: np.ndarray,
    test_size: int,
    num_sequences: int,
) -> TrialResult:
    """The result of one trial, from its own lane of everything on the host.

    Args:
      index: its number.
      standing: where it stands.
      score: of its final test.
      curve: see `TrialResult`.
      test_size: see `TrialResult`.
      presented: training sequences so far, if it has not ended.
    """
    trial, best = standing
    return TrialResult(
        index=index,
        solved=bool(trial.status == SOLVED),
        sequences=int(trial.ended_at) if trial.status != RUNNING else num_sequences,
        finite=bool(trial.status != NON_FINITE),
        first_rule_sequences=int(trial.first_rule_at) or None,
        test_wrong=int(score.wrong),
        test_size=test_size,
        test_error=float(score.error),
        test_squared_error=float(score.squared_error),
        curve=curve,
        model=trial.model,
        best_model=best.model,
        best_error=float(best.error),
        best_sequences=int(best.sequences),
    )


def stack_reports(rounds: Sequence[Metrics], num_trials: int) -> Metrics:
    """Reports of rounds, [R] each, as one, [rounds, R]."""
    nothing = np.zeros((0, num_trials), np.float32)
    if not rounds:
        return Metrics(nothing, nothing, nothing)
    return Metrics(*(np.stack(sums) for sums in zip(*rounds, strict=True)))


def learning_curve(reports: Metrics, place: int) -> np.ndarray:
    """The curve of the trial at `place`, until it ended, as `TrialResult.curve`."""
    rounds = np.stack([sums[:, place] for sums in reports], axis=1)
    rounds = rounds[rounds[:, 0] > 0]
    return np.column_stack([rounds[:, 0].cumsum(), rounds[:, 1:] / rounds[:, :1]])
