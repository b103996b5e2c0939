"""Runs cells and keeps what came of them: one small file a row.

A cell is cut off once as many sequences as the published mean have been presented, no trial has
solved the task, and the mean error of the latest tenth is not below 0.98 of that of the first: it
stays at chance, and counts as failed. A cell that has its result is never run again, so that a run
may be killed at any moment and started anew; nor is one that another process runs, so that any
number of them may go through the same cells.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import pathlib
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from experiments.ablations.design import Cell, wanted
from experiments.cli.files import read_object
from lstm_jax.network.files import Document, write_atomically
from lstm_jax.tasks import make_task
from lstm_jax.training.recipes.recipe import make_recipe
from lstm_jax.training.runs.checkpoints import Checkpoints, InUseError, lock
from lstm_jax.training.runs.result_file import about_run, plain_number
from lstm_jax.training.runs.schema import COUNT, LIST, MAYBE, OBJECT, TEXT, check_fields
from lstm_jax.training.trials.runner import TrialRunner
from lstm_jax.training.trials.training_loop import TrainingLoop

STILL_AT_CHANCE = 0.98
CHECKPOINT_SECONDS = 60.0

# What a file must hold, as far as anything relies on it.
ROW = {"row": TEXT, "runs": LIST, "cells": OBJECT}
OUTCOME = {"recipe": TEXT, "seed": COUNT, "trials": COUNT, "solved": COUNT, "mean": MAYBE}


class Results:
    """What came of the cells of one row."""

    def __init__(self, folder: pathlib.Path, row: str) -> None:
        """Reads what there is.

        Raises:
          ValueError: if the row's file is none of this experiment.
        """
        self.row = row
        self.folder = folder
        self._path = folder / f"{row}.json"
        self._document: Document = {"row": row, "runs": [], "cells": {}}
        self._read()

    def _read(self) -> None:
        if self._path.exists():
            self._document = read_object(self._path)
            check_fields(self._document, ROW, self._path)
            for key, outcome in self._document["cells"].items():
                check_fields(outcome, OUTCOME, self._path, f"cells[{key!r}].")

    def __contains__(self, cell: Cell) -> bool:
        """Whether the cell has its result by now, be it another process's."""
        self._read()
        return cell.key in self._document["cells"]

    def cells(self) -> list[Document]:
        """All of them, as plain data."""
        return list(self._document["cells"].values())

    def add(self, cell: Cell, outcome: Document, about: Document) -> None:
        """Keeps the outcome of a cell beside what others have kept since.

        The file is written whole or not at all.
        """
        with _alone(self.folder / f"{self.row}.adding"):
            self._read()
            self._insert(cell, outcome, about)

    def _insert(self, cell: Cell, outcome: Document, about: Document) -> None:
        runs = self._document["runs"]
        if about not in runs:
            runs.append(about)
        outcome = cell._asdict() | outcome | {"run": runs.index(about)}
        del outcome["row"]
        self._document["cells"][cell.key] = outcome
        lines = [f" {json.dumps(key)}: {json.dumps(value)}" for key, value in self._cells()]
        head = "".join(
            f'"{name}": {json.dumps(self._document[name])},\n' for name in ("row", "runs")
        )
        text = "{" + head + '"cells": {\n' + ",\n".join(lines) + "\n}}\n"
        write_atomically(self._path, text.encode())

    def _cells(self) -> Any:
        return self._document["cells"].items()


@contextlib.contextmanager
def _alone(folder: pathlib.Path) -> Iterator[None]:
    """Waits until no other process is within; the folder is there no longer than that."""
    while True:
        try:
            descriptor = lock(folder)
            break
        except InUseError:
            time.sleep(0.01)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # without locks, the other may have removed it
            folder.rmdir()
        os.close(descriptor)


def settle(cell: Cell, results: Results, about: Document) -> Document | None:
    """Runs a cell and keeps what came of it.

    Checkpoints are beside the results while it runs, from which a run that was killed goes on.

    Returns:
      What came of it; None if it has its result, or another process runs it.
    """
    if cell in results:
        return None
    name = f"{cell.row}.{cell.recipe}.{cell.seed}.{cell.trials}.checkpoints"
    try:
        with Checkpoints(results.folder / name, cell._asdict()) as kept:
            if cell in results:  # of a process that had it open until now
                return None
            outcome = run_cell(cell, kept)
            results.add(cell, outcome, about)
            kept.remove()
            return outcome
    except InUseError:
        return None


def run_cell(cell: Cell, kept: Checkpoints) -> Document:
    """Runs the trials of a cell to their end, or until it is cut off."""
    started = time.monotonic()
    loop = TrainingLoop(make_recipe(cell.recipe).apply(make_task(cell.row)))
    task = dataclasses.replace(loop.task, max_sequences=cell.budget)
    loop = dataclasses.replace(loop, task=task)
    runner = TrialRunner(loop, range(cell.trials), seed=cell.seed)
    started -= kept.restore(runner).seconds
    is_cut = _run_trials(runner, kept, started, patience=wanted(make_task(cell.row)))
    return _outcome(runner, time.monotonic() - started) | {"cut": is_cut}


def _run_trials(runner: TrialRunner, kept: Checkpoints, started: float, *, patience: int) -> bool:
    """Runs rounds with checkpoints between them; returns whether the trials were cut off."""
    saved_at, solved = time.monotonic(), False
    while not runner.finished:
        solved = runner.run_chunk().solved > 0 or solved
        if not solved and runner.num_sequences >= patience and is_at_chance(_errors(runner)):
            return True
        if time.monotonic() - saved_at > CHECKPOINT_SECONDS:
            kept.save(runner, time.monotonic() - started)
            saved_at = time.monotonic()
    return False


def _outcome(runner: TrialRunner, seconds: float) -> Document:
    results = runner.results()
    counts = [result.sequences for result in results if result.solved]
    return {
        "solved": len(counts),
        "mean": float(np.mean(counts)) if counts else None,
        "sequences": [result.sequences if result.solved else None for result in results],
        "wrong": [result.test_wrong for result in results],
        "test_size": results[0].test_size,
        "non_finite": sum(not result.finite for result in results),
        "num_sequences": runner.num_sequences,
        "errors": [plain_number(error) for error in tenths(_errors(runner))],
        "seconds": round(seconds, 1),
    }


def _errors(runner: TrialRunner) -> list[float]:
    """The mean error of every round, over the trials that ran in it."""
    curves = [curve[:, 1] for curve in runner.curves()]
    longest = max(map(len, curves))
    padded = [np.pad(c, (0, longest - len(c)), constant_values=np.nan) for c in curves]
    return np.nanmean(padded, axis=0).tolist()


def is_at_chance(errors: list[float]) -> bool:
    """Whether the last tenth of a curve of errors is hardly below the first."""
    first, last = tenths(errors)
    return not last < STILL_AT_CHANCE * first


def tenths(errors: list[float]) -> tuple[float, float]:
    """The mean error of the first tenth of the rounds, and of the last."""
    size = max(len(errors) // 10, 1)
    return float(np.mean(errors[:size])), float(np.mean(errors[-size:]))


def about(command: str) -> Document:
    """What the figures of a run must have beside them; the seed is each cell's own."""
    told = about_run(0, command)
    del told["seed"]
    return told
