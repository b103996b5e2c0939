"""A learning curve that grows in a notebook while trials run."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from lstm_jax.plots import style
from lstm_jax.training.trials.runner import Progress

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SECONDS_BETWEEN_UPDATES = 0.5


class LiveCurve:
    """The training error and the number of solved trials, redrawn after every chunk.

        live = LiveCurve("6a")
        results = TrialRunner(loop, range(20)).run(on_chunk=live.show)

    >>> from lstm_jax.training.trials.runner import Progress
    >>> live = LiveCurve("one chunk")
    >>> live.show(Progress(1000, 3000, trials=3, running=2, solved=1, error=0.25))
    >>> [axes.get_ylabel() != "" for axes in live.draw().axes]
    [True, True]

    In a notebook the figure is displayed below the cell and updated in place. Elsewhere nothing is
    displayed, and `draw` returns the figure.
    """

    def __init__(self, title: str = "") -> None:
        """Start with no points.

        Args:
          title: title of the figure.
        """
        self._title = title
        self._points: list[Progress] = []
        self._handle: Any = None  # IPython's display handle
        self._updated = -SECONDS_BETWEEN_UPDATES

    def show(self, progress: Progress) -> None:
        """Add a chunk, and update the figure at most twice a second."""
        self._points.append(progress)
        now = time.monotonic()
        if now - self._updated >= SECONDS_BETWEEN_UPDATES or not progress.running:
            self._updated = now
            self._update()

    def draw(self) -> Figure:
        """Draw the chunks so far: the error above, the solved trials below."""
        figure, (above, below) = style.new_figure(
            7.5, 4.2, rows=2, sharex=True, height_ratios=(3, 1)
        )
        sequences = [point.num_sequences for point in self._points]
        above.plot(sequences, [point.error for point in self._points], color=style.OURS)
        above.set(title=style.literal(self._title), ylabel="mean training error", ylim=(0, None))
        below.step(sequences, [p.solved for p in self._points], where="post", color=style.GREEN)
        trials = self._points[-1].trials if self._points else 1
        below.set_ylabel(f"solved of {trials}")
        below.set(xlabel="training sequences", ylim=(0, 1.05 * trials))
        style.format_counts(below)
        return figure

    def _update(self) -> None:
        display = _notebook_display()
        if display is None:
            return
        if self._handle is None:
            self._handle = display(self.draw(), display_id=True)
        else:
            self._handle.update(self.draw())


def _notebook_display() -> Callable | None:
    """Return IPython's `display` in a notebook, None elsewhere."""
    try:
        from IPython import get_ipython  # type: ignore[import-not-found]
        from IPython.display import display  # type: ignore[import-not-found]
    except ImportError:
        return None
    return display if hasattr(get_ipython(), "kernel") else None
