"""A row of the paper's tables, resolved once from the flags and passed down to its run."""

from __future__ import annotations

import dataclasses
import pathlib
import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING

from experiments.rows import collection
from experiments.rows.collection import all_rows, command_of, paper_task
from lstm_jax import baselines, plots
from lstm_jax.network.files import Document
from lstm_jax.tasks import Task, make_task
from lstm_jax.training.host.cpu import BATCH_SIZE
from lstm_jax.training.recipes.recipe import Recipe, make_recipe
from lstm_jax.training.runs.result_file import complete, make_document
from lstm_jax.training.trials.runner import TrialResult
from lstm_jax.training.trials.training_loop import TrainingLoop

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclasses.dataclass(frozen=True)
class RowOptions:
    """The flags that all commands for rows share, which `experiments.rows.flags` describes."""

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

    def __post_init__(self) -> None:
        if self.resume and self.overwrite:
            raise ValueError("--resume and --overwrite exclude each other, got both")


@dataclasses.dataclass(frozen=True)
class Row:
    """A row of the paper's tables, ready to run.

    Attributes:
      name: name of the row, such as "6a".
      recipe: overrides of the paper's hyperparameters; `loop` has them.
      loop: what the trials learn, and how.
      options: how the trials are run.
    """

    name: str
    recipe: Recipe
    loop: TrainingLoop
    options: RowOptions

    @property
    def task(self) -> Task:
        """Task of the trials."""
        return self.loop.task

    @property
    def trials(self) -> int:
        """Number of trials."""
        return self.options.trials or self.task.trials

    @property
    def label(self) -> str:
        """Name of the row's files. It contains the recipe unless that is the paper's."""
        return self.name if self.recipe.name == "paper" else f"{self.name}.{self.recipe.name}"

    @property
    def result(self) -> pathlib.Path:
        """Path of the result file."""
        return self.options.out / f"{self.label}.json"

    @property
    def checkpoints(self) -> pathlib.Path:
        """Folder of the checkpoints."""
        return self.options.out / f"{self.label}.checkpoints"

    @property
    def log_folder(self) -> pathlib.Path | None:
        """Folder of TensorBoard's scalars of this row."""
        return None if self.options.logdir is None else self.options.logdir / self.label

    @property
    def command(self) -> str:
        """Shell command that runs the row again, to the same numbers."""
        flags = self.fingerprint() | {"out": self.options.out}
        given = [f"--{name}={value}" for name, value in flags.items()]
        return shlex.join(["python", "-m", f"experiments.{command_of(self.name)}", *given])

    def fingerprint(self) -> Document:
        """Return all that decides the numbers, as plain data; a resumed run must have the same."""
        return {
            "task": self.task.name,
            "recipe": self.recipe.name,
            "trials": self.trials,
            "seed": self.options.seed,
            "batch_size": self.options.batch_size,
            "max_sequences": self.task.max_sequences,
        }

    def document(self, results: Sequence[TrialResult], wall_seconds: float) -> Document:
        """Return the content of the result file."""
        document = make_document(
            self.task,
            results,
            recipe=self.recipe.name,
            changes=self.recipe.changes,
            wall_seconds=wall_seconds,
            seed=self.options.seed,
            command=self.command,
        )
        if paper_task(self.name):  # these follow from the name
            del document["title"], document["published"]
        return document

    def read(self, path: pathlib.Path) -> Document:
        """Read a result file of such a row; raise ValueError if it is not one."""
        return collection.read_result(path)

    def draw(self, document: Document) -> Figure:
        """Draw the picture that belongs to the result file."""
        return plots.learning_curves(complete(collection.with_paper(document)))


def resolve(name: str, options: RowOptions) -> Row:
    """Return a row of the LSTM under the options' recipe, or the row of a baseline.

    Raises:
      ValueError: if there is no such row, or it cannot have this recipe.
    """
    if name not in all_rows():
        raise ValueError(f"row must be one of {', '.join(all_rows())}, got {name!r}")
    is_baseline = name in baselines.row_names()
    if is_baseline and options.recipe != "paper":
        raise ValueError(f"--recipe must be paper for {name}, got {options.recipe}")
    try:
        recipe = make_recipe(options.recipe)
        loop = None if is_baseline else TrainingLoop(recipe.apply(make_task(name)))
    except ValueError as error:
        raise ValueError(f"--recipe={options.recipe}: {error}") from error
    loop = loop or baselines.make_training_loop(name)
    if options.max_sequences is not None:
        task = dataclasses.replace(loop.task, max_sequences=options.max_sequences)
        loop = dataclasses.replace(loop, task=task)
    return Row(name, recipe, loop, options)
