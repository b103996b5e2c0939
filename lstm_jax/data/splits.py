"""Parts for training, validation and test."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from lstm_jax.cell.validation import as_integer, as_number, require

THREE_PARTS = (0.7, 0.15, 0.15)  # training, validation, test


def split(
    size: int,
    fractions: Sequence[float] = THREE_PARTS,
    *,
    seed: int = 0,
    labels: ArrayLike | None = None,
) -> list[np.ndarray]:
    """Divide sequences at random; return the indices of each part, in ascending order.

    >>> train, test = split(8, (0.75, 0.25), labels=[0, 0, 0, 0, 1, 1, 1, 1])
    >>> len(train), len(test), [int(i) // 4 for i in test]  # one of each label
    (6, 2, [0, 1])

    Args:
      size: the number of sequences.
      fractions: of each part; positive, with the sum 1.
      seed: decides the parts, with the other arguments.
      labels: [size], so that every label has its share in every part; None: no such care.

    Raises:
      ValueError: if a part would be empty, or an argument does not fit.
    """
    size = as_integer("size", size, 1)
    ends = _ends(size, fractions)
    if labels is not None:
        labels = np.asarray(labels)
        require(labels.shape == (size,), "labels", f"of shape ({size},)", labels.shape)
    order = np.random.default_rng(as_integer("seed", seed, 0)).permutation(size)
    if labels is not None:
        order = _spread(order, labels)
    return [np.sort(part) for part in np.split(order, ends[:-1])]


def split_time(size: int, fractions: Sequence[float] = THREE_PARTS) -> list[slice]:
    """Divide the steps of a series in their order, the earliest for training.

    >>> split_time(10, (0.6, 0.4))
    [slice(0, 6, None), slice(6, 10, None)]

    Args:
      size: the number of steps.
      fractions: of each part; positive, with the sum 1.

    Raises:
      ValueError: if a part would be empty, or an argument does not fit.
    """
    size = as_integer("size", size, 1)
    ends = _ends(size, fractions)
    return [slice(start, end) for start, end in zip([0, *ends[:-1]], ends, strict=True)]


def _spread(order: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Arrange indices so that every stretch of the order has every label in proportion."""
    place = np.empty(len(order))
    for label in np.unique(labels):
        mine = order[labels[order] == label]
        place[mine] = (np.arange(len(mine)) + 0.5) / len(mine)
    return order[np.argsort(place[order], kind="stable")]


def _ends(size: int, fractions: Sequence[float]) -> list[int]:
    numbers = np.array([as_number(fraction) for fraction in fractions])
    is_met = len(numbers) and np.all(numbers > 0) and abs(numbers.sum() - 1) < 1e-6
    require(is_met, "fractions", "positive numbers with the sum 1", fractions)
    ends = np.round(size * np.cumsum(numbers)).astype(int).tolist()
    if min(np.diff([0, *ends])) < 1:
        raise ValueError(f"fractions must leave something in every part of {size}")
    return ends
