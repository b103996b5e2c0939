"""Runs one row of the paper's tables: trials, progress, checkpoints, result file and picture."""

from __future__ import annotations

import dataclasses
import pathlib
import shlex
import sys
import time
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from experiments import plots
from experiments.progress import make_progress
from lstm_jax import results
from lstm_jax.checkpoints import Checkpoints
from lstm_jax.recipes import make_recipe
from lstm_jax.tasks import make_task
from lstm_jax.trials import LANES, TrialRunner

CHECKPOINT_SECONDS = 60.0


@dataclasses.dataclass(frozen=True)
class Options:
    """How rows are run; the flags of every binary.

    Attributes:
      out: the folder that gets ROW.json and ROW.png.
      recipe: a name in `lstm_jax.recipes`.
      trials: how many; None: as many as the paper made.
      seed: of all random numbers.
      lanes: trials side by side on a device.
      max_sequences: a trial's budget; None: the task's.
      overwrite: whether result files that exist may be replaced.
      resume: whether a run that was cut off goes on from its checkpoint.
      quiet: whether nothing is printed but errors.
    """

    out: pathlib.Path
    recipe: str = "paper"
    trials: int | None = None
    seed: int = 0
    lanes: int = LANES
    max_sequences: int | None = None
    overwrite: bool = False
    resume: bool = False
    quiet: bool = False

    def check(self) -> None:
        """Raises ValueError if a number is out of range or a name unknown."""
        make_recipe(self.recipe)
        for name, least in (("trials", 1), ("seed", 0), ("lanes", 1), ("max_sequences", 1)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise ValueError(f"--{name} must be at least {least}, got {value}")

    def path(self, row: str, ending: str) -> pathlib.Path:
        """Where a row's file goes; recipes other than `paper` are in the name."""
        recipe = "" if self.recipe == "paper" else f".{self.recipe}"
        return self.out / f"{row}{recipe}{ending}"


def prepare(options: Options, rows: list[str]) -> None:
    """Checks all that can be wrong before anything is computed, and makes the output folder.

    Raises:
      ValueError: if an option is wrong, or a result exists and may not be replaced.
      OSError: if the output folder cannot be written.
    """
    options.check()
    for row in rows:
        make_task(row)
        path = options.path(row, ".json")
        if path.exists() and not (options.overwrite or options.resume):
            raise ValueError(f"{path} exists; --overwrite replaces it")
    options.out.mkdir(parents=True, exist_ok=True)
    probe = options.out / ".writable"
    probe.write_bytes(b"")
    probe.unlink()


def run_row(row: str, options: Options) -> dict[str, Any]:
    """Runs the trials of `row` and writes its result file and learning curves.

    With `options.resume`, a row that has its result file is not run again.
    """
    path = options.path(row, ".json")
    if options.resume and path.exists():
        return results.read_json(path)
    recipe, task = make_recipe(options.recipe), make_task(row)
    if options.max_sequences is not None:
        task = dataclasses.replace(task, max_sequences=options.max_sequences)
    learning = recipe.learning(task)
    runner = TrialRunner(
        learning,
        range(options.trials or task.trials),
        seed=options.seed,
        mesh=Mesh(np.array(jax.devices()), ("trials",)),
        lanes=options.lanes,
    )
    started = time.monotonic()
    spent_before, trial_results = _run(runner, row, options)
    document = results.make_document(
        learning.task,
        recipe,
        trial_results,
        wall_seconds=spent_before + time.monotonic() - started,
        seed=options.seed,
        command=shlex.join(["python", "-m", *_command()]),
    )
    plots.learning_curves(document, options.path(row, ".png"))
    results.write_json(path, document)
    return document


def _run(runner: TrialRunner, row: str, options: Options) -> tuple[float, list]:
    """Runs to the end with progress and checkpoints; returns earlier seconds and the results."""
    checkpoints = Checkpoints(options.path(row, ".checkpoints"))
    clock = options.path(row, ".seconds")
    spent_before = 0.0
    if options.resume:
        for sentence in checkpoints.restore(runner):
            print(sentence, file=sys.stderr)
        spent_before = float(clock.read_text()) if clock.exists() else 0.0
    started = saved_at = time.monotonic()
    with make_progress(row, options.quiet) as progress:
        while not runner.finished:
            progress.show(runner.round())
            if time.monotonic() - saved_at > CHECKPOINT_SECONDS:
                checkpoints.save(runner)
                saved_at = time.monotonic()
                seconds = spent_before + saved_at - started
                results.write_atomically(clock, f"{seconds}".encode())
    trial_results = runner.results()
    checkpoints.remove()
    clock.unlink(missing_ok=True)
    return spent_before, trial_results


def _command() -> list[str]:
    """The command line that started this process, as a user would type it."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    return [spec.name if spec else sys.argv[0], *sys.argv[1:]]
