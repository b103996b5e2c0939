"""Runs one row of the paper's tables: trials, progress, checkpoints, result file and picture."""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
import signal
import sys
import time

import jax
import numpy as np
from jax.sharding import Mesh

from experiments.cli.files import check_free, keep, make_folder
from experiments.cli.interrupt import Interrupted
from experiments.cli.progress import make_progress
from experiments.rows import scalars
from experiments.rows.options import Options
from lstm_jax.network.files import Document
from lstm_jax.training.host import processes
from lstm_jax.training.host.interrupts import Interrupts, defer_signals
from lstm_jax.training.runs.checkpoints import Checkpoints, check_unused, discard
from lstm_jax.training.trials.runner import TrialRunner


def prepare(options: Options, rows: list[str]) -> None:
    """Checks all that can be wrong before anything is computed, and makes the output folder.

    Raises:
      ValueError: if an option is wrong or not the same on all processes, or a result exists and
        may not be replaced.
    """
    # Folders may differ, but not whether there is one, since scalars are gathered from all.
    own = {"out": None, "quiet": None, "logdir": options.logdir is not None}
    processes.check_same("rows and flags", (rows, dataclasses.asdict(options) | own))
    processes.on_first_process(lambda: _prepare(options, rows))


def _prepare(options: Options, rows: list[str]) -> None:
    options.check()
    if len(set(rows)) < len(rows):
        raise ValueError(f"rows must be distinct, got {','.join(rows)}")
    for row in rows:
        run, path = options.run(row), options.path(row, ".json")
        folder = options.path(row, ".checkpoints")
        if path.exists() and options.resume:
            _check_same_run(path, options.read(path), run)
            if _is_newer(folder, path):
                raise ValueError(
                    f"{path} is older than {folder}: --resume goes on once it is moved"
                )
        check_free(path, options.overwrite or options.resume)
        check_unused(folder)
        if newest(folder) is not None and not (options.resume or options.overwrite):
            raise ValueError(
                f"{folder} exists, of a run that was cut off or goes on; --resume continues "
                "it, --overwrite starts afresh"
            )
        if options.logdir is not None:
            scalars.check(options.logdir, options.label(row), options.overwrite or options.resume)
    make_folder(options.out)


def _check_same_run(path: pathlib.Path, document: Document, run: Document) -> None:
    """Raises ValueError if the result file is of another run."""
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


def _is_newer(folder: pathlib.Path, path: pathlib.Path) -> bool:
    """Whether the checkpoints in a folder came after a result: a run that was to replace it."""
    num_sequences = newest(folder)
    return num_sequences is not None and (
        (folder / str(num_sequences)).stat().st_mtime > path.stat().st_mtime
    )


def run_row(row: str, options: Options) -> Document:
    """Runs the trials of `row` and writes its result file and learning curves.

    With `options.resume`, a row that has its result file is not run again. Ctrl-C and SIGTERM end
    the run after a round, with a checkpoint.

    Raises:
      Interrupted: if it was told to end; the words say what --resume will find.
      ValueError: if another process has the row's checkpoints open.
    """
    done = processes.on_first_process(lambda: _left_behind(row, options))
    if done is not None:
        return done
    interrupts = None
    try:
        with defer_signals() as interrupts:
            return _run(row, options, interrupts)
    except KeyboardInterrupt as error:
        number = getattr(error, "number", interrupts and interrupts.signal) or signal.SIGINT
        found = _what_resume_finds(options, row)
        raise Interrupted(f"interrupted: {row}, {found}", number) from error


def _left_behind(row: str, options: Options) -> Document | None:
    """The result that the row already has, if it may be kept; removes checkpoints of no use."""
    path = options.path(row, ".json")
    is_done = options.resume and path.exists()  # was cut off just before they were removed
    if is_done or options.overwrite:
        discard(options.path(row, ".checkpoints"))
    return options.read(path) if is_done else None


def _run(row: str, options: Options, interrupts: Interrupts) -> Document:
    run, loop = options.run(row), options.loop(row)
    started = time.monotonic()
    with Checkpoints(options.path(row, ".checkpoints"), run) as checkpoints:
        runner = TrialRunner(
            loop,
            range(run["trials"]),
            seed=options.seed,
            mesh=Mesh(np.array(jax.devices()), ("trials",)),
            batch_size=options.batch_size,
        )
        if options.resume:
            restored = checkpoints.restore(runner)
            started -= restored.seconds
            for sentence in restored.damaged:
                print(sentence, file=sys.stderr)
        _run_trials(runner, checkpoints, started, row, options, interrupts)
        document = options.document(row, runner.results(), time.monotonic() - started)
        kept = processes.on_first_process(lambda: _write(document, row, options))
        checkpoints.remove()
    if interrupts.requested():
        raise KeyboardInterrupt
    return processes.on_first_process(lambda: options.read(kept))


def _write(document: Document, row: str, options: Options) -> pathlib.Path:
    path = options.path(row, ".json")
    return keep(path, document, options.draw, overwrite=options.overwrite, quiet=options.quiet)


def _run_trials(
    runner: TrialRunner,
    checkpoints: Checkpoints,
    started: float,
    row: str,
    options: Options,
    interrupts: Interrupts,
) -> None:
    """Runs all trials to their end, with progress and checkpoints."""
    saved_at = time.monotonic()
    with (
        contextlib.closing(make_progress(row, options.quiet)) as progress,
        contextlib.closing(scalars.open_log(options.log_folder(row), runner)) as log,
    ):
        while not runner.finished:
            state = runner.run_chunk()
            progress.show(state)
            log.add(runner, state.solved)
            elapsed = processes.on_first_process(lambda since=saved_at: time.monotonic() - since)
            is_to_end = interrupts.requested() and not runner.finished
            if is_to_end or elapsed >= options.checkpoint_seconds:
                checkpoints.save(runner, time.monotonic() - started)
                saved_at = time.monotonic()
            if is_to_end:
                raise KeyboardInterrupt


def _what_resume_finds(options: Options, row: str) -> str:
    """In words; of several processes, only the first can know."""
    if not processes.is_first_process():
        return "the first process says what --resume will find"
    path, num_sequences = options.path(row, ".json"), newest(options.path(row, ".checkpoints"))
    if num_sequences is not None and path.exists():
        return f"once the old {path} is moved, --resume goes on after {num_sequences:,} sequences"
    if num_sequences is not None:
        return f"--resume goes on after {num_sequences:,} sequences a trial"
    if path.exists():
        return "which has its old result" if options.overwrite else "which has its result"
    return "of which there is no checkpoint: --resume starts afresh"
