"""The cells' runs and results: one compact JSON file per row.

A cell is cut off if, after as many sequences as the published mean, no trial is solved and the mean
error is at chance: that of the last tenth of the run is not below 0.98 of that of the first tenth.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import pathlib
import time

import numpy as np

from experiments.ablations.design import Cell, published_sequences
from lstm_jax import TrainingLoop, TrialRunner, make_recipe, make_task
from lstm_jax.network.files import Document
from lstm_jax.network.writing import write_atomically
from lstm_jax.training.runs import result_file as schema
from lstm_jax.training.runs.checkpoints import Checkpoints, InUseError, discard, locked, run_trials
from lstm_jax.training.trials.records import Progress

AT_CHANCE = 0.98
CHECKPOINT_SECONDS = 60.0

# The fields of a file that are read.
ROW = {"row": schema.TEXT, "runs": schema.LIST, "cells": schema.OBJECT}
COUNTS = dict.fromkeys(("seed", "trials", "solved"), schema.COUNT)
OUTCOME = {"recipe": schema.TEXT, "mean": schema.MAYBE} | COUNTS


class Results:
    """The results of the cells of one row; every method reads the row's file anew."""

    def __init__(self, folder: pathlib.Path, row: str) -> None:
        self.folder, self._row = folder, row
        self._path = folder / f"{row}.json"

    def _read(self) -> Document:
        """Read the file; raise ValueError if it is not of this study, or has an unknown recipe."""
        if not self._path.exists():
            return {"row": self._row, "runs": [], "cells": {}}
        document = schema.read_object(self._path)
        schema.check_fields(document, ROW, self._path)
        for key, outcome in document["cells"].items():
            schema.check_fields(outcome, OUTCOME, self._path, f"cells[{key!r}].")
            try:
                make_recipe(outcome["recipe"])
            except ValueError as error:
                raise ValueError(f"{self._path} has an unknown recipe: {error}") from error
        return document

    def __contains__(self, cell: Cell) -> bool:
        """Return whether the cell has a result by now, from this process or another."""
        return cell.key in self._read()["cells"]

    def cells(self) -> list[Document]:
        """Return the outcomes of all cells, as plain data."""
        return list(self._read()["cells"].values())

    def add(self, cell: Cell, outcome: Document, about: Document) -> None:
        """Write the outcome of a cell to the file, beside what other processes have added."""
        while True:  # until no other process adds
            with contextlib.suppress(InUseError), locked(self._path.with_suffix(".adding")):
                return self._add(cell, outcome, about)
            time.sleep(0.01)

    def _add(self, cell: Cell, outcome: Document, about: Document) -> None:
        document = self._read()
        row, runs, cells = (document[name] for name in ROW)
        if about not in runs:
            runs.append(about)
        cells[cell.key] = cell._asdict() | outcome | {"run": runs.index(about)}
        del cells[cell.key]["row"]
        lines = [f" {json.dumps(key)}: {json.dumps(entry)}" for key, entry in cells.items()]
        head = f'{{"row": {json.dumps(row)},\n"runs": {json.dumps(runs)},\n"cells": {{\n'
        write_atomically(self._path, (head + ",\n".join(lines) + "\n}}\n").encode())


def run_once(cell: Cell, results: Results, about: Document) -> Document | None:
    """Run a cell, from its checkpoint if it was killed, and add its outcome to the results.

    Return None if the cell has a result, or another process runs it.
    """
    name = f"{cell.row}.{cell.recipe}.{cell.seed}.{cell.trials}.checkpoints"
    folder = results.folder / name
    if cell in results:
        with contextlib.suppress(InUseError):  # by the process that has just added the outcome
            discard(folder)
        return None
    try:
        with Checkpoints(folder, cell._asdict()) as checkpoints:
            if cell in results:  # another process had it open until now
                return None
            outcome = run_cell(cell, checkpoints)
            results.add(cell, outcome, about)
            checkpoints.remove()
            return outcome
    except InUseError:
        return None


def run_cell(cell: Cell, checkpoints: Checkpoints) -> Document:
    """Run the trials of a cell to their end, or until it is cut off; return the outcome."""
    started = time.monotonic()
    loop = TrainingLoop(make_recipe(cell.recipe).apply(make_task(cell.row)))
    task = dataclasses.replace(loop.task, max_sequences=cell.budget)
    runner = TrialRunner(dataclasses.replace(loop, task=task), range(cell.trials), seed=cell.seed)
    started -= checkpoints.restore(runner).seconds
    patience = published_sequences(cell.row)

    def is_hopeless(progress: Progress) -> bool:
        is_late = progress.num_sequences >= patience
        return is_late and progress.solved == 0 and is_at_chance(_errors(runner))

    has_ended = run_trials(
        runner,
        checkpoints,
        started=started,
        checkpoint_seconds=CHECKPOINT_SECONDS,
        on_chunk=is_hopeless,
    )
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
        "errors": [schema.plain_number(error) for error in tenths(_errors(runner))],
        "seconds": round(time.monotonic() - started, 1),
        "cut": not has_ended,
    }


def _errors(runner: TrialRunner) -> list[float]:
    curves = [curve[:, 1] for curve in runner.curves()]
    longest = max(map(len, curves))
    padded = [np.pad(c, (0, longest - len(c)), constant_values=np.nan) for c in curves]
    return np.nanmean(padded, axis=0).tolist()


def is_at_chance(errors: list[float]) -> bool:
    """Return whether the last tenth of a curve of errors is hardly below the first tenth."""
    first, last = tenths(errors)
    return not last < AT_CHANCE * first


def tenths(errors: list[float]) -> tuple[float, float]:
    """Return the mean error of the first tenth of the chunks, and of the last."""
    size = max(len(errors) // 10, 1)
    return float(np.mean(errors[:size])), float(np.mean(errors[-size:]))
