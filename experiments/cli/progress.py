"""Progress of a run: a bar on a terminal or in a notebook, otherwise lines."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator

from lstm_jax.training.runs.progress import Bar, Speed, describe
from lstm_jax.training.trials.records import Progress

SECONDS_BETWEEN_LINES = 15.0


@contextlib.contextmanager
def display_progress(title: str, quiet: bool = False) -> Iterator[Callable[[Progress], None]]:
    """Display the progress of a run on standard error, in the way that fits the output.

    Yields:
      A function to be called after every chunk.
    """
    if quiet:
        yield lambda progress: None
    elif sys.stderr.isatty() or _in_notebook():
        with Bar(title) as bar:
            yield bar.show
    else:
        yield _Lines(title).show


def _in_notebook() -> bool:
    ipython = sys.modules.get("IPython")
    return ipython is not None and hasattr(ipython.get_ipython(), "kernel")


class _Lines:
    """A line every 15 seconds and at the end, for logs."""

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
