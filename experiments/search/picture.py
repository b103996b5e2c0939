"""Pictures of a search: errors and costs over the hyperparameters."""

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


def tpe(document: Document) -> Figure:
    """Draw the errors of all configurations over time, and their costs over each hyperparameter.

    The best is vermilion. Grey ones were pruned; they have no cost and are marked at 0.
    """
    configurations = document["configurations"]
    ended = [c for c in configurations if c["cost"] is not None]
    best = min(ended, key=lambda c: c["cost"])
    names = list(dict.fromkeys(name for c in configurations for name in c["values"]))
    if len(document["shapes"]) == 1:
        names.remove("blocks")
    figure, (errors, *panels) = _new_figure(1 + len(names))
    _draw_errors(errors, configurations, best)
    for axes, name in zip(panels, names, strict=False):
        _draw_costs(axes, name, configurations, best)
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
    lines = {"pruned": style.FAILED, "to the end": style.OURS, "the best": style.VERMILION}
    for label, colour in lines.items():
        axes.plot([], [], color=colour, label=label)
    axes.set(xlabel="training sequences", ylabel="training error, 0 of solved trials")
    axes.set(xlim=(0, None), ylim=(0, None))
    axes.locator_params(axis="x", nbins=4)
    axes.xaxis.set_major_formatter("{x:,.0f}")
    style.add_legend(axes)


def _draw_costs(axes: Axes, name: str, configurations: list[Document], best: Document) -> None:
    for one in sorted(configurations, key=lambda c: c is best):
        value, cost = one["values"].get(name), one["cost"]
        if value is not None and cost is None:
            axes.plot(value, 0, "|", color=style.FAILED, markersize=8, clip_on=False)
        elif value is not None:
            colour = style.VERMILION if one is best else style.OURS
            axes.plot(value, cost, "o", color=colour, alpha=0.7, markersize=4, clip_on=False)
    axes.axhline(1, color=style.BLACK, linewidth=0.8, linestyle=":")
    _label(axes, name, "cost; below 1: all solved")


def random_search(document: Document) -> Figure:
    """Draw the mean training errors of the trials over each hyperparameter; solved ones vermilion.

    Raises:
      ValueError: if no trial's error is finite.
    """
    trials = np.array(document["trials"], np.float64)  # None becomes NaN
    column = {name: trials[:, i] for i, name in enumerate(document["columns"])}
    if not np.isfinite(column["error"]).any():
        raise ValueError("no trial's error is finite")
    names = [name for name in document["columns"][1:-4] if len(np.unique(column[name])) > 1]
    figure, panels = _new_figure(len(names))
    for axes, name in zip(panels, names, strict=False):
        for is_solved, colour in ((False, style.OURS), (True, style.VERMILION)):
            some = column["solved"] == is_solved
            size, alpha = (5, 1.0) if is_solved else (2, 0.3)
            options: Document = {"color": colour, "markersize": size, "alpha": alpha}
            axes.plot(column[name][some], column["error"][some], ".", **options)
        _label(axes, name, "mean training error at the end")
    figure.suptitle(
        f"{document['task']}, blocks {document['blocks']} ({document['recipe']}): "
        f"{len(trials):,} trials of {document['max_sequences']:,} sequences, "
        f"{document['solved']:,} solved"
    )
    return figure


def _new_figure(number: int) -> tuple[Figure, list[Axes]]:
    """Return a figure with some panels."""
    rows = math.ceil(number / COLUMNS)
    columns = math.ceil(number / rows)
    figure, panels = style.new_figure(3.4 * columns, 3 * rows, rows, columns)
    for axes in panels[number:]:
        axes.set_visible(False)
    return figure, panels


def _label(axes: Axes, name: str, measure: str) -> None:
    from matplotlib.ticker import LogLocator

    axes.set(xlabel=name, ylabel=measure, ylim=(0, None))
    if name in LOGARITHMIC:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter("{x:g}")
        axes.minorticks_off()
