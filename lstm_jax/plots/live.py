"""A learning curve that grows while trials run, for notebooks."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from lstm_jax.plots import style
from lstm_jax.training.trials.runner import Progress

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SECONDS_BETWEEN_PICTURES = 0.5


class LiveCurve:
    """The training error and the solved trials so far, drawn again after every round.

        live = LiveCurve("6a")
        results = TrialRunner(learning, range(20)).run(on_round=live.show)

    >>> from lstm_jax.training.trials.runner import Progress
    >>> live = LiveCurve("a round")
    >>> live.show(Progress(1000, 3000, trials=3, running=2, solved=1, error=0.25))
    >>> [axes.get_ylabel() != "" for axes in live.draw().axes]
    [True, True]

    In a notebook the picture stands under the cell and grows; elsewhere nothing is shown, and
    `draw` gives the figure.
    """

    def __init__(self, title: str = "") -> None:
        """Starts with no points.

        Args:
          title: above the picture.
        """
        self._title = title
        self._points: list[Progress] = []
        self._display: Any = None  # IPython's handle of what stands under the cell
        self._displayed = -SECONDS_BETWEEN_PICTURES

    def show(self, progress: Progress) -> None:
        """Adds a round, and shows the picture if the last one is half a second old."""
        self._points.append(progress)
        now = time.monotonic()
        if now - self._displayed >= SECONDS_BETWEEN_PICTURES or not progress.running:
            self._displayed = now
            self._update()

    def _update(self) -> None:
        display = _notebook_display()
        if display is None:
            return
        if self._display is None:
            self._display = display(self.draw(), display_id=True)
        else:
            self._display.update(self.draw())

    def draw(self) -> Figure:
        """The rounds so far: the error above, the trials solved below."""
        figure, (above, below) = style.new_figure(
            7.5, 4.2, rows=2, sharex=True, height_ratios=(3, 1)
        )
        num_sequences = [point.num_sequences for point in self._points]
        above.plot(num_sequences, [point.error for point in self._points], color=style.OURS)
        above.set(title=self._title, ylabel="mean training error", ylim=(0, None))
        below.step(num_sequences, [p.solved for p in self._points], where="post", color=style.GREEN)
        most = self._points[-1].trials if self._points else 1
        below.set(xlabel="training sequences", ylabel=f"solved of {most}", ylim=(0, 1.05 * most))
        style.with_thousands(below)
        return figure


def _notebook_display() -> Callable | None:
    """IPython's `display`, if this runs in a notebook."""
    try:
        from IPython import get_ipython  # type: ignore[import-not-found]
        from IPython.display import display  # type: ignore[import-not-found]
    except ImportError:
        return None
    shell = get_ipython()
    return display if hasattr(shell, "kernel") else None
