"""Estimates of success and speed with 95 % intervals, and what they say of a row."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from experiments.ablations.design import FACTOR, UNCOUNTED, Outcome, published_sequences
from experiments.rows.intervals import mean_interval, share_interval
from lstm_jax import make_task


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
    uncounted = UNCOUNTED.get(row, 0)
    counts = np.array([n for n in outcome["sequences"] if n is not None], float) - uncounted
    ratios = counts / (published_sequences(row) - uncounted)
    return Estimate(
        success=outcome["solved"] / outcome["trials"],
        success_interval=share_interval(outcome["solved"], outcome["trials"]),
        ratio=float(ratios.mean()) if len(ratios) else None,
        ratio_interval=mean_interval(ratios),
    )


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
