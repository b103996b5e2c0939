"""A picture of a tuning run: when configurations were stopped, and what each setting did."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from lstm_jax.network.files import Document
from lstm_jax.plots import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LOGARITHMIC = ("learning rate", "initial range")
COLUMNS = 4


def draw(document: Document) -> Figure:
    """Draws the errors of all configurations, and their costs against each setting.

    The best is vermilion. Grey ones were stopped, and have no cost: their settings are marked at 0.
    """
    configurations = document["configurations"]
    ended = [c for c in configurations if c["cost"] is not None]
    best = min(ended, key=lambda c: c["cost"])
    names = list(dict.fromkeys(name for c in configurations for name in c["values"]))
    if len(document["shapes"]) == 1:
        names.remove("blocks")
    rows = math.ceil((1 + len(names)) / COLUMNS)
    columns = math.ceil((1 + len(names)) / rows)
    figure, (errors, *panels) = style.new_figure(3.4 * columns, 3 * rows, rows, columns)
    _draw_errors(errors, configurations, best)
    for axes, name in zip(panels, names, strict=False):
        _draw_costs(axes, name, configurations, best)
    for axes in panels[len(names) :]:
        axes.set_visible(False)
    figure.suptitle(
        f"{document['task']} ({document['recipe']}): {len(configurations)} configurations of "
        f"{document['trials']} trials, {len(ended)} run to their end"
    )
    return figure


def _draw_errors(axes: Axes, configurations: list[Document], best: Document) -> None:
    for one in sorted(configurations, key=lambda c: (c is best, c["cost"] is not None)):
        _, sequences, errors = np.array(one["errors"], np.float64).reshape(-1, 3).T
        colour = style.FAILED if one["cost"] is None else style.OURS
        options: Document = {"color": colour, "linewidth": 0.8, "alpha": 0.6}
        if one is best:
            options = {"color": style.VERMILION, "linewidth": 2}
        axes.plot(sequences, errors, **options)
    axes.set(
        xlabel="training sequences", ylabel="training error, 0 of solved trials", ylim=(0, None)
    )
    for label, colour in (("stopped", style.FAILED), ("to the end", style.OURS)):
        axes.plot([], [], color=colour, label=label)
    axes.plot([], [], color=style.VERMILION, linewidth=2, label="the best")
    style.format_counts(axes)
    axes.locator_params(axis="x", nbins=4)
    style.add_legend(axes)


def _draw_costs(axes: Axes, name: str, configurations: list[Document], best: Document) -> None:
    for one in sorted(configurations, key=lambda c: c is best):
        value, cost = one["values"].get(name), one["cost"]
        if value is not None and cost is None:
            axes.plot(value, 0, "|", color=style.FAILED, markersize=8, clip_on=False)
        elif value is not None:
            colour = style.VERMILION if one is best else style.OURS
            axes.plot(value, cost, "o", color=colour, alpha=0.7, markersize=4, clip_on=False)
    from matplotlib.ticker import LogLocator

    axes.axhline(1, color=style.BLACK, linewidth=0.8, linestyle=":")
    axes.set(xlabel=name, ylabel="cost; below 1: all solved", ylim=(0, None))
    if name in LOGARITHMIC:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter("{x:g}")
        axes.minorticks_off()
