"""A bar of a run's progress, for terminals and notebooks; needs the extra `progress`."""

from __future__ import annotations

import time
import warnings
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lstm_jax.training.trials.runner import Progress


class Speed:
    """How fast a run goes; its first round, in which it is compiled, does not count."""

    def __init__(self) -> None:
        self._first: tuple[float, int] | None = None

    def rate(self, progress: Progress) -> float:
        """Training sequences a second, of all trials, since the first call."""
        now = time.monotonic()
        if self._first is None:
            self._first = now, progress.total_sequences
        started, sequences = self._first
        return (progress.total_sequences - sequences) / max(now - started, 1e-9)


def describe(progress: Progress, rate: float) -> str:
    """Where a run stands, in words."""
    return (
        f"{progress.num_sequences:,} sequences each, {rate:,.0f}/s in all, "
        f"{progress.solved} solved, training error {progress.error:.4f}"
    )


class Bar:
    """A bar of the trials that have ended, with the time left.

        with Bar("6a") as bar:
            runner.run(on_round=bar.show)

    In a notebook it is the notebook's own widget.
    """

    def __init__(self, title: str = "") -> None:
        """Shows an empty bar.

        Args:
          title: before the bar.

        Raises:
          ImportError: if tqdm is not installed.
        """
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a notebook without widgets gets a bar of text
            from tqdm.auto import tqdm

        self._bar = tqdm(desc=title or None, unit=" trials", dynamic_ncols=True)
        self._speed = Speed()

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def show(self, progress: Progress) -> None:
        """Shows the state after a round; to be given to `TrialRunner.run` as `on_chunk`."""
        self._bar.total = progress.trials
        self._bar.n = progress.trials - progress.running
        self._bar.set_postfix_str(describe(progress, self._speed.rate(progress)))
        if not progress.running:
            self.close()

    def close(self) -> None:
        """Leaves the bar as it is; by itself after the last round."""
        self._bar.close()
