"""The text of --help: what a command does, examples, its own flags."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping

from absl import flags
from absl.flags import FlagValues

WIDTH = 100
_EXAMPLE = re.compile(r"^ *(?=python -m )", re.MULTILINE)  # Python 3.13 unindents docstrings


def help_of(name: str, about: str, own: FlagValues, others: Mapping[str, flags.Flag]) -> str:
    """The help of a command.

    Args:
      name: of its module under `experiments`.
      about: its module's docstring.
      own: its flags, in the order in which they are told.
      others: further ones, told behind them.
    """
    text = [_EXAMPLE.sub("    ", about.strip()), "", "Flags:", *(_line(own[flag]) for flag in own)]
    if others:
        text += ["", "Flags of absl:", *map(_line, others.values())]
    else:
        text += ["", "--helpfull also tells those of absl."]
    return "\n".join([f"experiments.{name}", "", *text])


def _line(flag: flags.Flag) -> str:
    """A flag, what it takes, what it is for, and its default."""
    nothing = flag.default is None or flag.default is False
    default = "" if nothing else f" (default: {_shown(flag.default)})"
    words = flag.parser.enum_values if isinstance(flag.parser, flags.EnumParser) else ()
    choices = f" One of {', '.join(words)}." if words else ""
    told = f"{' '.join(flag.help.split())}{choices}{default}"
    head = f"  --{flag.name}{_value(flag)}"
    if len(head) >= 26:
        return f"{head}\n{_wrapped(told, ' ' * 27)}"
    return _wrapped(told, head.ljust(27))


def _wrapped(text: str, head: str) -> str:
    return textwrap.fill(text, WIDTH, initial_indent=head, subsequent_indent=" " * 27)


def _value(flag: flags.Flag) -> str:
    if flag.boolean:
        return ""
    return {"int": "=N", "float": "=X"}.get(flag.flag_type(), "=...")


def _shown(default: object) -> str:
    return ",".join(map(str, default)) if isinstance(default, list) else str(default)
