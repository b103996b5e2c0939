"""Error flow: the size of the error that arrives q steps back in time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from lstm_jax.plots import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SMALLEST, LARGEST = 1e-20, 1e10  # limits of the error axis


def error_flow(
    lines: Mapping[str, ArrayLike],
    *,
    title: str = "",
    styles: Mapping[str, style.Options] | None = None,
) -> Figure:
    """Draw the size of an error against the lag, both on logarithmic axes.

    >>> figure = error_flow({"carrousel": [1.0, 1.0, 1.0], "unit": [0.5, 0.25, 0.125]})
    >>> figure.axes[0].get_xlabel()
    'lag q'

    Args:
      lines: by label, the factors [Q, n, n] from `lstm_jax.analysis.error_flow` for the lags
        q = 1 .. Q, of which the largest is drawn, or sizes [Q]. Zeros and values that are not
        finite are omitted.
      title: title of the figure.
      styles: Matplotlib options of lines by label.

    Returns:
      The figure.

    Raises:
      ValueError: if there are no lines.
    """
    if not lines:
        raise ValueError("lines must hold at least one line, got none")
    figure, (axes,) = style.new_figure(7.5, 4.8)
    draw_lines(axes, lines, styles or {})
    axes.set_title(style.literal(title))
    return figure


def draw_lines(
    axes: Axes, lines: Mapping[str, ArrayLike], styles: Mapping[str, style.Options]
) -> None:
    """Draw the lines of `error_flow` on existing axes."""
    for i, (label, factors) in enumerate(lines.items()):
        sizes = np.abs(np.asarray(factors, np.float64))
        sizes = sizes.max(axis=tuple(range(1, sizes.ndim)))
        sizes = np.where((sizes > 0) & np.isfinite(sizes), sizes, np.nan)
        options = style.line_style(i) | {"marker": ""} | styles.get(label, {})
        axes.loglog(np.arange(1, len(sizes) + 1), sizes, label=style.literal(label), **options)
    axes.set(xlabel="lag q", ylim=(SMALLEST, LARGEST))
    axes.set_ylabel("largest |error at t - q| per error at t")
    style.add_legend(axes)
