"""Runs one row of the paper's tables: trials, progress, checkpoints, result file and picture."""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from experiments.common.collection import read_result
from experiments.common.files import check_free, keep, make_folder
from experiments.common.interrupt import Interrupted, Stop, heed_signals
from experiments.common.options import Options
from experiments.common.progress import make_progress
from lstm_jax.training import processes
from lstm_jax.training.checkpoints import Checkpoints
from lstm_jax.training.trials import TrialRunner


def prepare(options: Options, rows: list[str]) -> None:
    """Checks all that can be wrong before anything is computed, and makes the output folder.

    Raises:
      ValueError: if an option is wrong or not the same on all processes, or a result exists and
        may not be replaced.
    """
    own = {"out": None, "quiet": None}  # may differ
    processes.check_same("rows and flags", (rows, dataclasses.asdict(options) | own))
    processes.by_first(lambda: _prepare(options, rows))


def _prepare(options: Options, rows: list[str]) -> None:
    options.check()
    if len(set(rows)) < len(rows):
        raise ValueError(f"rows must be distinct, got {','.join(rows)}")
    for row in rows:
        run, path = options.run(row), options.path(row, ".json")
        folder = options.path(row, ".checkpoints")
        if path.exists() and options.resume:
            _check_same_run(path, run)
        check_free(path, options.overwrite or options.resume)
        if newest(folder) is not None and not (options.resume or options.overwrite):
            raise ValueError(
                f"{folder} exists, of a run that was cut off or goes on; --resume continues "
                "it, --overwrite starts afresh"
            )
    make_folder(options.out)


def _check_same_run(path: pathlib.Path, run: dict[str, Any]) -> None:
    """Raises ValueError if the result file is of another run."""
    document = read_result(path)
    found = document | {"trials": len(document["trials"])}
    for name, value in run.items():
        if found.get(name, value) != value:
            raise ValueError(
                f"{path} has {name} {found[name]}, not {value}; --overwrite replaces it"
            )


def newest(folder: pathlib.Path) -> int | None:
    """After how many sequences the newest checkpoint in a folder is; None if there is none."""
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    return max((int(name) for name in names if name.isdecimal()), default=None)


def run_row(row: str, options: Options) -> dict[str, Any]:
    """Runs the trials of `row` and writes its result file and learning curves.

    With `options.resume`, a row that has its result file is not run again. Ctrl-C and SIGTERM end
    the run after a round, with a checkpoint.

    Raises:
      Interrupted: if it was told to end; the words say what --resume will find.
    """
    done = processes.by_first(lambda: _done_before(row, options))
    if done is not None:
        return done
    folder = options.path(row, ".checkpoints")
    try:
        with heed_signals() as stop:
            return _run(row, options, folder, stop)
    except KeyboardInterrupt as error:
        number = getattr(error, "number", signal.SIGINT)
        raise Interrupted(f"interrupted: {row}, {_what_resume_finds(folder)}", number) from error


def _done_before(row: str, options: Options) -> dict[str, Any] | None:
    """The result that the row already has, if it may be kept; its checkpoints are of no use."""
    path, folder = options.path(row, ".json"), options.path(row, ".checkpoints")
    if not (options.resume and path.exists()):
        return None
    shutil.rmtree(folder, ignore_errors=True)  # was cut off just before they were removed
    return read_result(path)


def _run(row: str, options: Options, folder: pathlib.Path, stop: Stop) -> dict[str, Any]:
    run, learning = options.run(row), options.learning(row)
    started = time.monotonic()
    runner = TrialRunner(
        learning,
        range(run["trials"]),
        seed=options.seed,
        mesh=Mesh(np.array(jax.devices()), ("trials",)),
        lanes=options.lanes,
    )
    if options.overwrite:
        with Checkpoints(folder, run) as old:  # raises while another process has them open
            old.remove()
    with Checkpoints(folder, run) as checkpoints, _removed_if_empty(folder):
        if options.resume:
            restored = checkpoints.restore(runner)
            started -= restored.seconds
            for sentence in restored.damaged:
                print(sentence, file=sys.stderr)
        _run_trials(runner, checkpoints, started, row, options, stop)
        document = options.document(row, runner.results(), time.monotonic() - started)
        processes.by_first(lambda: _write(document, row, options))
        checkpoints.remove()
    if stop.is_asked():
        raise Interrupted("", stop.number or signal.SIGINT)
    return document


def _write(document: dict[str, Any], row: str, options: Options) -> None:
    path = options.path(row, ".json")
    keep(path, document, options.draw, overwrite=options.overwrite, quiet=options.quiet)


def _run_trials(
    runner: TrialRunner,
    checkpoints: Checkpoints,
    started: float,
    row: str,
    options: Options,
    stop: Stop,
) -> None:
    """Runs all trials to their end, with progress and checkpoints."""
    saved_at = time.monotonic()
    with contextlib.closing(make_progress(row, options.quiet)) as progress:
        while not runner.finished:
            progress.show(runner.round())
            elapsed = processes.by_first(lambda since=saved_at: time.monotonic() - since)
            is_asked = stop.is_asked()
            if runner.finished:
                return
            if is_asked or elapsed >= options.checkpoint_seconds:
                checkpoints.save(runner, time.monotonic() - started)
                saved_at = time.monotonic()
            if is_asked:
                raise Interrupted("", stop.number or signal.SIGINT)


def _what_resume_finds(folder: pathlib.Path) -> str:
    """In words; of several processes, only the first can know."""
    if not processes.is_first():
        return "the first process knows what --resume will find"
    presented = newest(folder)
    if presented is not None:
        return f"--resume goes on after {presented:,} sequences a trial"
    if folder.with_suffix(".json").exists():
        return "its result is written"
    return "there is no checkpoint, --resume starts afresh"


@contextlib.contextmanager
def _removed_if_empty(folder: pathlib.Path) -> Iterator[None]:
    """Behind a run that leaves no checkpoint, its folder does not stay either."""
    try:
        yield
    finally:
        if processes.is_first() and folder.is_dir() and newest(folder) is None:
            with contextlib.suppress(OSError):
                folder.rmdir()
