"""What all binaries share: flags, one line for a user's error, the table of results."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import shlex
import sys
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING

import jax
from absl import app, flags, logging

from experiments.tables import text_table
from lstm_jax.training import processes
from lstm_jax.training.runtime import configure_cpu

if TYPE_CHECKING:
    from experiments.runner import Options


def define_flags() -> None:
    """The flags of every binary that runs rows."""
    flags.DEFINE_string("out", None, "Folder for result files and pictures.", required=True)
    flags.DEFINE_string("recipe", "paper", "By which conditions; see lstm_jax/training/recipes.py.")
    flags.DEFINE_string("trials", "paper", "How many trials: a number, or 'paper'.")
    flags.DEFINE_integer("seed", 0, "Seed of all random numbers.", lower_bound=0)
    flags.DEFINE_integer("lanes", 8, "Trials side by side on a device.", lower_bound=1)
    flags.DEFINE_integer("devices", 2, "CPU devices to share the trials among.", lower_bound=1)
    flags.DEFINE_integer("max_sequences", None, "A trial's budget; default: the task's.")
    flags.DEFINE_bool("overwrite", False, "Replace result files that exist.")
    flags.DEFINE_bool("resume", False, "Go on from the checkpoint of a run that was cut off.")
    flags.DEFINE_float("checkpoint_seconds", 60.0, "Between checkpoints.", lower_bound=0.0)
    flags.DEFINE_bool("quiet", False, "Print nothing but errors.")
    flags.DEFINE_string("coordinator", None, "Of several processes: HOST:PORT, or 'auto'.")
    flags.DEFINE_integer("num_processes", None, "How many processes there are.", lower_bound=1)
    flags.DEFINE_integer("process_id", None, "Which of them this is, from 0.", lower_bound=0)


def run(main: Callable[[], None]) -> None:
    """Runs a binary: a user's mistake ends it with one line and exit status 2."""

    def guarded(arguments: list[str]) -> None:
        if not flags.FLAGS["verbosity"].present:
            # Orbax warns of the folders that a killed run left half written or half deleted.
            logging.set_verbosity(logging.ERROR)
        try:
            if len(arguments) > 1:
                raise ValueError(f"unexpected argument {arguments[1]!r}; options begin with --")
            main()
        except ConnectionError as error:
            _end(f"error: {error}; --resume goes on from the last checkpoint", 2)
        except (ValueError, OSError, ImportError) as error:
            _end(f"error: {error}", 2)
        except KeyboardInterrupt:
            _end("interrupted; --resume goes on from the last checkpoint", 130)
        except Exception:
            _end(traceback.format_exc(), 1)

    app.run(guarded, flags_parser=_parse)


def _end(message: str, status: int) -> None:
    """Ends this process; where it is one of several, at once, so that the others hear of it."""
    print(message, file=sys.stderr, flush=True)
    if jax.distributed.is_initialized():
        os._exit(status)  # JAX would wait for the others, which wait for this one
    sys.exit(status)


def _parse(arguments: list[str]) -> list[str]:
    """Parses the flags; returns the other arguments, the program's name first."""
    try:
        return flags.FLAGS(arguments)
    except flags.Error as error:
        print(f"error: {' '.join(str(error).split()).rstrip('.')}; see --help", file=sys.stderr)
        sys.exit(2)


def command_line() -> str:
    """The command that started this process, as a user would type it."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    return shlex.join(["python", "-m", spec.name if spec else sys.argv[0], *sys.argv[1:]])


def run_rows(rows: list[str]) -> None:
    """Runs rows by the flags, and prints their results beside the paper's."""
    configure_cpu(flags.FLAGS.devices)
    from experiments import runner  # JAX must not start before it is configured

    options = start(make_options())
    runner.prepare(options, rows)
    documents = [runner.run_row(row, options) for row in rows]
    if not options.quiet:
        print(text_table(documents))


def start(options: Options) -> Options:
    """Checks the options and, by the flags, joins the other processes, of which the first prints.

    Raises:
      ValueError: if an option is wrong.
    """
    options.check()
    values = flags.FLAGS
    numbers = values.num_processes, values.process_id
    if values.coordinator is None:
        if numbers != (None, None):
            raise ValueError("--num_processes and --process_id need --coordinator, got none")
        return options
    processes.connect(values.coordinator, *numbers)
    return options if processes.is_first() else dataclasses.replace(options, quiet=True)


def make_options() -> Options:
    """The flags as `experiments.runner.Options`.

    Raises:
      ValueError: if --trials is neither "paper" nor a positive number.
    """
    from experiments.runner import Options

    values = flags.FLAGS
    if values.trials != "paper" and not (values.trials.isdecimal() and int(values.trials) > 0):
        raise ValueError(f"--trials must be 'paper' or a positive number, got {values.trials!r}")
    return Options(
        out=pathlib.Path(values.out),
        recipe=values.recipe,
        trials=None if values.trials == "paper" else int(values.trials),
        seed=values.seed,
        lanes=values.lanes,
        max_sequences=values.max_sequences,
        overwrite=values.overwrite,
        resume=values.resume,
        checkpoint_seconds=values.checkpoint_seconds,
        quiet=values.quiet,
    )
