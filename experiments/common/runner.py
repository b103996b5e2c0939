"""Runs one row of the paper's tables: trials, progress, checkpoints, result file and picture."""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
import shutil
import sys
import tempfile
import time
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from experiments.common.options import Options
from experiments.common.progress import make_progress
from lstm_jax import plots
from lstm_jax.training import processes, results
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
        checkpoints = options.path(row, ".checkpoints")
        if path.exists() and options.resume:
            _check_same_run(path, run)
        elif path.exists() and not options.overwrite:
            raise ValueError(f"{path} exists; --overwrite replaces it")
        elif checkpoints.exists() and not (options.resume or options.overwrite):
            raise ValueError(
                f"{checkpoints} exists, of a run that was cut off or goes on; --resume continues "
                "it, --overwrite starts afresh"
            )
    make_folder(options.out)


def make_folder(out: pathlib.Path) -> None:
    """Makes the output folder.

    Raises:
      ValueError: if nothing can be written into it.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out):
            pass
    except OSError as error:
        raise ValueError(f"--out must be a writable folder, got {out}: {error.strerror}") from error


def _check_same_run(path: pathlib.Path, run: dict[str, Any]) -> None:
    """Raises ValueError if the result file is of another run."""
    document = results.read_json(path)
    found = document | {"trials": len(document["trials"])}
    for name, value in run.items():
        if found.get(name, value) != value:
            raise ValueError(
                f"{path} has {name} {found[name]}, not {value}; --overwrite replaces it"
            )


def run_row(row: str, options: Options) -> dict[str, Any]:
    """Runs the trials of `row` and writes its result file and learning curves.

    With `options.resume`, a row that has its result file is not run again.
    """
    done = processes.by_first(lambda: _left_behind(row, options))
    if done is not None:
        return done
    run, learning = options.run(row), options.learning(row)
    started = time.monotonic()
    with Checkpoints(options.path(row, ".checkpoints"), run) as checkpoints:
        runner = TrialRunner(
            learning,
            range(run["trials"]),
            seed=options.seed,
            mesh=Mesh(np.array(jax.devices()), ("trials",)),
            lanes=options.lanes,
        )
        if options.resume:
            restored = checkpoints.restore(runner)
            started -= restored.seconds
            for sentence in restored.damaged:
                print(sentence, file=sys.stderr)
        _run_trials(runner, checkpoints, started, row, options)
        trials = runner.results()
        document = options.document(row, trials, time.monotonic() - started)
        processes.by_first(lambda: _write(document, row, options))
        checkpoints.remove()
    return document


def _left_behind(row: str, options: Options) -> dict[str, Any] | None:
    """The result that the row already has, if it may be kept; removes checkpoints of no use."""
    path, folder = options.path(row, ".json"), options.path(row, ".checkpoints")
    is_done = options.resume and path.exists()  # was cut off just before they were removed
    if is_done or options.overwrite:
        shutil.rmtree(folder, ignore_errors=True)
    return results.read_json(path) if is_done else None


def _write(document: dict[str, Any], row: str, options: Options) -> None:
    results.write_json(options.path(row, ".json"), document)
    plots.save(options.draw(document), options.path(row, ".png"))


def _run_trials(
    runner: TrialRunner, checkpoints: Checkpoints, started: float, row: str, options: Options
) -> None:
    """Runs all trials to their end, with progress and checkpoints."""
    saved_at = time.monotonic()
    with contextlib.closing(make_progress(row, options.quiet)) as progress:
        while not runner.finished:
            progress.show(runner.round())
            elapsed = processes.by_first(lambda since=saved_at: time.monotonic() - since)
            if elapsed >= options.checkpoint_seconds:
                checkpoints.save(runner, time.monotonic() - started)
                saved_at = time.monotonic()
