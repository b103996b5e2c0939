"""The flags of one command, of absl, each with its bounds: what is out of them is refused."""

from __future__ import annotations

import math
import pathlib
from collections.abc import Sequence

from absl import flags
from absl.flags import FlagValues

MOST_SEED = 2**32 - 1  # seeds are 32 bits wide


class FlagSet:
    """Defines flags; `values` has them. An upper bound is never missing."""

    def __init__(self) -> None:
        self.values = FlagValues()

    def integer(
        self, name: str, default: int | None, told: str, least: int = 1, most: int = 2**31 - 1
    ) -> None:
        """An integer in [least, most]; None: not given."""
        parser = flags.IntegerParser(least, most)
        self._define(parser, name, default, told)

    def number(self, name: str, default: float, told: str, least: float, most: float) -> None:
        """A number in [least, most], and not NaN."""
        self._define(_Number(least, most), name, default, told)

    def text(self, name: str, default: str | None, told: str, required: bool = False) -> None:
        """Any text."""
        self._define(flags.ArgumentParser(), name, default, told, required)

    def folder(self, name: str, told: str, required: bool = True) -> None:
        """A folder, as a path; ~ is the user's own."""
        self._define(_Folder(), name, None, told, required)

    def items(self, name: str, default: Sequence[str], told: str) -> None:
        """Texts with commas between."""
        flags.DEFINE_list(name, list(default), told, flag_values=self.values)

    def choice(self, name: str, default: str | None, of: Sequence[str], told: str) -> None:
        """One of some words; without a default it must be given."""
        parser = flags.EnumParser(list(of))
        self._define(parser, name, default, told, required=default is None)

    def switch(self, name: str, default: bool, told: str) -> None:
        """On or off: --name or --noname."""
        flags.DEFINE_boolean(name, default, told, flag_values=self.values)

    def seed(self) -> None:
        """--seed, of all random numbers."""
        self.integer("seed", 0, "Seed of all random numbers.", 0, MOST_SEED)

    def _define(
        self,
        parser: flags.ArgumentParser,
        name: str,
        default: object,
        told: str,
        required: bool = False,
    ) -> None:
        serializer = flags.ArgumentSerializer()
        flags.DEFINE(
            parser, name, default, told, self.values, serializer=serializer, required=required
        )


class _Number(flags.FloatParser):
    """A number within bounds, between which NaN is not."""

    def is_outside_bounds(self, val: float) -> bool:
        return math.isnan(val) or super().is_outside_bounds(val)


class _Folder(flags.ArgumentParser[pathlib.Path]):
    """A folder's path."""

    def parse(self, argument: str | pathlib.Path) -> pathlib.Path:
        if not str(argument).strip():
            raise ValueError("must name a folder; . is the current one")
        return pathlib.Path(argument).expanduser()

    def flag_type(self) -> str:
        return "folder"
