"""The run of a row: checks, trials with progress and checkpoints, result file and picture."""

from __future__ import annotations

import dataclasses
import pathlib
import signal
import sys
import time
from collections.abc import Sequence

import jax
import numpy as np
from jax.sharding import Mesh

from experiments.cli.files import check_free, make_folder, save_result
from experiments.rows.progress import check_scalars, display_progress, write_scalars
from experiments.rows.row import Row
from lstm_jax.network.files import Document
from lstm_jax.training.host import processes
from lstm_jax.training.host.interrupts import Interrupted, Interrupts, defer_signals
from lstm_jax.training.runs.checkpoints import Checkpoints, check_unused, differences, discard
from lstm_jax.training.runs.loop import run_trials
from lstm_jax.training.trials.records import Progress
from lstm_jax.training.trials.runner import TrialRunner

ENDING = "ending after this chunk; press Ctrl-C again to end now"


def prepare(rows: Sequence[Row]) -> None:
    """Check all that can be wrong before anything is computed, and make the output folder.

    Raises:
      ValueError: if the rows or options, which all rows share, are not the same on all processes,
        two rows are the same, a file exists that may not be replaced, or is not one of this run.
    """
    # Folders may differ between processes, but scalars need all processes or none.
    options = dataclasses.replace(rows[0].options, quiet=False)
    flags = dataclasses.asdict(options) | {"out": None, "logdir": options.logdir is not None}
    processes.check_same("rows and flags", ([row.fingerprint() for row in rows], flags))
    processes.on_first_process(lambda: _prepare(rows))


def _prepare(rows: Sequence[Row]) -> None:
    names = [row.name for row in rows]
    if len(set(names)) < len(names):
        raise ValueError(f"rows must be distinct, got {','.join(names)}")
    for row in rows:
        may_replace = row.options.resume or row.options.overwrite
        if row.options.resume and row.result.exists():
            _check_is_of_this_run(row)
        check_free(row.result, may_replace)
        check_unused(row.checkpoints)
        if newest(row.checkpoints) is not None and not may_replace:
            raise ValueError(
                f"{row.checkpoints} exists, of an interrupted run; --resume continues it, "
                "--overwrite starts afresh"
            )
        if row.log_folder is not None:
            check_scalars(row.log_folder, may_replace)
    make_folder(rows[0].options.out)


def _check_is_of_this_run(row: Row) -> None:
    document, run = row.read(row.result), row.fingerprint()
    document |= {"trials": len(document["trials"])}
    found = {name: document.get(name, value) for name, value in run.items()}
    if found != run:
        raise ValueError(
            f"{row.result} differs in {differences(found, run)}; --overwrite replaces it"
        )
    saved = newest(row.checkpoints)  # of a run that was to replace the result, if newer
    if saved is not None and saved.stat().st_mtime > row.result.stat().st_mtime:
        raise ValueError(
            f"{row.result} is older than {row.checkpoints}: move it, then --resume continues"
        )


def newest(folder: pathlib.Path) -> pathlib.Path | None:
    """Return the newest checkpoint in a folder, named by its number of sequences, if any."""
    paths = [path for path in folder.glob("*") if path.name.isdecimal()]
    return max(paths, key=lambda path: int(path.name), default=None)


def run_row(row: Row) -> Document:
    """Run the trials of a row, and write its result file and its picture.

    With --resume, a row that has its result file is not run again. Ctrl-C and SIGTERM end the run
    after the current chunk, with a checkpoint.

    Raises:
      Interrupted: if a signal ended the run; the message says what --resume will find.
      ValueError: if another process has the row's checkpoints open.
    """
    finished = processes.on_first_process(lambda: _finished_result(row))
    if finished is not None:
        return finished
    interrupts = None
    try:
        with defer_signals(ENDING) as interrupts:
            return _run(row, interrupts)
    except KeyboardInterrupt as error:
        number = getattr(error, "number", interrupts and interrupts.signal) or signal.SIGINT
        message = f"interrupted: {row.name}, {_what_resume_finds(row)}"
        raise Interrupted(message, number) from error


def _finished_result(row: Row) -> Document | None:
    """Return the result that the row already has, if any; delete checkpoints of no use."""
    # A run that ended just after it wrote its result leaves its checkpoints.
    is_finished = row.options.resume and row.result.exists()
    if is_finished or row.options.overwrite:
        discard(row.checkpoints)
    return row.read(row.result) if is_finished else None


def _run(row: Row, interrupts: Interrupts) -> Document:
    options, started = row.options, time.monotonic()
    mesh = Mesh(np.array(jax.devices()), ("trials",))
    with Checkpoints(row.checkpoints, row.fingerprint()) as checkpoints:
        runner = TrialRunner(
            row.loop,
            range(row.trials),
            seed=options.seed,
            mesh=mesh,
            batch_size=options.batch_size,
        )
        if options.resume:
            restored = checkpoints.restore(runner)
            started -= restored.seconds
            for sentence in restored.damaged:
                print(sentence, file=sys.stderr)
        show_progress = display_progress(row.name, options.quiet)
        with show_progress as display, write_scalars(row.log_folder, runner) as write:

            def on_chunk(progress: Progress) -> None:
                display(progress)
                write(progress)

            run_trials(
                runner,
                checkpoints,
                started=started,
                checkpoint_seconds=options.checkpoint_seconds,
                interrupts=interrupts,
                on_chunk=on_chunk,
            )
        document = row.document(runner.results(), time.monotonic() - started)
        save = lambda: save_result(
            row.result, document, row.draw, overwrite=options.overwrite, quiet=options.quiet
        )
        saved = processes.on_first_process(save)
        checkpoints.remove()
    if interrupts.requested():
        raise KeyboardInterrupt
    return processes.on_first_process(lambda: row.read(saved))


def _what_resume_finds(row: Row) -> str:
    """Return what --resume will find, in words; of several processes, only the first can know."""
    if not processes.is_first_process():
        return "the first process says what --resume will find"
    saved = newest(row.checkpoints)
    if saved is not None:
        move = f"once the old {row.result} is moved, " if row.result.exists() else ""
        return f"{move}--resume continues after {int(saved.name):,} sequences per trial"
    if row.result.exists():
        return "which has its old result" if row.options.overwrite else "which has its result"
    return "without a checkpoint; --resume starts afresh"
