"""Windows of a series, for forecasts."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from lstm_jax.cell.validation import as_integer


def windows(
    series: ArrayLike,
    length: int,
    *,
    horizon: int = 1,
    stride: int = 1,
    every_step: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """Cut a series into inputs and the values that come `horizon` steps after them.

    >>> inputs, targets = windows([0, 1, 2, 3, 4], 2, horizon=2)
    >>> inputs.tolist(), targets.tolist()
    ([[0, 1], [1, 2]], [3, 4])

    Args:
      series: [T, ...].
      length: steps of each window.
      horizon: how far ahead of the last step of a window its target lies.
      stride: steps from one window to the next.
      every_step: whether every step of a window has a target, `horizon` steps after it.

    Returns:
      The inputs [N, length, ...], and the targets [N, ...] or, at every step, [N, length, ...].

    Raises:
      ValueError: if a number is less than 1, or the series is shorter than one window.
    """
    series = np.asarray(series)
    length, horizon = as_integer("length", length, 1), as_integer("horizon", horizon, 1)
    stride = as_integer("stride", stride, 1)
    steps = len(series) if series.ndim else 0
    if steps < length + horizon:
        wanted = f"at least {length + horizon} steps, a window and its horizon"
        raise ValueError(f"series must have {wanted}, got {steps}")
    starts = np.arange(0, steps - length - horizon + 1, stride)
    steps_of = starts[:, None] + np.arange(length)
    inputs, ahead = series[steps_of], series[steps_of + horizon]
    return inputs, ahead if every_step else ahead[:, -1]
