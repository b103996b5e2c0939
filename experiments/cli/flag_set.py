"""The flags of one command, defined with absl in a set of their own."""

from __future__ import annotations

import math
import pathlib
from collections.abc import Sequence

from absl import flags

MAX_SEED = 2**32 - 1  # seeds have 32 bits


class FlagSet:
    """Defines flags with bounds and without absl's global state.

    Attributes:
      values: the flags, in the order of their definition.
    """

    def __init__(self) -> None:
        self.values = flags.FlagValues()
        self.values.set_gnu_getopt()  # flags may follow other arguments

    def integer(
        self, name: str, default: int | None, help: str, least: int = 1, most: int = 2**31 - 1
    ) -> None:
        """Define an integer in [least, most]."""
        flags.DEFINE_integer(name, default, help, least, most, self.values)

    def number(self, name: str, default: float, help: str, least: float, most: float) -> None:
        """Define a number in [least, most], which NaN is not."""
        flags.DEFINE_float(name, default, help, least, most, self.values)
        is_number = lambda value: not math.isnan(value)
        flags.register_validator(name, is_number, "must be a number", self.values)

    def text(self, name: str, default: str | None, help: str, required: bool = False) -> None:
        """Define a text."""
        flags.DEFINE_string(name, default, help, self.values, required=required)

    def folder(self, name: str, help: str, required: bool = True) -> None:
        """Define a folder, a `pathlib.Path`; ~ stands for the home folder."""
        flags.DEFINE(_FolderParser(), name, None, help, self.values, required=required)

    def items(self, name: str, default: Sequence[str], help: str) -> None:
        """Define a list of texts, separated by commas."""
        flags.DEFINE_list(name, list(default), help, self.values)

    def choice(self, name: str, default: str | None, of: Sequence[str], help: str) -> None:
        """Define one of some words, which must be given if there is no default."""
        flags.DEFINE_enum(name, default, of, help, self.values, required=default is None)
        self.values[name].help = f"{help} One of {', '.join(of)}."

    def switch(self, name: str, default: bool, help: str) -> None:
        """Define --name and --noname."""
        flags.DEFINE_boolean(name, default, help, self.values)

    def seed(self) -> None:
        """Define --seed."""
        self.integer("seed", 0, "Seed of all random numbers.", 0, MAX_SEED)


class _FolderParser(flags.ArgumentParser[pathlib.Path]):
    def parse(self, argument: str | pathlib.Path) -> pathlib.Path:
        if not str(argument).strip():
            raise ValueError("must name a folder; . is the current one")
        return pathlib.Path(argument).expanduser()
