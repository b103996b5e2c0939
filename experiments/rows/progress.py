"""Progress of a run: a bar in a terminal or notebook, otherwise lines; scalars for TensorBoard.

Scalars are the training error of each trial, their median, and the number of solved trials. A
resumed run writes their file anew from its checkpoint, so that no point occurs twice. They need
the extra `tensorboard`.
"""

from __future__ import annotations

import contextlib
import pathlib
import sys
import time
from collections.abc import Callable, Iterator

import numpy as np

from experiments.cli.command import import_extra
from experiments.cli.files import make_folder
from lstm_jax import TrialRunner, processes
from lstm_jax.training.runs.progress import Bar, CountBar, Speed, describe
from lstm_jax.training.trials.records import Progress
from lstm_jax.training.trials.training_loop import SOLVED

SECONDS_BETWEEN_LINES = 15.0
MAX_POINTS = 1000  # of a curve in TensorBoard
MAX_TRIALS = 100  # the first trials, which have a curve each
EVENTS = "events.out.tfevents.*"  # TensorBoard's files

OnChunk = Callable[[Progress], None]  # called after every chunk


@contextlib.contextmanager
def display_progress(title: str, quiet: bool = False) -> Iterator[OnChunk]:
    """Display the progress of a run on standard error: a bar, or a line now and then for logs."""
    if quiet:
        yield lambda progress: None
        return
    if _has_bars():
        with Bar(title) as bar:
            yield bar.show
        return
    speed, displayed = Speed(), time.monotonic()

    def show(progress: Progress) -> None:
        nonlocal displayed
        rate, now = speed.rate(progress), time.monotonic()
        if now - displayed < SECONDS_BETWEEN_LINES and progress.running:
            return
        displayed = now
        ended = f"{progress.trials - progress.running}/{progress.trials} trials ended"
        line = f"{title}: {ended}, {describe(progress)}, {rate:,.0f} seq/s"
        print(line, file=sys.stderr, flush=True)

    yield show


@contextlib.contextmanager
def count_trials(title: str, total: int, quiet: bool = False) -> Iterator[Callable[[], None]]:
    """Display how many of `total` trials have ended, in the same way; call it after each of them.

    For trials that run one after the other, by `fit`.
    """
    ended, displayed = 0, time.monotonic()
    with contextlib.ExitStack() as stack:
        is_bar = not quiet and _has_bars()
        bar = stack.enter_context(CountBar(title, total)) if is_bar else None

        def count() -> None:
            nonlocal ended, displayed
            ended += 1
            if bar is not None:
                bar.show(ended)
            elif not quiet and time.monotonic() - displayed >= SECONDS_BETWEEN_LINES:
                displayed = time.monotonic()
                print(f"{title}: {ended}/{total} trials ended", file=sys.stderr, flush=True)

        yield count


def _has_bars() -> bool:
    """Return whether standard error is a terminal or a notebook."""
    ipython = sys.modules.get("IPython")
    is_notebook = ipython is not None and hasattr(ipython.get_ipython(), "kernel")
    return sys.stderr.isatty() or is_notebook


def check_scalars(folder: pathlib.Path, may_replace: bool) -> None:
    """Raise ImportError or ValueError if a row's scalars cannot be written to a folder."""
    import_extra("tensorboardX", "tensorboard", "--logdir")
    if any(folder.glob(EVENTS)) and not may_replace:
        raise ValueError(f"{folder} has scalars of a run; --overwrite replaces them")
    make_folder(folder.parent, "logdir")


@contextlib.contextmanager
def write_scalars(folder: pathlib.Path | None, runner: TrialRunner) -> Iterator[OnChunk]:
    """Write the scalars of a run into a folder, in place of older ones, by the first process.

    The runner is before its first chunk or as restored. Without a folder, nothing is written.
    """
    state = None if folder is None else runner.state()  # which all processes must call
    if folder is None or state is None or not processes.is_first_process():
        yield lambda progress: None
        return
    tensorboard = import_extra("tensorboardX", "tensorboard", "--logdir")
    for path in [*folder.glob(EVENTS)]:
        path.unlink()
    chunk, limit = runner.loop.chunk, runner.loop.task.max_sequences
    interval = max(1, round(limit / MAX_POINTS / chunk))  # chunks per point
    chunks = 0

    def add(errors: np.ndarray, solved: int, is_last: bool = False) -> None:
        """Add a point to every curve where one is due; a trial that has ended gets none."""
        nonlocal chunks
        chunks += 1
        num_sequences = min(chunks * chunk, limit)
        if chunks % interval and not is_last:
            return
        writer.add_scalar("solved_trials", solved, num_sequences)
        if np.isfinite(errors).any():
            writer.add_scalar("training_error/median", np.nanmedian(errors), num_sequences)
        for i in np.flatnonzero(np.isfinite(errors[:MAX_TRIALS])):
            writer.add_scalar(f"training_error_of_trial/{i}", errors[i], num_sequences)

    with contextlib.closing(tensorboard.SummaryWriter(logdir=str(folder))) as writer:
        ended_at = np.where(state.trials.status == SOLVED, state.trials.ended_at, np.inf)
        for sequences, error, _ in zip(*state.metrics, strict=True):  # of chunks before
            with np.errstate(invalid="ignore"):
                errors = np.where(sequences > 0, error / sequences, np.nan)
            add(errors, int(np.sum(ended_at <= min((chunks + 1) * chunk, limit))))
        yield lambda progress: add(runner.errors, progress.solved, not progress.running)
