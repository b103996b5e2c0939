"""Pictures of scores: a confusion matrix, and a forecast beside the observations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from lstm_jax.cell.validation import require
from lstm_jax.plots import style

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from numpy.typing import ArrayLike


def confusion_matrix(
    matrix: ArrayLike, *, classes: Sequence[str] | None = None, title: str = ""
) -> Figure:
    """Draw how often each class was predicted as each class.

    Shades are parts of the row, so that a rare class is as visible as a common one.

    >>> figure = confusion_matrix([[5, 1], [0, 2]], classes=["healthy", "ill"])
    >>> figure.axes[0].get_title()
    '7 of 8 right (88 %)'

    Args:
      matrix: [K, K] counts, as of `lstm_jax.scores.confusion_matrix`.
      classes: their K names (default: their numbers).
      title: title of the figure (default: the accuracy).

    Raises:
      ValueError: if the matrix is not square, or the number of names does not fit.
    """
    counts = np.asarray(matrix)
    is_square = counts.ndim == 2 and counts.shape[0] == counts.shape[1]
    require(is_square, "matrix", "square", counts.shape)
    size = len(counts)
    names = [str(k) for k in range(size)] if classes is None else [str(name) for name in classes]
    require(len(names) == size, "classes", f"{size} names", classes)
    parts = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    side = 1.6 + 0.55 * max(size, 4)
    figure, (axes,) = style.new_figure(side + 1.2, side)
    axes.grid(False)
    axes.imshow(parts, cmap="Blues", vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(counts):
        if count:
            colour = "white" if parts[row, column] > 0.6 else style.BLACK
            axes.text(column, row, f"{count:,}", ha="center", va="center", color=colour)
    labels = [style.literal(name) for name in names]
    axes.set_xticks(range(size), labels, rotation=45 if max(map(len, names)) > 4 else 0)
    axes.set_yticks(range(size), labels)
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")
    right, total = int(np.trace(counts)), int(counts.sum())
    share = f"{right:,} of {total:,} right ({100 * right / max(total, 1):.0f} %)"
    axes.set_title(style.literal(title) or share)
    return figure


def forecast(
    targets: ArrayLike,
    forecasts: ArrayLike,
    *,
    last_known: ArrayLike | None = None,
    names: Sequence[str] | None = None,
    title: str = "",
) -> Figure:
    """Draw forecasts of a series beside the observed values, and the errors below.

    >>> figure = forecast([1.0, 2.0, 3.0], [1.0, 2.5, 3.0], last_known=[0.0, 1.0, 2.0])
    >>> [line.get_label() for line in figure.axes[0].lines]
    ['observed', 'forecast']

    Args:
      targets: [N] or [N, K], the observed values, in the order of time.
      forecasts: the same shape, the values that were forecast for the same times.
      last_known: the same shape, the values at the times of the forecasts, whose errors are drawn
        in grey (default: none).
      names: names of the K series (default: their numbers).
      title: title of the figure.

    Raises:
      ValueError: if the shapes differ, or the number of names does not fit.
    """
    came = _as_series("targets", targets, np.asarray(targets).shape)
    others = {"forecast": _as_series("forecasts", forecasts, np.asarray(targets).shape)}
    if last_known is not None:
        others["persistence"] = _as_series("last_known", last_known, np.asarray(targets).shape)
    count = came.shape[1]
    names = ["value"] * count if names is None and count == 1 else names
    names = [f"series {k + 1}" for k in range(count)] if names is None else names
    require(len(names) == count, "names", f"{count} names", names)
    colours = {"forecast": style.VERMILION, "persistence": style.GREY}
    figure, axes = style.new_figure(
        9.5, 0.4 + 3.4 * count, 2 * count, sharex=True, height_ratios=[2, 1] * count
    )
    axes[0].set_title(style.literal(title))
    for k, (values, errors) in enumerate(zip(axes[::2], axes[1::2], strict=True)):
        values.plot(came[:, k], color=style.BLACK, label="observed")
        values.plot(others["forecast"][:, k], color=style.VERMILION, label="forecast")
        values.set_ylabel(style.literal(names[k]))
        style.add_legend(values, loc="center left", bbox_to_anchor=(1.0, 0.5))
        for name in reversed(others):
            error = others[name][:, k] - came[:, k]
            label = f"{name}:\nRMSE {np.sqrt(np.mean(error**2)):.3g}"
            errors.plot(error, color=colours[name], label=label)
        errors.axhline(0, color=style.BLACK, linewidth=0.6)
        errors.set_ylabel("error")
        style.add_legend(errors, loc="center left", bbox_to_anchor=(1.0, 0.5))
    axes[-1].set_xlabel("forecast number, in the order of time")
    figure.align_ylabels(axes)
    return figure


def _as_series(name: str, values: ArrayLike, shape: tuple[int, ...]) -> np.ndarray:
    array = np.asarray(values)
    is_met = array.shape == shape and array.ndim in (1, 2) and array.size
    require(is_met, name, "[N] or [N, K] of one shape", array.shape)
    return array.reshape(len(array), -1)
