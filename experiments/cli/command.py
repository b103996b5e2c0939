"""The interface of a command: its flags, its help, its errors, and settings of JAX.

Flags are defined when a command runs, in a set of their own, so that a process or a notebook may
import and call as many commands as it likes.
"""

from __future__ import annotations

import contextvars
import dataclasses
import importlib
import math
import os
import pathlib
import re
import shlex
import sys
import traceback
from collections.abc import Callable, Sequence
from types import ModuleType

import jax
from absl import flags
from absl.flags import FlagValues

from lstm_jax import configure_cpu
from lstm_jax.training.host.interrupts import Interrupted, end_at_second_signal, end_on_signals

_LINE = contextvars.ContextVar("command line", default="called from Python")


def command_line() -> str:
    """Return the running command as a user would type it."""
    return _LINE.get()


class FlagSet:
    """The flags of a command, in `values`, with bounds and without absl's global state.

    Attributes:
      values: the flags defined so far.
      heading: title of the part of --help for flags that are defined next; absl calls it a module.
    """

    def __init__(self) -> None:
        self.heading = "Flags"
        self.values = flags.FlagValues()
        self.values.set_gnu_getopt()  # flags may follow other arguments

    def integer(
        self, name: str, default: int | None, help: str, least: int = 1, most: int = 2**31 - 1
    ) -> None:
        """Define an integer in [least, most]."""
        flags.DEFINE_integer(
            name, default, help, least, most, self.values, module_name=self.heading
        )

    def number(self, name: str, default: float, help: str, least: float, most: float) -> None:
        """Define a number in [least, most], which NaN is not."""
        flags.DEFINE_float(name, default, help, least, most, self.values, module_name=self.heading)
        is_number = lambda value: not math.isnan(value)
        flags.register_validator(name, is_number, "must be a number", self.values)

    def text(self, name: str, default: str | None, help: str, required: bool = False) -> None:
        """Define a text."""
        flags.DEFINE_string(name, default, help, self.values, required, module_name=self.heading)

    def folder(self, name: str, help: str, required: bool = True) -> None:
        """Define a folder, a `pathlib.Path`; ~ stands for the home folder."""
        self._path(name, "a folder; . is the current one", help, required)

    def file(self, name: str, help: str, required: bool = True) -> None:
        """Define a file, a `pathlib.Path`; ~ stands for the home folder."""
        self._path(name, "a file", help, required)

    def _path(self, name: str, what: str, help: str, required: bool) -> None:
        parser = _PathParser(what)
        flags.DEFINE(
            parser, name, None, help, self.values, required=required, module_name=self.heading
        )

    def output(self, files: str) -> None:
        """Define --out, the folder for some files, and --overwrite."""
        self.folder("out", f"Folder for {files} (required).")
        self.switch("overwrite", False, "Replace existing files.")

    def items(
        self, name: str, default: Sequence[str], help: str, of: Sequence[str] | None = None
    ) -> None:
        """Define a list of texts, separated by commas, each one `of` some words if given."""
        flags.DEFINE_list(name, list(default), help, self.values, module_name=self.heading)
        if of is not None:
            are_known = lambda found: {*found} <= {*of} and bool(found or not default)
            flags.register_validator(name, are_known, f"must be of {', '.join(of)}", self.values)

    def choice(self, name: str, default: str | None, of: Sequence[str], help: str) -> None:
        """Define one of some words, required if `default` is None."""
        required = default is None
        flags.DEFINE_enum(
            name, default, of, help, self.values, required=required, module_name=self.heading
        )
        self.values[name].help = f"{help} One of {', '.join(of)}."

    def switch(self, name: str, default: bool, help: str) -> None:
        """Define --name and --noname."""
        flags.DEFINE_boolean(name, default, help, self.values, module_name=self.heading)

    def seed(self) -> None:
        """Define --seed, of 32 bits."""
        self.integer("seed", 0, "Seed of all random numbers.", 0, 2**32 - 1)


class _PathParser(flags.ArgumentParser[pathlib.Path]):
    def __init__(self, what: str) -> None:
        self._what = what

    def parse(self, argument: str | pathlib.Path) -> pathlib.Path:
        if not str(argument).strip():
            raise ValueError(f"must name {self._what}")
        if "\0" in str(argument):
            raise ValueError("must not contain a null character")
        return pathlib.Path(argument).expanduser()


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
        """Run with the arguments of the process; a wrong flag ends it with a line and status 2."""
        arguments = sys.argv[1:]
        try:
            if {"--help", "-h"}.intersection(arguments):
                print(self.help(), flush=True)
                return
            end_at_second_signal()
            with end_on_signals():
                self.call(arguments)
        except BrokenPipeError:  # whoever read the output has seen enough, such as `head`
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(1)
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
        token = _LINE.set(shlex.join(["python", "-m", f"experiments.{self.name}", *arguments]))
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
        if all(name in values and values[name].value for name in ("resume", "overwrite")):
            raise ValueError("--resume and --overwrite exclude each other, got both")
        return values

    def flags(self) -> FlagValues:
        """Return the flags, not parsed yet."""
        own = FlagSet()
        self.define(own)
        return own.values

    def help(self) -> str:
        """Return the text of --help."""
        # Python 3.13 removes the indentation of docstrings.
        about = re.sub("^ *(?=python -m )", "    ", (self.about or "").strip(), flags=re.MULTILINE)
        values = self.flags()
        parts = map(values.module_help, values.flags_by_module_dict())
        return "\n".join([f"experiments.{self.name}\n\n{about}", *parts])


def _end(message: str, status: int) -> None:
    """End this process; if it is one of several, at once, so that the others notice."""
    print(message, file=sys.stderr, flush=True)
    if jax.distributed.is_initialized():
        os._exit(status)  # JAX would wait for the others, which wait for this one
    sys.exit(status)


def import_extra(module: str, extra: str, purpose: str) -> ModuleType:
    """Import a module of an extra, or raise ImportError, which says what to install."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        install = f"pip install 'lstm_jax[{extra}]'"
        raise ImportError(f"{purpose} needs {module}: {install}") from error


def configure(devices: int | None = None, cache: pathlib.Path | None = None) -> None:
    """Call `configure_cpu`; warn if JAX has already started, as in a notebook."""
    try:
        configure_cpu(devices, cache=cache)
    except RuntimeError:
        warning = (
            "warning: JAX has already started, so this run is slower and --devices has no effect; "
            "call lstm_jax.configure_cpu() in the first cell of a fresh kernel"
        )
        print(warning, file=sys.stderr)


def check_platform() -> None:
    """Raise ValueError if JAX_PLATFORMS names a platform that this machine does not have."""
    try:
        jax.devices()
    except RuntimeError as error:
        found = f"{os.environ.get('JAX_PLATFORMS', '')!r}: {str(error).splitlines()[0].rstrip('.')}"
        message = f"JAX_PLATFORMS must name platforms of this machine, got {found}"
        raise ValueError(message) from error
