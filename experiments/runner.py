"""Runs one row of the paper's tables: trials, progress, checkpoints, result file and picture."""

from __future__ import annotations

import dataclasses
import pathlib
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from experiments import plots
from experiments.cli import command_line
from experiments.progress import make_progress
from lstm_jax import rivals
from lstm_jax.tasks import make_task
from lstm_jax.training import processes, results
from lstm_jax.training.checkpoints import Checkpoints
from lstm_jax.training.learning import Learning
from lstm_jax.training.recipes import make_recipe
from lstm_jax.training.trials import LANES, TrialResult, TrialRunner


@dataclasses.dataclass(frozen=True)
class Options:
    """How rows are run; the flags of every binary.

    Attributes:
      out: the folder that gets ROW.json and ROW.png.
      recipe: a name in `lstm_jax.training.recipes`.
      trials: how many; None: as many as the paper made.
      seed: of all random numbers.
      lanes: trials side by side on a device.
      max_sequences: a trial's budget; None: the task's.
      overwrite: whether result files that exist may be replaced.
      resume: whether a run that was cut off goes on from its checkpoint.
      checkpoint_seconds: between checkpoints, at least.
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
    checkpoint_seconds: float = 60.0
    quiet: bool = False

    def check(self) -> None:
        """Raises ValueError if a number is out of range or a name unknown."""
        make_recipe(self.recipe)
        for name, least in (("trials", 1), ("seed", 0), ("lanes", 1), ("max_sequences", 1)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise ValueError(f"--{name} must be at least {least}, got {value}")
        if self.resume and self.overwrite:
            raise ValueError("--resume and --overwrite exclude each other, got both")

    def path(self, row: str, ending: str) -> pathlib.Path:
        """Where a row's file goes; recipes other than `paper` are in the name."""
        recipe = "" if self.recipe == "paper" else f".{self.recipe}"
        return self.out / f"{row}{recipe}{ending}"

    def learning(self, row: str) -> Learning:
        """What the trials of a row learn, and how: the LSTM's by the recipe, or a rival's.

        Raises:
          ValueError: if there is no such row, or a rival is to learn by another recipe.
        """
        if row in rivals.row_names():
            if self.recipe != "paper":
                raise ValueError(f"--recipe must be paper for {row}, got {self.recipe}")
            learning = rivals.make_learning(row)
        else:
            learning = make_recipe(self.recipe).learning(make_task(row))
        if self.max_sequences is None:
            return learning
        task = dataclasses.replace(learning.task, max_sequences=self.max_sequences)
        return dataclasses.replace(learning, task=task)

    def run(self, row: str) -> dict[str, Any]:
        """All that decides the numbers of a row; how it is resumed must not change it."""
        task = self.learning(row).task
        return {
            "task": task.name,
            "recipe": self.recipe,
            "trials": self.trials or task.trials,
            "seed": self.seed,
            "lanes": self.lanes,
            "max_sequences": task.max_sequences,
        }

    def document(
        self, row: str, trials: Sequence[TrialResult], wall_seconds: float
    ) -> dict[str, Any]:
        """What a row's result file says."""
        return results.make_document(
            self.learning(row).task,
            make_recipe(self.recipe),
            trials,
            wall_seconds=wall_seconds,
            seed=self.seed,
            command=command_line(),
        )

    def draw(self, document: dict[str, Any], path: pathlib.Path) -> None:
        """Draws a row's picture."""
        plots.learning_curves(document, path)


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
    try:
        options.out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=options.out):
            pass
    except OSError as error:
        reason = error.strerror
        raise ValueError(f"--out must be a writable folder, got {options.out}: {reason}") from error


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
    options.draw(document, options.path(row, ".png"))
    results.write_json(options.path(row, ".json"), document)


def _run_trials(
    runner: TrialRunner, checkpoints: Checkpoints, started: float, row: str, options: Options
) -> None:
    """Runs all trials to their end, with progress and checkpoints."""
    saved_at = time.monotonic()
    with make_progress(row, options.quiet) as progress:
        while not runner.finished:
            progress.show(runner.round())
            elapsed = processes.by_first(lambda since=saved_at: time.monotonic() - since)
            if elapsed >= options.checkpoint_seconds:
                checkpoints.save(runner, time.monotonic() - started)
                saved_at = time.monotonic()
