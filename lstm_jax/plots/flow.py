"""Error flow: how much of an error arrives q steps back in time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from lstm_jax.plots import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SMALLEST, LARGEST = 1e-20, 1e10  # what is drawn


def error_flow(
    lines: Mapping[str, ArrayLike],
    *,
    title: str = "",
    styles: Mapping[str, style.Options] | None = None,
) -> Figure:
    """Draws the size of an error against the lag, both on logarithmic axes.

    >>> figure = error_flow({"carrousel": [1.0, 1.0, 1.0], "unit": [0.5, 0.25, 0.125]})
    >>> figure.axes[0].get_xlabel()
    'lag q'

    Args:
      lines: of each label what `lstm_jax.analysis.error_flow` gives: factors [Q, n, n] for the lags
        q = 1 .. Q, of which the largest is drawn, or sizes [Q]. What is 0, not finite or below
        1e-20 is left out.
      title: above the picture.
      styles: Matplotlib's options of some lines, by label.

    Returns:
      The figure.

    Raises:
      ValueError: if there is nothing to draw.
    """
    if not lines:
        raise ValueError("lines must hold at least one line, got none")
    figure, (axes,) = style.new_figure(7.5, 4.8)
    draw_lines(axes, lines, styles or {})
    axes.set_title(title)
    return figure


def draw_lines(
    axes: Axes, lines: Mapping[str, ArrayLike], styles: Mapping[str, style.Options]
) -> None:
    """Draws the lines of `error_flow` on axes that there are."""
    for i, (label, factors) in enumerate(lines.items()):
        sizes = np.abs(np.asarray(factors, np.float64))
        sizes = sizes.max(axis=tuple(range(1, sizes.ndim)))
        displayed = np.where((sizes > 0) & np.isfinite(sizes), sizes, np.nan)
        own = style.line_style(i) | {"marker": ""}
        lags = np.arange(1, len(sizes) + 1)
        axes.loglog(lags, displayed, label=label, **(own | styles.get(label, {})))
    axes.set(xlabel="lag q", ylim=(SMALLEST, LARGEST))
    axes.set_ylabel("largest |error at t - q| per error at t")
    style.add_legend(axes)
