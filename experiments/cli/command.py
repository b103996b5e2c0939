"""A command: its flags, its help, and one line on a user's mistake.

Flags are defined when a command runs, in a set of their own, so that a process or a notebook may
import and call as many commands as it likes.
"""

from __future__ import annotations

import contextlib
import contextvars
import dataclasses
import os
import shlex
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence

import jax
from absl import app, flags, logging
from absl.flags import FlagValues

from experiments.cli.flag_set import FlagSet
from experiments.cli.help import format_help
from lstm_jax.training.host.interrupts import Interrupted, end_on_signals

_LINE = contextvars.ContextVar("command line", default="called from Python")


def command_line() -> str:
    """Return the running command as a user would type it."""
    return _LINE.get()


@dataclasses.dataclass(frozen=True)
class Command:
    """One command.

    Attributes:
      name: its module under `experiments`.
      about: the module's docstring: what the command does, in a paragraph, with examples.
      define: defines its flags.
      main: runs it by the parsed flags.
    """

    name: str
    about: str | None
    define: Callable[[FlagSet], None]
    main: Callable[[FlagValues], None]

    def run(self) -> None:
        """Run with the process's arguments; end a user's mistake with one line and status 2."""
        parse = lambda arguments: (arguments, self._parse_or_end(arguments[1:]))
        app.run(self._guarded, argv=[self.name, *sys.argv[1:]], flags_parser=parse)

    def call(self, arguments: Sequence[str]) -> None:
        """Run with other arguments, for programs and notebooks.

        Raises:
          ValueError: if a flag is wrong.
        """
        values = self.parse(arguments)
        with self._as_command(arguments):
            self.main(values)

    def parse(self, arguments: Sequence[str]) -> FlagValues:
        """Return the flags with these arguments.

        Raises:
          ValueError: if one is unknown, wrong or missing.
        """
        values = self.flags()
        for flag in _flags_of_absl():
            if flag.name not in values:
                values[flag.name] = flag
        try:
            rest = values([self.name, *arguments])[1:]
        except flags.Error as error:
            raise ValueError(f"{' '.join(str(error).split()).rstrip('.')}; see --help") from error
        if rest:
            raise ValueError(f"unexpected argument {rest[0]!r}; options begin with --")
        return values

    def flags(self) -> FlagValues:
        """Return its flags, not parsed yet."""
        own = FlagSet()
        self.define(own)
        return own.values

    def _parse_or_end(self, arguments: list[str]) -> FlagValues:
        flags.FLAGS.mark_as_parsed()  # for absl, whose flags are parsed here
        if {"--help", "-h", "--helpshort", "-help", "--helpfull"}.intersection(arguments):
            absl = _flags_of_absl() if "--helpfull" in arguments else ()
            own = self.flags()
            print(format_help(self.name, self.about or "", [own[name] for name in own], absl))
            sys.exit(0)
        try:
            return self.parse(arguments)
        except ValueError as error:
            _end(f"error: {error}", 2)
            raise

    def _guarded(self, parsed: tuple[list[str], FlagValues]) -> None:
        arguments, values = parsed
        if not values["verbosity"].present:
            # Orbax warns of the folders that a killed run left half written or half deleted.
            logging.set_verbosity(logging.ERROR)
        try:
            with self._as_command(arguments[1:]), end_on_signals():
                self.main(values)
        except Interrupted as error:
            _end(str(error), error.status)
        except KeyboardInterrupt:
            _end("interrupted", 130)
        except (ValueError, OSError, ImportError) as error:
            _end(f"error: {' '.join(str(error).split())}", 2)
        except Exception:
            _end(traceback.format_exc(), 1)

    @contextlib.contextmanager
    def _as_command(self, arguments: Sequence[str]) -> Iterator[None]:
        line = shlex.join(["python", "-m", f"experiments.{self.name}", *arguments])
        token = _LINE.set(line)
        try:
            yield
        finally:
            _LINE.reset(token)


def _flags_of_absl() -> list[flags.Flag]:
    modules = flags.FLAGS.flags_by_module_dict()
    return [flag for name in ("absl.app", "absl.logging") for flag in modules[name]]


def _end(message: str, status: int) -> None:
    """End this process; if it is one of several, at once, so that the others notice."""
    print(message, file=sys.stderr, flush=True)
    if jax.distributed.is_initialized():
        os._exit(status)  # JAX would wait for the others, which wait for this one
    sys.exit(status)
