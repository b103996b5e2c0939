"""Scalars of a run for TensorBoard: the training error of each trial, their median, the solved.

A run that goes on writes its file anew, from what its checkpoint knows, so that no point is there
twice. Needs the extra `tensorboard`, which is a writer alone.
"""

from __future__ import annotations

import pathlib
from typing import Any, Protocol

import numpy as np

from experiments.cli.files import make_folder
from lstm_jax.training.host import processes
from lstm_jax.training.trials.records import RunState
from lstm_jax.training.trials.runner import TrialRunner
from lstm_jax.training.trials.training_loop import SOLVED

POINTS = 1000  # of a curve, at most, if a trial uses up its budget
MOST_TRIALS = 100  # that have a curve of their own, the first ones


class Log(Protocol):
    """Takes down where a run stands."""

    def add(self, runner: TrialRunner, solved: int) -> None:
        """After a round, when so many trials are solved."""

    def close(self) -> None:
        """Ends it."""


def check(logdir: pathlib.Path, row: str, may_replace: bool) -> None:
    """Checks, before anything is run, that a row's scalars can be written.

    Raises:
      ImportError: if the writer is not installed.
      ValueError: if there are some already that may not be replaced, or no folder can be made.
    """
    _load_writer()
    if _found(logdir / row) and not may_replace:
        raise ValueError(f"{logdir / row} has scalars of a run; --overwrite replaces them")
    make_folder(logdir, "logdir")


def open_log(folder: pathlib.Path | None, runner: TrialRunner) -> Log:
    """The scalars of a run from its start on, wherever it stands; by the first process alone.

    Args:
      folder: of this run alone, whose older scalars are replaced; None: nothing is written.
      runner: the run, before its first round or as restored.
    """
    if folder is None:
        return _Nothing()
    state = runner.state()  # by all processes
    return _Scalars(folder, runner, state) if processes.is_first_process() else _Nothing()


class _Nothing:
    def add(self, runner: TrialRunner, solved: int) -> None:
        pass

    def close(self) -> None:
        pass


class _Scalars:
    def __init__(self, folder: pathlib.Path, runner: TrialRunner, state: RunState) -> None:
        for path in _found(folder):
            path.unlink()
        self._writer = _load_writer()(logdir=str(folder))
        loop = runner.loop
        self._every = max(1, round(loop.task.max_sequences / POINTS / loop.chunk))
        self._rounds = 0
        is_solved, limit = state.trials.status == SOLVED, loop.task.max_sequences
        for sequences, error, _ in zip(*state.metrics, strict=True):
            num_sequences = min((self._rounds + 1) * loop.chunk, limit)
            solved = np.sum(is_solved & (state.trials.ended_at <= num_sequences))
            with np.errstate(invalid="ignore"):
                errors = np.where(sequences > 0, error / sequences, np.nan)
            self._add(num_sequences, errors, int(solved), is_last=False)

    def add(self, runner: TrialRunner, solved: int) -> None:
        self._add(runner.num_sequences, runner.errors, solved, is_last=runner.finished)

    def close(self) -> None:
        self._writer.close()

    def _add(self, num_sequences: int, errors: np.ndarray, solved: int, is_last: bool) -> None:
        """A point of every curve, where it is due; a trial that has ended has no more."""
        self._rounds += 1
        if self._rounds % self._every and not is_last:
            return
        self._writer.add_scalar("solved_trials", solved, num_sequences)
        if np.isfinite(errors).any():
            self._writer.add_scalar("training_error/median", np.nanmedian(errors), num_sequences)
        for i, error in enumerate(errors[:MOST_TRIALS]):
            if np.isfinite(error):
                self._writer.add_scalar(f"training_error_of_trial/{i}", error, num_sequences)


def _found(folder: pathlib.Path) -> list[pathlib.Path]:
    return sorted(folder.glob("events.out.tfevents.*"))


def _load_writer() -> Any:
    try:
        from tensorboardX import SummaryWriter
    except ImportError as error:
        told = "--logdir needs tensorboardX: pip install 'lstm_jax[tensorboard]'"
        raise ImportError(told) from error
    return SummaryWriter
