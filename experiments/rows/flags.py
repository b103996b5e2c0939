"""The flags of all binaries that run rows, and what they do with them."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import TypeVar

from absl.flags import FlagValues

from experiments.cli.command import Command
from experiments.cli.flag_set import FlagSet
from experiments.cli.machine import check_platform, configure
from experiments.rows import run as runner
from experiments.rows.options import BOUNDS, Options
from experiments.rows.text import text_table
from lstm_jax.tasks import row_names
from lstm_jax.training.host import processes
from lstm_jax.training.host.cpu import BATCH_SIZE
from lstm_jax.training.recipes.recipe import NAMED

T = TypeVar("T", bound=Options)

MOST_DEVICES = 64  # the most that are measured; each costs threads, whether there are cores or not


def rows_of(*tasks: str) -> list[str]:
    """The LSTM's rows of the tasks whose names begin so.

    >>> rows_of("6")
    ['6a', '6b']
    """
    return [row for row in row_names() if row.startswith(tasks)]


def row_command(name: str, about: str | None, rows: Sequence[str], told: str) -> Command:
    """The command that runs one row.

    Args:
      name: of its module.
      about: its module's docstring.
      rows: the rows there are, the default first.
      told: what --help says of them.
    """

    def define(flags: FlagSet) -> None:
        flags.choice("task", rows[0], rows, told)
        define_flags(flags)

    return Command(name, about, define, lambda values: run_rows([values.task], values))


def define_flags(flags: FlagSet) -> None:
    """The flags of every binary that runs rows."""
    flags.text("trials", "paper", "How many trials: a number, or 'paper'.")
    define_how(flags)
    flags.number("checkpoint_seconds", 60.0, "Between checkpoints.", 0.0, math.inf)
    flags.folder("logdir", "Folder for TensorBoard's scalars, one of its own a row.", False)
    flags.text("coordinator", None, "Of several processes: HOST:PORT, or 'auto'.")
    flags.integer("num_processes", None, "How many there are.")
    flags.integer("process_id", None, "Which one this is, from 0.", 0)


def define_how(flags: FlagSet, batch_size: int = BATCH_SIZE) -> None:
    """The flags of every binary that runs trials."""
    flags.folder("out", "Folder for result files and pictures; must be given.")
    flags.text("recipe", "paper", f"Conditions: of {', '.join(NAMED)}, and +departures.")
    flags.seed()
    flags.integer("max_sequences", None, "A trial's budget; else the task's.")
    flags.switch("overwrite", False, "Replace result files that exist.")
    flags.switch("resume", False, "Go on from the checkpoint of a run that was cut off.")
    flags.switch("quiet", False, "Print nothing but errors.")
    flags.integer("devices", 2, "CPU devices to share the trials among.", most=MOST_DEVICES)
    flags.integer(
        "batch_size", batch_size, "Trials side by side on a device.", most=BOUNDS["batch_size"][1]
    )


def run_rows(rows: Sequence[str], values: FlagValues) -> None:
    """Runs rows by the flags, and prints their results beside the paper's."""
    options = start(make_options(values), values)
    runner.prepare(options, list(rows))
    documents = [runner.run_row(row, options) for row in rows]
    if not options.quiet:
        print(text_table(documents))


def start(options: T, values: FlagValues) -> T:
    """Checks the options and, by the flags, joins the other processes, of which the first prints.

    Raises:
      ValueError: if an option is wrong, or the machine is not as it says.
    """
    options.check()
    numbers = values.num_processes, values.process_id
    if values.coordinator is None and numbers != (None, None):
        raise ValueError("--num_processes and --process_id need --coordinator, got none")
    configure(values.devices)
    if values.coordinator is not None:
        processes.connect(values.coordinator, *numbers)
    check_platform()
    return options if processes.is_first_process() else dataclasses.replace(options, quiet=True)


def make_options(values: FlagValues) -> Options:
    """The flags as `Options`.

    Raises:
      ValueError: if --trials is neither "paper" nor a positive number.
    """
    text = values.trials
    is_number = text.isascii() and text.isdecimal() and len(text) < 20 and int(text) > 0
    if text != "paper" and not is_number:
        raise ValueError(f"--trials must be 'paper' or a positive number, got {text!r}")
    fields = {field.name for field in dataclasses.fields(Options)} - {"trials"}
    return Options(
        trials=None if text == "paper" else int(text),
        **{name: getattr(values, name) for name in fields},
    )
