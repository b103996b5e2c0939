"""The text of --help."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable

from absl import flags

WIDTH, INDENT = 100, 27
_EXAMPLE = re.compile(r"^ *(?=python -m )", re.MULTILINE)  # Python 3.13 unindents docstrings


def format_help(
    name: str, about: str, own: Iterable[flags.Flag], absl: Iterable[flags.Flag] = ()
) -> str:
    """Return the help of a command.

    Args:
      name: its module under `experiments`.
      about: the module's docstring.
      own: its flags.
      absl: absl's flags, for --helpfull.
    """
    lines = [f"experiments.{name}", "", _EXAMPLE.sub("    ", about.strip())]
    lines += ["", "Flags:", *map(_format_flag, own), ""]
    lines += (
        ["Flags of absl:", *map(_format_flag, absl)] if absl else ["--helpfull also lists absl's."]
    )
    return "\n".join(lines)


def format_entry(head: str, text: str) -> str:
    """Return a definition, with its text in a second column."""
    head = f"  {head}"
    text = textwrap.fill(
        " ".join(text.split()),
        WIDTH,
        initial_indent=" " * INDENT,
        subsequent_indent=" " * INDENT,
        break_on_hyphens=False,
    )
    return head + (text[len(head) :] if len(head) < INDENT - 1 else f"\n{text}")


def _format_flag(flag: flags.Flag) -> str:
    text, value = flag.help or "", {"int": "=N", "float": "=X"}.get(flag.flag_type(), "=...")
    if isinstance(flag, flags.EnumFlag):  # whose help text begins with <all|of|its|values>
        text = f"{text.partition('>: ')[2]} One of {', '.join(flag.parser.enum_values)}."
    default = flag.default
    if default is not None and default is not False:
        text += f" (default: {','.join(default) if isinstance(default, list) else default})"
    return format_entry(f"--{flag.name}{'' if flag.boolean else value}", text)
