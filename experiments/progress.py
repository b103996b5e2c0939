"""Progress of a run: a live bar on a terminal, plain lines elsewhere, or nothing."""

from __future__ import annotations

import sys
import time
from typing import Protocol

from lstm_jax.training.trials import Progress

SECONDS_BETWEEN_LINES = 15.0


class Meter(Protocol):
    """Shows where a run stands."""

    def __enter__(self) -> Meter: ...

    def __exit__(self, *exception: object) -> None: ...

    def show(self, progress: Progress) -> None:
        """Shows the state after a round."""


def make_progress(title: str, quiet: bool = False) -> Meter:
    """The meter that fits the output."""
    if quiet:
        return _Silent()
    return _Bar(title) if sys.stderr.isatty() else _Lines(title)


def _describe(progress: Progress, rate: float) -> str:
    return (
        f"{progress.presented:,} sequences each, {rate:,.0f}/s in all, "
        f"{progress.solved} solved, training error {progress.error:.4f}"
    )


class _Silent:
    def __enter__(self) -> _Silent:
        return self

    def __exit__(self, *exception: object) -> None:
        pass

    def show(self, progress: Progress) -> None:
        pass


class _Lines(_Silent):
    """A line now and then, for logs."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._started = self._shown = time.monotonic()
        self._first: int | None = None

    def show(self, progress: Progress) -> None:
        now = time.monotonic()
        if self._first is None:
            self._first, self._started = progress.trial_sequences, now
        ended = progress.trials - progress.running
        if now - self._shown < SECONDS_BETWEEN_LINES and progress.running:
            return
        self._shown = now
        rate = (progress.trial_sequences - self._first) / max(now - self._started, 1e-9)
        line = f"{self._title}: {ended}/{progress.trials} trials ended, {_describe(progress, rate)}"
        print(line, file=sys.stderr, flush=True)


class _Bar(_Silent):
    """A bar of trials ended, with the time left."""

    def __init__(self, title: str) -> None:
        from tqdm import tqdm

        self._bar = tqdm(desc=title, unit=" trials", dynamic_ncols=True)
        self._started = time.monotonic()
        self._first: int | None = None

    def __exit__(self, *exception: object) -> None:
        self._bar.close()

    def show(self, progress: Progress) -> None:
        if self._first is None:
            self._first, self._started = progress.trial_sequences, time.monotonic()
        rate = progress.trial_sequences - self._first
        rate /= max(time.monotonic() - self._started, 1e-9)
        self._bar.total = progress.trials
        self._bar.n = progress.trials - progress.running
        self._bar.set_postfix_str(_describe(progress, rate))
