"""95 % confidence intervals of shares and of means."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

CONFIDENCE = 0.95


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
