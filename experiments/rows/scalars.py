"""Scalars for TensorBoard: training error per trial, their median, number of solved trials.

A resumed run writes its file anew from its checkpoint, so that no point is there twice. Needs the
extra `tensorboard`.
"""

from __future__ import annotations

import contextlib
import pathlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from experiments.cli.files import make_folder
from lstm_jax.training.host import processes
from lstm_jax.training.trials.records import Progress, RunState
from lstm_jax.training.trials.runner import TrialRunner
from lstm_jax.training.trials.training_loop import SOLVED, TrainingLoop

MAX_POINTS = 1000  # of a curve
MAX_TRIALS = 100  # the first trials, which have a curve each


def check(folder: pathlib.Path, may_replace: bool) -> None:
    """Check, before anything is run, that a row's scalars can be written.

    Args:
      folder: the row's folder in that of --logdir.
      may_replace: whether scalars of an earlier run may be replaced.

    Raises:
      ImportError: if the writer is not installed.
      ValueError: if there are scalars that may not be replaced, or no folder can be made.
    """
    _load_writer()
    if _event_files(folder) and not may_replace:
        raise ValueError(f"{folder} has scalars of a run; --overwrite replaces them")
    make_folder(folder.parent, "logdir")


@contextlib.contextmanager
def open_log(
    folder: pathlib.Path | None, runner: TrialRunner
) -> Iterator[Callable[[Progress], None]]:
    """Open the scalars of a run; the first process alone writes them.

    Args:
      folder: the folder of this run, whose older scalars are replaced; None: nothing is written.
      runner: the run, before its first chunk or as restored.

    Yields:
      A function to be called after every chunk.
    """
    state = None if folder is None else runner.state()  # which all processes must call
    if folder is None or state is None or not processes.is_first_process():
        yield lambda progress: None
        return
    for path in _event_files(folder):
        path.unlink()
    with contextlib.closing(_load_writer()(logdir=str(folder))) as writer:
        curves = _Curves(writer, runner.loop)
        curves.add_all(state)
        yield lambda progress: curves.add(
            progress.num_sequences,
            runner.errors,
            progress.solved,
            is_last=not progress.running,
        )


class _Curves:
    def __init__(self, writer: Any, loop: TrainingLoop) -> None:
        self._writer = writer
        self._limit, self._chunk = loop.task.max_sequences, loop.chunk
        self._chunks_per_point = max(1, round(self._limit / MAX_POINTS / self._chunk))
        self._chunks = 0

    def add_all(self, state: RunState) -> None:
        """Add the points of the chunks before a checkpoint."""
        is_solved = state.trials.status == SOLVED
        for sequences, error, _ in zip(*state.metrics, strict=True):
            num_sequences = min((self._chunks + 1) * self._chunk, self._limit)
            solved = np.sum(is_solved & (state.trials.ended_at <= num_sequences))
            with np.errstate(invalid="ignore"):
                errors = np.where(sequences > 0, error / sequences, np.nan)
            self.add(num_sequences, errors, int(solved), is_last=False)

    def add(self, num_sequences: int, errors: np.ndarray, solved: int, is_last: bool) -> None:
        """Add a point to every curve where one is due; a trial that has ended gets none."""
        self._chunks += 1
        if self._chunks % self._chunks_per_point and not is_last:
            return
        self._writer.add_scalar("solved_trials", solved, num_sequences)
        if np.isfinite(errors).any():
            self._writer.add_scalar("training_error/median", np.nanmedian(errors), num_sequences)
        for i, error in enumerate(errors[:MAX_TRIALS]):
            if np.isfinite(error):
                self._writer.add_scalar(f"training_error_of_trial/{i}", error, num_sequences)


def _event_files(folder: pathlib.Path) -> list[pathlib.Path]:
    return sorted(folder.glob("events.out.tfevents.*"))


def _load_writer() -> Any:
    try:
        from tensorboardX import SummaryWriter
    except ImportError as error:
        message = "--logdir needs tensorboardX: pip install 'lstm_jax[tensorboard]'"
        raise ImportError(message) from error
    return SummaryWriter
