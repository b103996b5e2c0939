"""The flags of the commands that run rows."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

from absl.flags import FlagValues

from experiments.cli.command import Command, FlagSet, check_platform, configure
from experiments.rows import run
from experiments.rows.collection import BASELINES, rows_of
from experiments.rows.run import RowOptions, resolve
from experiments.rows.text import text_table
from lstm_jax.training.host import processes
from lstm_jax.training.host.cpu import BATCH_SIZE
from lstm_jax.training.recipes.recipe import NAMED
from lstm_jax.training.trials.training_loop import MAX_SEQUENCES

MAX_TRIALS = 2**20
MAX_BATCH_SIZE = 4096
MAX_DEVICES = 64  # the most that have been measured; each costs threads, even without a core


def row_command(name: str, about: str | None) -> Command:
    """Return the command, a module with this docstring, that runs one row: by default its first."""
    rows = rows_of(name)
    further = "--max_sequences=100000" if name == BASELINES else "--recipe=adam"
    examples = "\n".join(
        f"    python -m experiments.{name} {flags} --out=DIR"
        for flags in (
            f"--task={rows[0]}",
            f"--task={rows[-1]} {further}",
            f"--task={rows[0]} --trials=3 --seed=1 --resume",
        )
    )

    def define(flags: FlagSet) -> None:
        flags.choice("task", rows[0], rows, "Row of the paper's tables.")
        define_flags(flags)

    main = lambda values: run_rows([values.task], values)
    return Command(name, f"{(about or '').strip()}\n\n{examples}", define, main)


def define_flags(flags: FlagSet) -> None:
    """Define the flags of a command that runs rows."""
    flags.integer("trials", None, "Number of trials (default: as in the paper).", most=MAX_TRIALS)
    flags.folder("out", "Folder for result files and pictures (required).")
    recipe = (
        "Hyperparameters: one of {}, which +OVERRIDE[=VALUE] may follow; {} lists the overrides."
    )
    flags.text("recipe", "paper", recipe.format(", ".join(NAMED), "`python -m experiments`"))
    flags.seed()
    budget = "Maximum training sequences per trial (default: the task's)."
    flags.integer("max_sequences", None, budget, most=MAX_SEQUENCES)
    flags.switch("resume", False, "Continue from the checkpoint of an interrupted run.")
    flags.switch("overwrite", False, "Replace existing files.")
    flags.switch("quiet", False, "Print errors only.")
    flags.integer("devices", 2, "CPU devices to share the trials among.", most=MAX_DEVICES)
    flags.integer("batch_size", BATCH_SIZE, "Trials side by side on a device.", most=MAX_BATCH_SIZE)
    flags.number("checkpoint_seconds", 60.0, "Minimum time between checkpoints.", 0.0, math.inf)
    flags.folder("logdir", "Folder for TensorBoard's scalars, a subfolder per row.", False)
    flags.text("coordinator", None, "Of several processes: HOST:PORT of the first one, or 'auto'.")
    flags.integer("num_processes", None, "Of several processes: how many there are.")
    flags.integer("process_id", None, "Of several processes: the number of this one, from 0.", 0)


def run_rows(names: Sequence[str], values: FlagValues) -> None:
    """Run rows by the flags, and print their results beside the paper's."""
    options = start(values)
    rows = [resolve(name, options) for name in names]
    run.prepare(rows)
    documents = [run.run_row(row) for row in rows]
    if not options.quiet:
        print(text_table(documents))


def start(values: FlagValues) -> RowOptions:
    """Set the machine up, join the other processes, and return the options of this one.

    Of several processes, only the first prints. Raises ValueError for flags that do not fit.
    """
    options = make_options(values)
    numbers = values.num_processes, values.process_id
    if values.coordinator is None and numbers != (None, None):
        raise ValueError("--num_processes and --process_id need --coordinator, got none")
    configure(values.devices)
    if values.coordinator is not None:
        processes.connect(values.coordinator, *numbers)
    check_platform()
    return options if processes.is_first_process() else dataclasses.replace(options, quiet=True)


def make_options(values: FlagValues) -> RowOptions:
    """Return the flags that all rows share; raise ValueError if they exclude each other."""
    names = [field.name for field in dataclasses.fields(RowOptions)]
    return RowOptions(**{name: getattr(values, name) for name in names})
