"""Curves: the training error of trials, also while they run, and error flow against the lag."""

from __future__ import annotations

import sys
import textwrap
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from lstm_jax.network.files import Document
from lstm_jax.plots import style
from lstm_jax.training.trials.runner import Progress, TrialResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SECONDS_BETWEEN_UPDATES = 0.5  # of a live curve
SMALLEST, LARGEST = 1e-20, 1e10  # limits of the axis of error flow


def learning_curves(
    trials: Sequence[TrialResult] | Document,
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
      trials: the results of a `TrialRunner`, or a result file as read by
        `lstm_jax.training.runs.result_file.read_result`.
      title: title of the figure (default: from the file).
      published_mean: the paper's mean number of sequences (default: from the file).
      published_rate: the paper's percentage of solved trials (default: from the file).

    Raises:
      ValueError: if there are no trials.
    """
    if isinstance(trials, Mapping):
        rows, published = trials["trials"], trials["published"]
        if title is None:
            suffix = "" if trials["recipe"] == "paper" else f", recipe {trials['recipe']}"
            title = f"{trials['task']}: {trials['title']}{suffix}"
        published_mean = published_mean or published["mean_sequences"]
        published_rate = published_rate or published["success_rate"]
    else:
        rows = [vars(result) for result in trials]
    if not rows:
        raise ValueError("trials must hold at least one trial, got none")
    figure, (axes,) = style.new_figure(7.5, 4.2)
    for trial in rows:
        _draw_trial(axes, trial)
    solved = [trial["sequences"] for trial in rows if trial["solved"]]
    mean, colour = (float(np.mean(solved)), style.OURS) if solved else (None, style.FAILED)
    label = f"ours: {len(solved)} of {len(rows)} solved"
    _draw_mean(axes, label, mean, {"color": colour, "linestyle": "--"})
    if published_mean is not None or published_rate is not None:
        label = "paper" if published_rate is None else f"paper: {published_rate:.0f} % solved"
        dots = {"color": style.PAPER, "linestyle": ":", "linewidth": 2}
        _draw_mean(axes, label, published_mean, dots)
    axes.set(xlabel="training sequences", ylabel="mean absolute training error", ylim=(0, None))
    axes.set_title(style.literal(textwrap.fill(title or "", 80)))
    style.format_counts(axes)
    style.add_legend(figure, loc="outside lower center", ncols=2)
    return figure


def compare_trials(groups: Mapping[str, Sequence[TrialResult]]) -> Figure:
    """Draw the learning curves of several groups of trials, one panel each with the same axes.

    >>> figure = compare_trials({"memory cells": [], "conventional net": []})
    >>> [axes.get_title() for axes in figure.axes]
    ['memory cells: 0 of 0 solved', 'conventional net: 0 of 0 solved']

    Args:
      groups: the results of a `TrialRunner` by name.

    Raises:
      ValueError: if `groups` is empty.
    """
    if not groups:
        raise ValueError("groups must hold at least one group of trials, got none")
    size = (4.5 * len(groups), 3.2)
    figure, panels = style.new_figure(*size, columns=len(groups), sharex=True, sharey=True)
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


def _draw_trial(axes: Axes, trial: Document) -> None:
    curve = np.array([point[:2] for point in trial["curve"]], np.float64).reshape(-1, 2)
    colour = style.OURS if trial["solved"] else style.FAILED
    axes.plot(curve[:, 0], curve[:, 1], color=colour, linewidth=0.8, alpha=0.6)
    if trial["solved"] and len(curve):
        axes.plot(*curve[-1], "o", color=colour, markersize=4)


def _draw_mean(axes: Axes, label: str, mean: float | None, options: style.Options) -> None:
    if mean is None:
        axes.plot([], [], label=label, **options)
    else:
        axes.axvline(mean, label=f"{label}, mean {mean:,.0f}", **options)


class LiveCurve:
    """The training error and the number of solved trials, redrawn after every chunk.

        live = LiveCurve("6a")
        results = TrialRunner(loop, range(20)).run(on_chunk=live.show)

    >>> live = LiveCurve("one chunk")
    >>> live.show(Progress(1000, 3000, 3, running=2, solved=1, error=0.25, max_sequences=9000))
    >>> [axes.get_ylabel() != "" for axes in live.draw().axes]
    [True, True]

    In a notebook the figure is displayed below the cell and updated in place. Elsewhere nothing is
    displayed, and `draw` returns the figure.
    """

    def __init__(self, title: str = "") -> None:
        self._title = title
        self._points: list[Progress] = []
        self._handle = None  # IPython's display handle
        self._updated = -SECONDS_BETWEEN_UPDATES

    def show(self, progress: Progress) -> None:
        """Add a chunk, and update the figure at most twice a second."""
        self._points.append(progress)
        now = time.monotonic()
        if now - self._updated >= SECONDS_BETWEEN_UPDATES or not progress.running:
            self._updated = now
            display = _notebook_display()
            if display is not None and self._handle is None:
                self._handle = display(self.draw(), display_id=True)
            elif display is not None:
                self._handle.update(self.draw())

    def draw(self) -> Figure:
        """Draw the chunks so far: the error above, the solved trials below."""
        shape = {"rows": 2, "sharex": True, "height_ratios": (3, 1)}
        figure, (above, below) = style.new_figure(7.5, 4.2, **shape)
        sequences = [point.num_sequences for point in self._points]
        above.plot(sequences, [point.error for point in self._points], color=style.OURS)
        above.set(title=style.literal(self._title), ylabel="mean training error", ylim=(0, None))
        below.step(sequences, [p.solved for p in self._points], where="post", color=style.GREEN)
        trials = self._points[-1].trials if self._points else 1
        below.set_ylabel(f"solved of {trials}")
        below.set(xlabel="training sequences", ylim=(0, 1.05 * trials))
        style.format_counts(below)
        return figure


def _notebook_display() -> Callable | None:
    """Return IPython's `display` in a notebook, None elsewhere."""
    ipython = sys.modules.get("IPython")
    in_notebook = ipython is not None and hasattr(ipython.get_ipython(), "kernel")
    return ipython.display.display if in_notebook else None


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
