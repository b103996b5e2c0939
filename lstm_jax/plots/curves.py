"""Learning curves: the training error of every trial, and the paper's number beside ours."""

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
    """Draws the mean absolute training error of every trial against the sequences presented.

    A solved trial's line ends in a dot, an unsolved one's is grey. Upright lines are the mean
    number of sequences of the solved trials, and the paper's.

    >>> curve = [[1000, 0.5, 1.0], [2000, 0.1, 0.0]]  # sequences, mean error, fraction wrong
    >>> trial = {"index": 0, "solved": True, "sequences": 2000, "curve": curve}
    >>> published = {"mean_sequences": 3000, "success_rate": 100.0}
    >>> figure = learning_curves({"trials": [trial], "published": published}, title="my run")
    >>> figure.axes[0].get_title()
    'my run'

    Args:
      trials: what `TrialRunner` returns, or the document of a result file.
      title: above the picture; None: what the document says, or nothing.
      published_mean: the paper's mean number of sequences; None: what the document says.
      published_rate: the paper's percentage of solved trials; None: what the document says.

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
    _draw_means(axes, rows, published_mean, published_rate)
    axes.set(xlabel="training sequences", ylabel="mean absolute training error", ylim=(0, None))
    axes.set_title(textwrap.fill(title or "", 80))
    style.with_thousands(axes)
    style.add_legend(figure, loc="outside lower center", ncols=2)
    return figure


def compare_trials(groups: Mapping[str, Sequence[TrialResult]]) -> Figure:
    """Draws the learning curves of several groups of trials side by side, on the same axes.

    >>> figure = compare_trials({"memory cells": [], "conventional net": []})
    >>> [axes.get_title() for axes in figure.axes]
    ['memory cells: 0 of 0 solved', 'conventional net: 0 of 0 solved']

    Args:
      groups: the trials of each name, as `TrialRunner` returns them.

    Returns:
      The figure; above each panel is how many are solved, unsolved trials are grey.

    Raises:
      ValueError: if there is no group.
    """
    if not groups:
        raise ValueError("groups must hold at least one group of trials, got none")
    figure, places = style.new_figure(
        4.5 * len(groups), 3.2, columns=len(groups), sharex=True, sharey=True
    )
    for axes, (name, trials) in zip(places, groups.items(), strict=True):
        for trial in trials:
            _draw_trial(axes, vars(trial))
        solved = sum(trial.solved for trial in trials)
        axes.set(title=f"{name}: {solved} of {len(trials)} solved", xlabel="training sequences")
    for axes in places:
        style.with_thousands(axes)
    places[0].set(ylabel="mean absolute training error", ylim=(0, None))
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


def _draw_means(
    axes: Axes,
    rows: Sequence[Fields],
    published_mean: float | None,
    published_rate: float | None,
) -> None:
    """The upright lines, and a legend that says what became of the trials, here and there."""
    solved = [trial["sequences"] for trial in rows if trial["solved"]]
    told = f"ours: {len(solved)} of {len(rows)} solved"
    if solved:
        mean = float(np.mean(solved))
        axes.axvline(mean, color=style.OURS, linestyle="--", label=f"{told}, mean {mean:,.0f}")
    else:
        axes.plot([], [], color=style.FAILED, label=told)
    paper = "paper: " if published_rate is None else f"paper: {published_rate:.0f} % solved, "
    if published_mean is not None:
        told = f"{paper}mean {published_mean:,.0f}"
        axes.axvline(published_mean, color=style.PAPER, linestyle=":", linewidth=2, label=told)
    elif published_rate is not None:
        axes.plot([], [], color=style.PAPER, linestyle=":", label=paper.rstrip(", "))
