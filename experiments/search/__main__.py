"""Searches learning rate, initial range, gate biases and memory blocks of a row.

    python -m experiments.search --task=6a --out=DIR
    python -m experiments.search --task=4-100 --recipe=linear --blocks=2x2,4x1 --out=DIR
    python -m experiments.search --task=6a --configurations=200 --resume --out=DIR
    python -m experiments.search --task=6a --sampler=random --trials=10000 --out=DIR

--sampler=tpe tries one configuration after the other, as Optuna's TPE proposes them; it needs the
extra `tune`. A configuration is run on 8 trials side by side, unless --trials says otherwise, and
pruned where half of those before it had a smaller training error. Its cost is the number of trials
that are not solved, plus the mean share of the budget that the others take. The budget is the
paper's mean number of sequences, unless --max_sequences says otherwise. Writes search.TASK.json
after each configuration, for --resume, and a picture, and prints the command that runs the best
configuration again.

--sampler=random draws a configuration for each trial, of 5,000 sequences unless --max_sequences
says otherwise. All trials of one shape of blocks are one compiled program, shared among all
devices. Writes search.TASK.SHAPE.json and a picture per shape, and prints the best trials.
"""

from __future__ import annotations

import pathlib
import signal

from absl.flags import FlagValues

from experiments.cli import files
from experiments.cli.command import Command, command_line
from experiments.cli.flag_set import FlagSet
from experiments.rows import flags as row_flags
from experiments.rows import run
from experiments.rows.row import RowOptions
from experiments.rows.text import text_table
from experiments.search import picture, random_search, tpe
from experiments.search.plan import SearchPlan, define_flags, search_shapes, search_space
from lstm_jax.network.files import Document
from lstm_jax.tasks import make_task
from lstm_jax.training.host.interrupts import Interrupted
from lstm_jax.training.recipes.recipe import make_recipe
from lstm_jax.training.runs.checkpoints import differences
from lstm_jax.training.runs.result_file import SCHEMA_VERSION, about_run

TPE_TRIALS, TPE_BATCH_SIZE = 8, 4
RANDOM_SEQUENCES = 5_000
BEST = 5  # configurations that are printed
COLUMNS = (
    ("cost", lambda c: f"{c['cost']:.3f}"),
    ("solved", lambda c: str(c["solved"])),
    ("mean sequences", lambda c: "-" if c["sequences"] is None else f"{c['sequences']:,.0f}"),
    ("recipe", lambda c: c["recipe"]),
)


def define(flags: FlagSet) -> None:
    """Define the flags."""
    flags.choice("sampler", "tpe", ("tpe", "random"), "The way configurations are drawn.")
    define_flags(flags)
    help = "Configurations to try with tpe, including those of an interrupted search."
    flags.integer("configurations", 50, help)
    row_flags.define_flags(flags)


def main(values: FlagValues) -> None:
    """Search, and print the best."""
    for flag in ("logdir", "coordinator", "num_processes", "process_id"):
        if values.sampler == "tpe" and getattr(values, flag) is not None:
            raise ValueError(f"--{flag} needs --sampler=random")
    options = row_flags.start(values)  # before anything is computed
    plan = make_plan(values)
    for shape in plan.shapes:  # raise ValueError if the recipe does not allow it
        plan.loop(shape)
        plan.recipe_of({"blocks": shape})
    if values.sampler == "tpe":
        _search_by_tpe(plan, options, values.configurations)
    else:
        _search_at_random(plan, options)


def make_plan(values: FlagValues) -> SearchPlan:
    """Return the plan of the flags.

    Raises:
      ValueError: if a flag is wrong.
    """
    task, is_tpe = make_task(values.task), values.sampler == "tpe"
    budget = int(task.published.mean_sequences or task.max_sequences)
    has_batch_size = values["batch_size"].present or not is_tpe
    return SearchPlan(
        task=values.task,
        recipe=make_recipe(values.recipe).name,
        shapes=search_shapes(values),
        space=search_space(values),
        trials=values.trials or (TPE_TRIALS if is_tpe else task.trials),
        seed=values.seed,
        max_sequences=values.max_sequences or (budget if is_tpe else RANDOM_SEQUENCES),
        batch_size=values.batch_size if has_batch_size else TPE_BATCH_SIZE,
    )


def _search_at_random(plan: SearchPlan, options: RowOptions) -> None:
    rows = [random_search.make_row(plan, shape, options) for shape in plan.shapes]
    run.prepare(rows)
    for row in rows:
        document = run.run_row(row)
        if not options.quiet:
            print(random_search.best(document))


def _search_by_tpe(plan: SearchPlan, options: RowOptions, number: int) -> None:
    path, may_replace = options.out / f"{plan.label()}.json", options.overwrite or options.resume
    files.check_free(path, may_replace)
    tpe.load_optuna()  # which reads the file, too
    document = read(path, plan) if options.resume and path.exists() else _start(plan)
    files.make_folder(options.out)
    is_written = may_replace

    def save(document: Document) -> None:
        nonlocal path, is_written
        path = files.write_result(path, document, overwrite=is_written)
        is_written = True

    try:
        tpe.search(plan, document, number, save, options.quiet)
    except KeyboardInterrupt as error:
        found = len(document["configurations"])
        message = f"interrupted: {path}, --resume continues after {found} configurations"
        raise Interrupted(message, getattr(error, "number", signal.SIGINT)) from error
    drawn = files.draw_beside(path, lambda: picture.tpe(document), may_replace)
    if options.quiet:
        return
    print(f"wrote {path}" + (f" and {drawn}" if drawn else ""))
    ended = [c for c in document["configurations"] if c["cost"] is not None]
    best = sorted(ended, key=lambda c: c["cost"])[:BEST]
    print(text_table(best, COLUMNS))
    if best[0]["solved"]:
        print(f"the best again:\n{plan.command(best[0]['values'], options.out)}")
    else:
        print("no configuration solved a trial: widen the bounds, or raise --max_sequences")


def _start(plan: SearchPlan) -> Document:
    """Return the content of the file before the first configuration."""
    head = {"schema_version": SCHEMA_VERSION} | plan.document()
    return head | {"configurations": [], "wall_seconds": 0.0} | about_run(plan.seed, command_line())


def read(path: pathlib.Path, plan: SearchPlan) -> Document:
    """Read the file of an interrupted search.

    Raises:
      ValueError: if it is not one, or one of another plan.
    """
    document = files.read_object(path)
    configurations = document.get("configurations")
    if not isinstance(configurations, list) or "wall_seconds" not in document:
        raise ValueError(f"{path} must be the file of a search by TPE, with configurations")
    expected = plan.document()
    found = {name: document.get(name) for name in expected}
    if found != expected:
        raise ValueError(
            f"{path} differs in {differences(found, expected)}; --overwrite replaces it"
        )
    for i, entry in enumerate(configurations):
        try:
            tpe.as_trial(plan, {key: entry[key] for key in tpe.KEYS})
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{path} has a wrong configurations[{i}]") from error
    return document


COMMAND = Command("search", __doc__, define, main)

if __name__ == "__main__":
    COMMAND.run()
