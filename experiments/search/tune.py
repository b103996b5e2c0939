"""Tunes learning rate, initial range, gate biases and blocks of a row, by Optuna.

    python -m experiments.search.tune --task=6a --out=DIR
    python -m experiments.search.tune --task=4-100 --recipe=linear --blocks=2x2,4x1 --out=DIR
    python -m experiments.search.tune --task=6a --configurations=200 --resume --out=DIR

A configuration is run on several trials side by side, and stopped early where half of those before
it had a smaller training error. Its cost is how many trials are not solved, and the mean share of
the budget that the others take; the budget is the paper's mean unless --max_sequences says another.
Writes tune.TASK.json after each configuration, for --resume, and a picture, and prints the command
that runs the best one again. Needs the extra `tune`.
"""

from __future__ import annotations

import pathlib
import shlex
import sys
import time
from typing import Any

from absl.flags import FlagValues

from experiments.cli import files
from experiments.cli.command import Command, command_line
from experiments.cli.flag_set import FlagSet
from experiments.cli.interrupt import Interrupted
from experiments.cli.machine import check_platform, configure
from experiments.rows import flags as rows
from experiments.rows.options import BOUNDS
from experiments.rows.text import show, text_table
from experiments.search import flags as search
from experiments.search import picture
from experiments.search.evaluate import Bench
from experiments.search.plan import Plan
from experiments.search.propose import load_optuna, propose
from lstm_jax.network.files import Document
from lstm_jax.tasks import make_task
from lstm_jax.training.runs.result_file import SCHEMA_VERSION, about_run, write_json

BEST = 5  # configurations that are printed
KEYS = {"values", "recipe", "cost", "solved", "sequences", "errors"}  # of a configuration
COLUMNS = (
    ("cost", lambda c: show(c["cost"], 3)),
    ("solved", lambda c: str(c["solved"])),
    ("mean sequences", lambda c: show(c["sequences"])),
    ("recipe", lambda c: c["recipe"]),
)


def start(plan: Plan) -> Document:
    """What a file says before the first configuration."""
    head = {"schema_version": SCHEMA_VERSION} | plan.as_document()
    return head | {"configurations": [], "wall_seconds": 0.0} | about_run(plan.seed, command_line())


def go_on(path: pathlib.Path, plan: Plan) -> Document:
    """What the file of an earlier run says.

    Raises:
      ValueError: if it is none, or of another run.
    """
    document = files.read_object(path)
    configurations = document.get("configurations")
    if not isinstance(configurations, list) or "wall_seconds" not in document:
        raise ValueError(f"{path} must be the file of a tuning run, with configurations")
    for name, value in plan.as_document().items():
        if document.get(name) != value:
            raise ValueError(
                f"{path} has {name} {document.get(name)}, not {value}; --overwrite replaces it"
            )
    for i, configuration in enumerate(configurations):
        if not _is_of(plan, configuration):
            raise ValueError(f"{path} must have settings, cost and errors in configurations[{i}]")
    return document


def _is_of(plan: Plan, configuration: Any) -> bool:
    """Whether an entry of a file is a configuration of the plan."""
    if not isinstance(configuration, dict) or not configuration.keys() >= KEYS:
        return False
    values, errors = configuration["values"], configuration["errors"]
    if not isinstance(values, dict) or values.get("blocks") not in plan.shapes:
        return False
    named = {"blocks", *plan.bounds(values["blocks"])}
    are_numbers = all(isinstance(values[name], (int, float)) for name in values if name != "blocks")
    is_error = lambda e: isinstance(e, list) and len(e) == 3
    return values.keys() == named and are_numbers and bool(errors) and all(map(is_error, errors))


def best_of(document: Document, number: int) -> list[Document]:
    """The configurations that cost least, of those that were not stopped."""
    ended = [c for c in document["configurations"] if c["cost"] is not None]
    return sorted(ended, key=lambda c: c["cost"])[:number]


def told(configuration: Document) -> str:
    """What became of a configuration, in words."""
    cost, (_, sequences, error) = configuration["cost"], configuration["errors"][-1]
    end = f"stopped after {sequences:,} sequences, error {error:.3f}"
    if cost is not None:
        end = f"{configuration['solved']} solved, cost {cost:.3f}"
    return f"{configuration['recipe']}: {end}"


def tune(
    plan: Plan, path: pathlib.Path, document: Document, number: int, values: FlagValues
) -> pathlib.Path:
    """Tries configurations until there are so many; returns where the file is."""
    bench, tried = Bench(plan), document["configurations"]
    may_replace = values.overwrite or values.resume
    while len(tried) < number:
        started = time.monotonic()
        tried.append(bench.evaluate(propose(plan, tried), tried))
        if not values.quiet:
            print(f"{len(tried)} of {number}: {told(tried[-1])}", file=sys.stderr, flush=True)
        document["wall_seconds"] = round(document["wall_seconds"] + time.monotonic() - started, 2)
        if may_replace:
            write_json(path, document)
        else:
            path, may_replace = files.write_result(path, document, overwrite=False), True
    return path


def define(flags: FlagSet) -> None:
    """What is tuned, where settings are looked for, and how it is run."""
    search.define_flags(flags)
    flags.integer("configurations", 50, "How many are tried, those of --resume with them.")
    flags.integer("trials", 8, "Trials of each configuration.", most=BOUNDS["trials"][1])
    rows.define_how(flags, batch_size=4)


def main(values: FlagValues) -> None:
    """Tunes a row and prints the best configurations and a command.

    Raises:
      Interrupted: if it was told to end; the words say what --resume will find.
    """
    if values.resume and values.overwrite:
        raise ValueError("--resume and --overwrite exclude each other, got both")
    configure(values.devices)
    plan = make_plan(values)
    for shape in plan.shapes:
        plan.loop(shape)  # which says what departures cannot be made
    recipe = "" if plan.recipe == "paper" else f".{plan.recipe}"
    path = values.out / f"tune.{plan.task}{recipe}.json"
    files.check_free(path, values.overwrite or values.resume)
    document = go_on(path, plan) if values.resume and path.exists() else start(plan)
    load_optuna()
    check_platform()
    files.make_folder(values.out)
    try:
        path = tune(plan, path, document, values.configurations, values)
    except KeyboardInterrupt as error:
        found = len(document["configurations"])
        number = getattr(error, "number", Interrupted("").number)
        sentence = f"interrupted: {path}, --resume goes on after {found} configurations"
        raise Interrupted(sentence, number) from error
    drawn = files.draw_beside(
        path, lambda: picture.draw(document), values.overwrite or values.resume
    )
    if not values.quiet:
        print(f"wrote {path}" + (f" and {drawn}" if drawn else ""))
        print(text_table(best_of(document, BEST), COLUMNS))
        command = plan.command(best_of(document, 1)[0]["values"], values.devices, str(values.out))
        print(f"the best again:\n{shlex.join(command)}")


def make_plan(values: FlagValues) -> Plan:
    """The flags as a plan.

    Raises:
      ValueError: if one is wrong.
    """
    task = make_task(values.task)
    budget = task.published.mean_sequences or task.max_sequences
    return Plan(
        task=values.task,
        recipe=values.recipe,
        shapes=tuple(search.shapes_of(values)),
        space=search.space_of(values),
        trials=values.trials,
        seed=values.seed,
        max_sequences=values.max_sequences or int(budget),
        batch_size=values.batch_size,
    )


COMMAND = Command("tune", __doc__, define, main)

if __name__ == "__main__":
    COMMAND.run()
