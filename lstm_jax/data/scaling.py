"""Scaling of channels to a common range, fitted on the training part alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import ArrayLike

from lstm_jax.cell.validation import check_choice

Method = Literal["standardise", "min-max"]


class Scaler(NamedTuple):
    """A scaling of channels, (x - offset) / scale, which `fit_scaler` makes.

    Attributes:
      offset: [I] float64.
      scale: [I] float64, positive.
    """

    offset: np.ndarray
    scale: np.ndarray

    def transform(self, values: ArrayLike) -> np.ndarray:
        """Return scaled values [..., I]; floating ones keep their dtype."""
        values = _as_floating(values)
        return ((values - self.offset) / self.scale).astype(values.dtype)

    def inverse(self, values: ArrayLike) -> np.ndarray:
        """Return the values [..., I] that `transform` maps to these."""
        values = _as_floating(values)
        return (values * self.scale + self.offset).astype(values.dtype)

    def select(self, channels: Sequence[int]) -> Scaler:
        """Return the scaler of some channels, such as those that are forecast."""
        index = np.asarray(channels)
        return Scaler(self.offset[index], self.scale[index])


def fit_scaler(data: ArrayLike | Sequence[ArrayLike], method: Method = "standardise") -> Scaler:
    """Fit a scaling to the training part.

    >>> scaler = fit_scaler([[1.0], [3.0]])
    >>> scaler.transform([[1.0], [3.0], [5.0]]).tolist(), scaler.inverse([[3.0]]).tolist()
    ([[-1.0], [1.0], [3.0]], [[5.0]])

    Args:
      data: an array [..., I], or a list of sequences [T_i, I].
      method: "standardise" to mean 0 and standard deviation 1, or "min-max" to [0, 1].

    Raises:
      ValueError: if a channel is constant or not finite, or there are no data.
    """
    check_choice("method", method, get_args(Method))
    rows = _rows(data)
    if not np.isfinite(rows).all():
        channel = int(np.flatnonzero(~np.isfinite(rows).all(0))[0])
        raise ValueError(f"data must be finite, but channel {channel} holds NaN or infinity")
    low, high = rows.min(0), rows.max(0)
    for channel in np.flatnonzero(low == high):
        wanted = f"data must vary, but channel {channel} is {low[channel]} throughout: leave it out"
        raise ValueError(wanted)
    if method == "min-max":
        return Scaler(low, high - low)
    return Scaler(rows.mean(0), rows.std(0))


def _rows(data: ArrayLike | Sequence[ArrayLike]) -> np.ndarray:
    """Return all steps of all sequences, [steps, I] float64."""
    try:
        parts = list(data) if isinstance(data, (list, tuple)) else [data]
        arrays = [np.asarray(part, np.float64) for part in parts]
        rows = np.concatenate([array.reshape(-1, array.shape[-1]) for array in arrays])
    except (TypeError, ValueError, IndexError) as error:
        raise ValueError(f"data must be an array [..., I] or a list of them: {error}") from error
    if not rows.size:
        raise ValueError("data must hold at least one number, got none")
    return rows


def _as_floating(values: ArrayLike) -> np.ndarray:
    array = np.asarray(values)
    return array if np.issubdtype(array.dtype, np.floating) else array.astype(np.float64)
