"""What all binaries share: flags, one line for a user's error, the table of results."""

from __future__ import annotations

import pathlib
import shlex
import sys
from collections.abc import Callable
from typing import Any

from absl import app, flags, logging

from experiments.tables import text_table
from lstm_jax.runtime import configure_cpu


def define_flags() -> None:
    """The flags of every binary that runs rows."""
    flags.DEFINE_string("out", None, "Folder for result files and pictures.", required=True)
    flags.DEFINE_string("recipe", "paper", "By which conditions; see lstm_jax/recipes.py.")
    flags.DEFINE_string("trials", "paper", "How many trials: a number, or 'paper'.")
    flags.DEFINE_integer("seed", 0, "Seed of all random numbers.", lower_bound=0)
    flags.DEFINE_integer("lanes", 8, "Trials side by side on a device.", lower_bound=1)
    flags.DEFINE_integer("devices", 2, "CPU devices to share the trials among.", lower_bound=1)
    flags.DEFINE_integer("max_sequences", None, "A trial's budget; default: the task's.")
    flags.DEFINE_bool("overwrite", False, "Replace result files that exist.")
    flags.DEFINE_bool("resume", False, "Go on from the checkpoint of a run that was cut off.")
    flags.DEFINE_float("checkpoint_seconds", 60.0, "Between checkpoints.", lower_bound=0.0)
    flags.DEFINE_bool("quiet", False, "Print nothing but errors.")


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
        except (ValueError, OSError, ImportError) as error:
            print(f"error: {error}", file=sys.stderr)
            sys.exit(2)
        except KeyboardInterrupt:
            print("interrupted; --resume goes on from the last checkpoint", file=sys.stderr)
            sys.exit(130)

    app.run(guarded, flags_parser=_parse)


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

    options = make_options()
    runner.prepare(options, rows)
    documents = [runner.run_row(row, options) for row in rows]
    if not options.quiet:
        print(text_table(documents))


def make_options() -> Any:
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
