"""A progress bar of a run, for terminals and notebooks. Needs the extra `progress`."""

from __future__ import annotations

import time
import warnings
from typing import TYPE_CHECKING

from lstm_jax.training.fit import Epoch
from lstm_jax.training.trials.records import Progress

if TYPE_CHECKING:
    from tqdm import tqdm

_EMPTY = "{desc}: compiling"  # until the first chunk, which knows the number of trials
_FORMAT = "{desc}: {percentage:.0f}%|{bar}| {remaining}{postfix}"


class Speed:
    """The speed of a run after its first chunk, which includes compilation."""

    def __init__(self) -> None:
        self._first: tuple[float, int] | None = None

    def rate(self, progress: Progress) -> float:
        """Return the training sequences per second of all trials, since the first call."""
        now = time.monotonic()
        if self._first is None:
            self._first = now, progress.total_sequences
        started, sequences = self._first
        return (progress.total_sequences - sequences) / max(now - started, 1e-9)


def describe(progress: Progress) -> str:
    """Return a summary of the trials, the sequences of each and the training error, in short."""
    sequences = f"{progress.num_sequences:,} seq"
    return f"{progress.solved} solved, {sequences}, err {progress.error:.3f}"


def _make_bar(title: str) -> tqdm:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a notebook without widgets gets a bar of text
        from tqdm.auto import tqdm

    return tqdm(desc=title, bar_format=_EMPTY, dynamic_ncols=True)


def _in_short(progress: Progress) -> str:
    """Return the summary of a bar, of at most 35 characters for up to 100 trials."""
    from tqdm.auto import tqdm

    sequences = tqdm.format_sizeof(progress.num_sequences)
    return f"{progress.solved}/{progress.trials} solved, {sequences} seq, err {progress.error:.3f}"


class Bar:
    """A progress bar of the sequences of a trial, with the most time left; in a notebook, a widget.

    with Bar("6a") as bar:
        runner.run(on_chunk=bar.show)
    """

    def __init__(self, title: str = "trials") -> None:
        self._bar = _make_bar(title)

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, *exception: object) -> None:
        self._bar.close()

    def show(self, progress: Progress) -> None:
        """Display the state after a chunk; an `on_chunk` of `TrialRunner.run`."""
        self._bar.bar_format = _FORMAT
        self._bar.total = progress.max_sequences
        self._bar.n = progress.num_sequences if progress.running else progress.max_sequences
        self._bar.set_postfix_str(_in_short(progress))
        if not progress.running:
            self._bar.close()


class CountBar:
    """A progress bar of trials that run one after the other; in a notebook, a widget.

    with CountBar("trials", 20) as bar:
        for trial in range(20):
            bar.show(trial + 1)
    """

    def __init__(self, title: str, total: int) -> None:
        self._bar = _make_bar(title)
        self._bar.bar_format, self._bar.total = _FORMAT, total
        self.show(0)

    def __enter__(self) -> CountBar:
        return self

    def __exit__(self, *exception: object) -> None:
        self._bar.close()

    def show(self, done: int) -> None:
        """Display that `done` trials have ended."""
        self._bar.n = done
        self._bar.set_postfix_str(f"{done}/{self._bar.total}")


class EpochBar:
    """A progress bar of the epochs of `fit`; in a notebook, a widget.

    with EpochBar() as bar:
        fit(..., on_epoch=bar.show)
    """

    def __init__(self, title: str = "epochs") -> None:
        self._bar = _make_bar(title)

    def __enter__(self) -> EpochBar:
        return self

    def __exit__(self, *exception: object) -> None:
        self._bar.close()

    def show(self, epoch: Epoch, state: object) -> None:
        """Display the epoch; an `on_epoch` of `fit`."""
        del state
        self._bar.bar_format = _FORMAT
        self._bar.total, self._bar.n = epoch.epochs, epoch.epoch
        done = f"{epoch.epoch}/{epoch.epochs}"
        self._bar.set_postfix_str(f"{done}, loss {epoch.loss:.3g}, best {epoch.best_score:.3g}")
