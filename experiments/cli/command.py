"""A command: its flags, its help, and one line on a user's mistake.

Flags are defined when a command runs, in a set of their own, so that a process or a notebook may
import and call as many commands as it likes.
"""

from __future__ import annotations

import contextvars
import dataclasses
import os
import re
import shlex
import sys
import traceback
from collections.abc import Callable, Sequence

import jax
from absl import flags
from absl.flags import FlagValues

from experiments.cli.flag_set import FlagSet
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
      operands: the flag that takes the arguments without a flag, a list; "" if none may be given.
    """

    name: str
    about: str | None
    define: Callable[[FlagSet], None]
    main: Callable[[FlagValues], None]
    operands: str = ""

    def run(self) -> None:
        """Run with the process's arguments; end a user's mistake with one line and status 2."""
        arguments = sys.argv[1:]
        if {"--help", "-h"}.intersection(arguments):
            print(self.help())
            return
        try:
            with end_on_signals():
                self.call(arguments)
        except Interrupted as error:
            _end(str(error), error.status)
        except KeyboardInterrupt:
            _end("interrupted", 130)
        except (ValueError, OSError, ImportError) as error:
            _end(f"error: {' '.join(str(error).split())}", 2)
        except Exception:
            _end(traceback.format_exc(), 1)

    def call(self, arguments: Sequence[str]) -> None:
        """Run with other arguments, as programs do; raise ValueError if a flag is wrong."""
        values = self.parse(arguments)
        line = shlex.join(["python", "-m", f"experiments.{self.name}", *arguments])
        token = _LINE.set(line)
        try:
            self.main(values)
        finally:
            _LINE.reset(token)

    def parse(self, arguments: Sequence[str]) -> FlagValues:
        """Return the flags with these arguments; raise ValueError if one is wrong or missing."""
        values = self.flags()
        try:
            rest = values([self.name, *arguments])[1:]
        except flags.Error as error:
            raise ValueError(f"{' '.join(str(error).split()).rstrip('.')}; see --help") from error
        if rest and not self.operands:
            raise ValueError(f"unexpected argument {rest[0]!r}; options begin with --")
        if rest:
            values[self.operands].value = [*getattr(values, self.operands), *rest]
        return values

    def flags(self) -> FlagValues:
        """Return its flags, not parsed yet."""
        own = FlagSet()
        self.define(own)
        return own.values

    def help(self) -> str:
        """Return the text of --help."""
        # Python 3.13 removes the indentation of docstrings.
        about = re.sub("^ *(?=python -m )", "    ", (self.about or "").strip(), flags=re.MULTILINE)
        _, _, own = self.flags().get_help(include_special_flags=False).strip().partition("\n")
        return f"experiments.{self.name}\n\n{about}\n\nFlags:\n{own}"


def _end(message: str, status: int) -> None:
    """End this process; if it is one of several, at once, so that the others notice."""
    print(message, file=sys.stderr, flush=True)
    if jax.distributed.is_initialized():
        os._exit(status)  # JAX would wait for the others, which wait for this one
    sys.exit(status)
