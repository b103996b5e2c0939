"""How rows are run: what the flags of all binaries that run rows say, checked."""

from __future__ import annotations

import dataclasses
import math
import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from experiments.cli.command import command_line
from experiments.rows.collection import complete, paper_task, read_result
from lstm_jax import baselines as baselines
from lstm_jax import plots
from lstm_jax.network.files import Document
from lstm_jax.tasks import make_task
from lstm_jax.training.host.cpu import BATCH_SIZE
from lstm_jax.training.recipes.recipe import make_recipe
from lstm_jax.training.runs import result_file as results
from lstm_jax.training.trials.runner import TrialResult
from lstm_jax.training.trials.training_loop import TrainingLoop

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BOUNDS = {
    "trials": (1, 2**20),
    "seed": (0, 2**32 - 1),
    "batch_size": (1, 4096),
    "max_sequences": (1, 2**31 - 1),
    "checkpoint_seconds": (0.0, math.inf),  # NaN is not between them
}


@dataclasses.dataclass(frozen=True)
class Options:
    """How rows are run.

    Attributes:
      out: the folder that gets ROW.json and ROW.png.
      recipe: a name in `lstm_jax.training.recipes.recipe`.
      trials: how many; None: as many as the paper made.
      seed: of all random numbers.
      batch_size: trials side by side on a device.
      max_sequences: a trial's budget; None: the task's.
      overwrite: whether result files that exist may be replaced.
      resume: whether a run that was cut off goes on from its checkpoint.
      checkpoint_seconds: between checkpoints, at least.
      quiet: whether nothing is printed but errors.
      logdir: the folder that gets TensorBoard's scalars, in one of its own a row; None: no scalars.
    """

    out: pathlib.Path
    recipe: str = "paper"
    trials: int | None = None
    seed: int = 0
    batch_size: int = BATCH_SIZE
    max_sequences: int | None = None
    overwrite: bool = False
    resume: bool = False
    checkpoint_seconds: float = 60.0
    quiet: bool = False
    logdir: pathlib.Path | None = None

    def check(self) -> None:
        """Raises ValueError if a number is out of range or a name unknown."""
        make_recipe(self.recipe)
        for name, (least, most) in BOUNDS.items():
            value = getattr(self, name)
            if value is not None and not least <= value <= most:
                raise ValueError(f"--{name} must be from {least} to {most}, got {value}")
        if self.resume and self.overwrite:
            raise ValueError("--resume and --overwrite exclude each other, got both")

    def path(self, row: str, ending: str) -> pathlib.Path:
        """Where a row's file goes."""
        return self.out / f"{self.label(row)}{ending}"

    def log_folder(self, row: str) -> pathlib.Path | None:
        """Where a row's scalars go."""
        return None if self.logdir is None else self.logdir / self.label(row)

    def label(self, row: str) -> str:
        """What a row's files are called; recipes other than `paper` are in the name."""
        return row if self.recipe == "paper" else f"{row}.{self.recipe}"

    def loop(self, row: str) -> TrainingLoop:
        """What the trials of a row learn, and how: the LSTM's by the recipe, or a rival's.

        Raises:
          ValueError: if there is no such row, or a rival is to learn by another recipe.
        """
        if row in baselines.row_names():
            if self.recipe != "paper":
                raise ValueError(f"--recipe must be paper for {row}, got {self.recipe}")
            loop = baselines.make_training_loop(row)
        else:
            loop = TrainingLoop(make_recipe(self.recipe).apply(make_task(row)))
        if self.max_sequences is None:
            return loop
        task = dataclasses.replace(loop.task, max_sequences=self.max_sequences)
        return dataclasses.replace(loop, task=task)

    def run(self, row: str) -> Document:
        """All that decides the numbers of a row; how it is resumed must not change it."""
        task = self.loop(row).task
        return {
            "task": task.name,
            "recipe": self.recipe,
            "trials": self.trials or task.trials,
            "seed": self.seed,
            "batch_size": self.batch_size,
            "max_sequences": task.max_sequences,
        }

    def document(self, row: str, trials: Sequence[TrialResult], wall_seconds: float) -> Document:
        """What a row's result file says."""
        document = results.make_document(
            self.loop(row).task,
            trials,
            recipe=self.recipe,
            changes=make_recipe(self.recipe).changes,
            wall_seconds=wall_seconds,
            seed=self.seed,
            command=command_line(),
        )
        if paper_task(row):  # these follow from its name
            del document["title"], document["published"]
        return document

    def read(self, path: pathlib.Path) -> Document:
        """A row's result file, as of an earlier run.

        Raises:
          ValueError: if it is none.
        """
        return read_result(path)

    def draw(self, document: Document) -> Figure:
        """A row's picture."""
        return plots.learning_curves(complete(document))
