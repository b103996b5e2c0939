"""Paired tests of the differences between networks.

They speak of initial weights and orders of batches: the data and their parts are the same in all
trials.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np


def compare(values: Mapping[str, Sequence[float]], reference: str) -> dict[str, float]:
    """Return the p of each other network's difference from the reference, trial by trial.

    By Wilcoxon's signed-rank test, two-sided, with Holm's correction for the number of networks.
    """
    from scipy import stats

    found = {}
    for name, other in values.items():
        differences = np.subtract(other, values[reference])
        if name != reference:
            found[name] = stats.wilcoxon(differences)[1] if np.any(differences) else 1.0
    return holm({name: float(p) for name, p in found.items()})


def holm(p: Mapping[str, float]) -> dict[str, float]:
    """Return p-values corrected for their number (Holm 1979).

    >>> holm({"a": 0.5, "b": 0.01, "c": 0.03})
    {'a': 0.5, 'b': 0.03, 'c': 0.06}
    """
    largest, found = 0.0, {}
    for rank, name in enumerate(sorted(p, key=p.__getitem__)):
        largest = max(largest, min(1.0, (len(p) - rank) * p[name]))
        found[name] = largest
    return {name: found[name] for name in p}
