"""95 % confidence intervals of shares and of means.

Of means there are two. Training sequences until success are skewed, with a few very late trials,
which the bootstrap takes as they are. Scores of trained networks, and logarithms of ratios, are
nearly normal, and Student's t is right for as few as two or three of them, where the bootstrap is
too narrow.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

CONFIDENCE = 0.95


class Estimate(NamedTuple):
    """A mean and its interval."""

    mean: float
    low: float
    high: float


def share_interval(count: int, of: int) -> tuple[float, float]:
    """Return the interval of a share of trials, by Wilson's score.

    >>> [round(bound, 3) for bound in share_interval(9, 10)]
    [0.596, 0.982]
    """
    from scipy import stats

    found = stats.binomtest(count, of).proportion_ci(CONFIDENCE, method="wilson")
    return float(found.low), float(found.high)


def mean_interval(values: ArrayLike) -> tuple[float, float] | None:
    """Return the interval of the mean of a sample, by the bootstrap; None below two values.

    >>> mean_interval([3.0, 3.0, 3.0])
    (3.0, 3.0)
    """
    from scipy import stats

    sample = np.asarray(values, float)
    if len(sample) < 2:
        return None
    if np.ptp(sample) == 0:  # of which the bootstrap returns NaN
        return float(sample[0]), float(sample[0])
    found = stats.bootstrap((sample,), np.mean, confidence_level=CONFIDENCE, rng=0)
    return float(found.confidence_interval.low), float(found.confidence_interval.high)


def estimate(values: Sequence[float]) -> Estimate:
    """Estimate a mean from a sample, by Student's t; NaN bounds for a single value.

    >>> [round(bound, 2) for bound in estimate([1.0, 2.0, 3.0])]
    [2.0, -0.48, 4.48]
    """
    from scipy import stats

    mean, number = float(np.mean(values)), len(values)
    error = float(np.std(values, ddof=1)) / number**0.5 if number > 1 else np.nan
    half = error * float(stats.t.ppf((1 + CONFIDENCE) / 2, max(number - 1, 1)))
    return Estimate(mean, mean - half, mean + half)
