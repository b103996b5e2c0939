"""Learning curves: the training error of every trial, with the paper's number of sequences."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lstm_jax.plots import style
from lstm_jax.training.trials.runner import TrialResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Fields = Mapping[str, Any]  # of a result file, or of a trial


def learning_curves(
    trials: Sequence[TrialResult] | Fields,
    *,
    title: str | None = None,
    published_mean: float | None = None,
    published_rate: float | None = None,
) -> Figure:
    """Draw the mean absolute training error of every trial against the training sequences.

    The line of a solved trial ends in a dot; unsolved trials are grey. Vertical lines mark the
    mean number of sequences of the solved trials, and the paper's.

    >>> curve = [[1000, 0.5, 1.0], [2000, 0.1, 0.0]]  # sequences, mean error, fraction wrong
    >>> trial = {"index": 0, "solved": True, "sequences": 2000, "curve": curve}
    >>> published = {"mean_sequences": 3000, "success_rate": 100.0}
    >>> figure = learning_curves({"trials": [trial], "published": published}, title="my run")
    >>> figure.axes[0].get_title()
    'my run'

    Args:
      trials: the results of a `TrialRunner`, or the document of a result file.
      title: title of the figure (default: from the document).
      published_mean: the paper's mean number of sequences (default: from the document).
      published_rate: the paper's percentage of solved trials (default: from the document).

    Returns:
      The figure.

    Raises:
      ValueError: if there are no trials.
    """
    if isinstance(trials, Mapping):
        document = trials
        rows, published = document["trials"], document["published"]
        title = _title(document) if title is None else title
        published_mean = published_mean or published["mean_sequences"]
        published_rate = published_rate or published["success_rate"]
    else:
        rows = [vars(result) for result in trials]
    if not rows:
        raise ValueError("trials must hold at least one trial, got none")
    figure, (axes,) = style.new_figure(7.5, 4.2)
    for trial in rows:
        _draw_trial(axes, trial)
    _draw_mean(axes, rows)
    _draw_published(axes, published_mean, published_rate)
    axes.set(xlabel="training sequences", ylabel="mean absolute training error", ylim=(0, None))
    axes.set_title(style.literal(textwrap.fill(title or "", 80)))
    style.format_counts(axes)
    style.add_legend(figure, loc="outside lower center", ncols=2)
    return figure


def compare_trials(groups: Mapping[str, Sequence[TrialResult]]) -> Figure:
    """Draw the learning curves of several groups of trials, one panel per group.

    >>> figure = compare_trials({"memory cells": [], "conventional net": []})
    >>> [axes.get_title() for axes in figure.axes]
    ['memory cells: 0 of 0 solved', 'conventional net: 0 of 0 solved']

    Args:
      groups: the results of a `TrialRunner` by name.

    Returns:
      The figure. Panels share their axes; unsolved trials are grey.

    Raises:
      ValueError: if there is no group.
    """
    if not groups:
        raise ValueError("groups must hold at least one group of trials, got none")
    figure, panels = style.new_figure(
        4.5 * len(groups), 3.2, columns=len(groups), sharex=True, sharey=True
    )
    for axes, (name, trials) in zip(panels, groups.items(), strict=True):
        for trial in trials:
            _draw_trial(axes, vars(trial))
        solved = sum(trial.solved for trial in trials)
        title = f"{style.literal(name)}: {solved} of {len(trials)} solved"
        axes.set(title=title, xlabel="training sequences")
    for axes in panels:
        style.format_counts(axes)
    panels[0].set(ylabel="mean absolute training error", ylim=(0, None))
    return figure


def _title(document: Fields) -> str:
    title = f"{document['task']}: {document['title']}"
    recipe = document["recipe"]
    return title if recipe == "paper" else f"{title}, recipe {recipe}"


def _draw_trial(axes: Axes, trial: Fields) -> None:
    curve = np.array([point[:2] for point in trial["curve"]], np.float64).reshape(-1, 2)
    colour = style.OURS if trial["solved"] else style.FAILED
    axes.plot(curve[:, 0], curve[:, 1], color=colour, linewidth=0.8, alpha=0.6)
    if trial["solved"] and len(curve):
        axes.plot(*curve[-1], "o", color=colour, markersize=4)


def _draw_mean(axes: Axes, rows: Sequence[Fields]) -> None:
    solved = [trial["sequences"] for trial in rows if trial["solved"]]
    label = f"ours: {len(solved)} of {len(rows)} solved"
    if solved:
        mean = float(np.mean(solved))
        axes.axvline(mean, color=style.OURS, linestyle="--", label=f"{label}, mean {mean:,.0f}")
    else:
        axes.plot([], [], color=style.FAILED, label=label)


def _draw_published(axes: Axes, mean: float | None, rate: float | None) -> None:
    """Draw the paper's mean as a line, or its success rate alone in the legend."""
    parts = [] if rate is None else [f"{rate:.0f} % solved"]
    options: style.Options = {"color": style.PAPER, "linestyle": ":", "linewidth": 2}
    if mean is not None:
        label = f"paper: {', '.join([*parts, f'mean {mean:,.0f}'])}"
        axes.axvline(mean, label=label, **options)
    elif parts:
        axes.plot([], [], label=f"paper: {parts[0]}", **options)
