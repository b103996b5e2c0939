"""A sweep over learning rate, initial range and gate biases by random search: many short trials.

    python -m experiments.search.sweep --task=6a --trials=10000 --out=DIR
    python -m experiments.search.sweep --task=6a --blocks=2x2,1x4 --trials=1000 --out=DIR
    python -m experiments.search.sweep --task=3a-100-3 --learning_rate=0.1,4 --init_range=own --out=DIR

Every trial draws its settings from its own key. All trials of one shape of blocks are one program,
shared among all devices; --blocks=2x2,1x4 runs one shape after the other, 2x2 being 2 blocks of 2
cells each. Writes sweep.TASK.SHAPE.json, one line a trial, and a picture of the training error
against the settings. Bounds are LOWEST,HIGHEST, or 'own' for what the task says.
"""

from __future__ import annotations

import dataclasses
import json
import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from absl.flags import FlagValues
from lstm_jax.training.recipes.random_search import RandomSearch, SearchSpace
from lstm_jax.training.recipes.settings import Settings, learn_by_settings

from experiments.cli.command import Command, command_line
from experiments.cli.files import read_object
from experiments.cli.flag_set import FlagSet
from experiments.rows import figures as pictures
from experiments.rows import flags as rows
from experiments.rows.options import Options
from experiments.rows.run import prepare, run_row
from experiments.search import flags as search
from lstm_jax.network.files import Document
from lstm_jax.tasks import make_task
from lstm_jax.training.recipes.overrides import with_blocks
from lstm_jax.training.recipes.recipe import chunk_of, make_recipe
from lstm_jax.training.runs.result_file import SCHEMA_VERSION, about_run, plain_number
from lstm_jax.training.trials.runner import TrialResult
from lstm_jax.training.trials.training_loop import TrainingLoop

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAX_SEQUENCES = 5_000  # of a trial, unless told otherwise
TESTS = 256  # sequences of its final test
BEST = 10  # trials that are printed


@dataclasses.dataclass(frozen=True)
class Sweep(Options):
    """How sweeps are run; a row is "sweep", a task and a shape of blocks, with dots between.

    Attributes:
      space: where the settings are drawn from.
    """

    space: SearchSpace = dataclasses.field(default_factory=SearchSpace)

    def check(self) -> None:
        """Raises ValueError if an option is wrong, or there is nothing to draw a picture of."""
        super().check()
        bounds = dataclasses.asdict(self.space)
        if bounds.pop("learning_rate") is None or not any(bounds.values()):
            raise ValueError(
                f"--learning_rate and one of --{', --'.join(bounds)} must have bounds, got 'own'"
            )

    def loop(self, row: str) -> TrainingLoop:
        """What the trials of a row learn: its task with its blocks, by random settings."""
        _, name, shape = row.split(".")
        setup = make_recipe(self.recipe).setup(make_task(name))
        setup = with_blocks(setup, search.blocks_of(shape)).with_task(
            max_sequences=self.max_sequences or MAX_SEQUENCES, test_size=TESTS
        )
        method = learn_by_settings(setup, RandomSearch, space=self.space)
        return TrainingLoop(setup.task, method, chunk_of(setup.task))

    def run(self, row: str) -> Document:
        """As `Options`, with the space and the shape."""
        space = json.loads(json.dumps(dataclasses.asdict(self.space)))  # as a file has it
        return super().run(row) | {"blocks": row.split(".")[2], "space": space}

    def document(self, row: str, trials: Sequence[TrialResult], wall_seconds: float) -> Document:
        """Each trial's settings and what became of it, as rows of numbers."""
        rows = [_row(trial) for trial in trials]
        sequences = sum(trial.sequences for trial in trials)
        return (
            {"schema_version": SCHEMA_VERSION, "columns": list(rows[0])}
            | self.run(row)
            | {
                "recipe_changes": make_recipe(self.recipe).changes,
                "test_size": TESTS,
                "trials": [[plain_number(value) for value in row.values()] for row in rows],
                "solved": sum(trial.solved for trial in trials),
                "non_finite": sum(not trial.finite for trial in trials),
                "wall_seconds": round(wall_seconds, 2),
                "sequences_per_second": round(sequences / wall_seconds, 1),
            }
            | about_run(self.seed, command_line())
        )

    def read(self, path: pathlib.Path) -> Document:
        """A sweep's file, as of an earlier run.

        Raises:
          ValueError: if it is none.
        """
        document = read_object(path)
        fits = lambda name, kind: isinstance(document.get(name), kind)
        if not (fits("columns", list) and fits("trials", list) and fits("blocks", str)):
            raise ValueError(f"{path} must be the file of a sweep, with columns, trials and blocks")
        return document

    def draw(self, document: Document) -> Figure:
        """The error against the settings."""
        return pictures.sweep(document)


def best(document: Document, number: int = BEST) -> str:
    """The trials solved soonest, then those with the lowest error, as a table."""
    columns = document["columns"]
    solved, sequences, error = map(columns.index, ("solved", "sequences", "error"))
    trials = [trial for trial in document["trials"] if trial[error] is not None]
    trials.sort(key=lambda trial: (-trial[solved], trial[sequences], trial[error]))
    lines = [f"{document['task']}, blocks {document['blocks']}: {document['solved']} solved; best:"]
    for trial in [columns, *trials[:number]]:
        cells = zip(columns, trial, strict=True)
        lines.append("  ".join(f"{value:>{max(len(name), 8)}}" for name, value in cells))
    return "\n".join(lines)


def _row(trial: TrialResult) -> dict[str, float]:
    """A trial in numbers, by the names of the columns."""
    settings: Settings = trial.model.optimiser_state.settings
    row = {
        "trial": trial.index,
        "learning rate": float(settings.learning_rate),
        "initial range": float(settings.init_range),
    }
    for kind in ("input", "output"):
        biases = getattr(settings, f"{kind}_gate_bias")
        for j, bias in enumerate(() if biases is None else biases):
            row[f"{kind} gate bias {j + 1}"] = float(bias)
    return row | {
        "sequences": trial.sequences,
        "solved": int(trial.solved),
        "error": float(trial.curve[-1, 1]) if trial.finite else float("nan"),  # of the last chunk
        "wrong in test": trial.test_wrong,
    }


def define(flags: FlagSet) -> None:
    """What is learned, where settings are drawn from, and the flags of all that run rows."""
    search.define_flags(flags)
    rows.define_flags(flags)


def main(values: FlagValues) -> None:
    """Runs a sweep of every shape and prints the best of their trials."""
    space = search.space_of(values)
    sweeps = [f"sweep.{values.task}.{shape}" for shape in search.shapes_of(values)]
    options = rows.start(Sweep(**vars(rows.make_options(values)), space=space), values)
    prepare(options, sweeps)
    for row in sweeps:
        document = run_row(row, options)
        if not options.quiet:
            print(best(document))


COMMAND = Command("sweep", __doc__, define, main)

if __name__ == "__main__":
    COMMAND.run()
