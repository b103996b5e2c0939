"""Pictures of a search: errors and costs over the hyperparameters."""

from __future__ import annotations

import math

import numpy as np

from lstm_jax.network.files import Document
from lstm_jax.plots import style

COLUMNS = 4


def tpe(document: Document) -> style.Figure:
    """Draw the errors of all configurations over time, and their costs over each hyperparameter.

    The best is vermilion. Grey ones were pruned; they have no cost and are marked at 0.
    """
    cost = lambda c: math.inf if c["cost"] is None else c["cost"]
    configurations = sorted(document["configurations"], key=cost)
    names = list(dict.fromkeys(name for c in document["configurations"] for name in c["values"]))
    if len(document["shapes"]) == 1:
        names.remove("blocks")
    figure, (curves, *panels) = _new_figure(1 + len(names))
    for one in reversed(configurations):  # the best is drawn last
        colour, width, marker = style.OURS, 0.8, "o"
        if one["cost"] is None:
            colour, marker = style.FAILED, "|"
        elif one is configurations[0]:
            colour, width = style.VERMILION, 2
        _, sequences, errors = np.array(one["errors"], np.float64).reshape(-1, 3).T
        curves.plot(sequences, errors, color=colour, linewidth=width, alpha=0.7)
        for axes, name in zip(panels, names, strict=False):
            if name in one["values"]:
                dot: Document = {"color": colour, "markersize": 5, "alpha": 0.7, "clip_on": False}
                axes.plot(one["values"][name], one["cost"] or 0, marker, **dot)
    lines = {"pruned": style.FAILED, "to the end": style.OURS, "the best": style.VERMILION}
    for label, colour in lines.items():
        curves.plot([], [], color=colour, label=label)
    curves.set(xlabel="training sequences", ylabel="training error, 0 of solved trials")
    curves.set(ylim=(0, None))
    style.format_counts(curves)
    style.add_legend(curves)
    for axes, name in zip(panels, names, strict=False):
        axes.axhline(1, color=style.BLACK, linewidth=0.8, linestyle=":")
        _label(axes, name, "cost; below 1: all solved")
    num_ended = sum(c["cost"] is not None for c in configurations)
    figure.suptitle(
        f"{document['task']} ({document['recipe']}): {len(configurations)} configurations of "
        f"{document['trials']} trials, {num_ended} run to their end"
    )
    return figure


def random_search(document: Document) -> style.Figure:
    """Draw the trials' mean training errors over each hyperparameter; solved ones vermilion."""
    trials = np.array(document["trials"], np.float64)  # None becomes NaN
    column = {name: trials[:, i] for i, name in enumerate(document["columns"])}
    if not np.isfinite(column["error"]).any():
        raise ValueError("no trial's error is finite")
    names = [name for name in document["columns"][1:-4] if len(np.unique(column[name])) > 1]
    figure, panels = _new_figure(len(names))
    for axes, name in zip(panels, names, strict=False):
        for is_solved, colour, size, alpha in ((0, style.OURS, 2, 0.3), (1, style.VERMILION, 5, 1)):
            some = column["solved"] == is_solved
            options: Document = {"color": colour, "markersize": size, "alpha": alpha}
            axes.plot(column[name][some], column["error"][some], ".", **options)
        _label(axes, name, "mean training error at the end")
    figure.suptitle(
        f"{document['task']}, blocks {document['blocks']} ({document['recipe']}): "
        f"{len(trials):,} trials of {document['max_sequences']:,} sequences, "
        f"{document['solved']:,} solved"
    )
    return figure


def _new_figure(number: int) -> tuple[style.Figure, list[style.Axes]]:
    rows = math.ceil(number / COLUMNS)
    columns = math.ceil(number / rows)
    figure, panels = style.new_figure(3.4 * columns, 3 * rows, rows, columns)
    for axes in panels[number:]:
        axes.set_visible(False)
    return figure, panels


def _label(axes: style.Axes, name: str, measure: str) -> None:
    from matplotlib.ticker import LogLocator

    axes.set(xlabel=name, ylabel=measure, ylim=(0, None))
    if name in ("learning rate", "initial range"):
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter("{x:g}")
        axes.minorticks_off()
