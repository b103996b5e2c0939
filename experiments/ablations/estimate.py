"""Estimates of success and speed with 95 % intervals, and what they say of a row."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from experiments.ablations.design import FACTOR, UNCOUNTED, Outcome, published_sequences
from lstm_jax import make_task

CONFIDENCE = 0.95


class Estimate(NamedTuple):
    """The estimates of one cell.

    Attributes:
      success: the fraction of solved trials.
      success_interval: by Wilson's score.
      ratio: the mean number of sequences of solved trials by the published one; None without any.
      ratio_interval: by the bootstrap; None with fewer than two solved trials.
    """

    success: float
    success_interval: tuple[float, float]
    ratio: float | None
    ratio_interval: tuple[float, float] | None


def estimate(row: str, outcome: Outcome) -> Estimate:
    """Estimate the success and the speed of a cell's recipe on a row."""
    from scipy import stats

    solved, trials = outcome["solved"], outcome["trials"]
    interval = stats.binomtest(solved, trials).proportion_ci(CONFIDENCE, method="wilson")
    uncounted = UNCOUNTED.get(row, 0)
    counts = np.array([n for n in outcome["sequences"] if n is not None], float) - uncounted
    ratios = counts / (published_sequences(row) - uncounted)
    spread = None
    if len(ratios) > 1:
        found = stats.bootstrap((ratios,), np.mean, confidence_level=CONFIDENCE, rng=0)
        spread = (float(found.confidence_interval.low), float(found.confidence_interval.high))
    ratio = float(ratios.mean()) if len(ratios) else None
    return Estimate(solved / trials, (interval.low, interval.high), ratio, spread)


def verdict(row: str, found: Estimate) -> str:
    """Return "reproduced", "solved, not as published" or "open".

    A row is reproduced if the published success lies in the interval of ours, and the interval of
    the ratio between 1/2 and 2. It is solved if more than half of the trials are, by the interval.
    """
    published = make_task(row).published.success_rate
    low, high = found.success_interval
    is_as_often = low <= (1.0 if published is None else published / 100) <= high
    spread = found.ratio_interval
    if is_as_often and spread and spread[0] >= 1 / FACTOR and spread[1] <= FACTOR:
        return "reproduced"
    return "solved, not as published" if low > 0.5 else "open"
