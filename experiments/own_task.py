"""Trials of a task of your own: an `lstm_jax.Task` in a Python file.

    python -m experiments.own_task --task=my.py:TASK --trials=5 --out=DIR
    python -m experiments.own_task --task=my.py:TASK --recipe=adam --out=DIR
    python -m experiments.own_task --task=experiments/examples/own_task.py:TASK --resume --out=DIR

The task draws its sequences itself; `fit` learns those of a file. Writes my.TASK.json with the
trials and a solved network, which `lstm_jax.load` reads, and my.TASK.png with the learning curves.
"""

from __future__ import annotations

import dataclasses
import hashlib
import pathlib

from experiments.cli.command import Command, FlagSet, FlagValues, command_line
from experiments.cli.python_file import load_object
from experiments.rows.run import Row, RowOptions, define_flags, prepare, run_row, start
from experiments.rows.text import text_table
from lstm_jax import Task, TrainingLoop, make_recipe
from lstm_jax.network.files import Document


@dataclasses.dataclass(frozen=True)
class OwnRow(Row):
    """A task of a user, which runs as a row of the paper's tables does."""

    digest: str
    """The SHA-256 of its file: a run does not go on with another task."""

    @property
    def command(self) -> str:
        """The running command."""
        return command_line()

    def fingerprint(self) -> Document:
        return super().fingerprint() | {"file": self.digest}


def load_task(value: str) -> Task:
    """Return the task FILE.py:NAME; raise ValueError if it is not an `lstm_jax.Task`."""
    task = load_object(value)
    if not isinstance(task, Task):
        found = type(task).__name__
        raise ValueError(f"--task={value} must name an lstm_jax.Task, got {found}")
    return task


def resolve(value: str, options: RowOptions) -> OwnRow:
    """Return the task FILE.py:NAME as a row; raise ValueError if it cannot be one."""
    task = load_task(value)
    path, _, attribute = value.rpartition(":")
    name = f"{pathlib.Path(path).stem}.{attribute}"
    title = "own task" if task.title == task.name else task.title
    changes = {} if options.max_sequences is None else {"max_sequences": options.max_sequences}
    task = dataclasses.replace(task, name=name, title=title, **changes)
    try:
        recipe = make_recipe(options.recipe)
        loop = TrainingLoop(recipe.apply(task))
    except ValueError as error:
        raise ValueError(f"--recipe={options.recipe}: {error}") from error
    digest = hashlib.sha256(pathlib.Path(path).expanduser().read_bytes()).hexdigest()
    return OwnRow(name, recipe, loop, options, digest)


def define(flags: FlagSet) -> None:
    flags.text("task", None, "The task, as FILE.py:NAME (required).", True)
    define_flags(flags)


def main(values: FlagValues) -> None:
    """Run the trials, and print how many were solved."""
    options = start(values)
    row = resolve(values.task, options)
    prepare([row])
    document = run_row(row)
    if not options.quiet:
        print(text_table([document]))


COMMAND = Command("own_task", __doc__, define, main)
if __name__ == "__main__":
    COMMAND.run()
