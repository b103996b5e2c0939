"""Progress of a run: a live bar on a terminal or in a notebook, plain lines elsewhere, or none."""

from __future__ import annotations

import sys
import time
from typing import Protocol

from lstm_jax.training.runs.progress import Bar, Speed, describe
from lstm_jax.training.trials.runner import Progress

SECONDS_BETWEEN_LINES = 15.0


class Meter(Protocol):
    """Shows where a run stands."""

    def show(self, progress: Progress) -> None:
        """Shows the state after a round."""

    def close(self) -> None:
        """Ends the display, wherever the run stands."""


def make_progress(title: str, quiet: bool = False) -> Meter:
    """The meter that fits the output."""
    if quiet:
        return _Silent()
    return Bar(title) if sys.stderr.isatty() or _in_notebook() else _Lines(title)


def _in_notebook() -> bool:
    ipython = sys.modules.get("IPython")
    return ipython is not None and hasattr(ipython.get_ipython(), "kernel")


class _Silent:
    def show(self, progress: Progress) -> None:
        pass

    def close(self) -> None:
        pass


class _Lines(_Silent):
    """A line now and then, for logs."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._displayed = time.monotonic()
        self._speed = Speed()

    def show(self, progress: Progress) -> None:
        rate, now = self._speed.rate(progress), time.monotonic()
        if now - self._displayed < SECONDS_BETWEEN_LINES and progress.running:
            return
        self._displayed = now
        ended = f"{progress.trials - progress.running}/{progress.trials} trials ended"
        print(
            f"{self._title}: {ended}, {describe(progress)}, {rate:,.0f} seq/s",
            file=sys.stderr,
            flush=True,
        )
