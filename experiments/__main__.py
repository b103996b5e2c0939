"""An overview of the commands, rows, recipes and overrides: `python -m experiments`."""

from __future__ import annotations

import ast
import pathlib

from experiments.cli.help import format_entry
from experiments.rows.commands import BASELINES, COMMANDS, rows_of
from lstm_jax.training.recipes.overrides import OVERRIDES
from lstm_jax.training.recipes.recipe import NAMED

FOLDER = pathlib.Path(__file__).parent


def commands() -> dict[str, str]:
    """Return the commands, modules of `experiments`, each with the first line of its docstring."""
    found = {}
    for path in sorted(FOLDER.rglob("*.py")):
        if "COMMAND.run()" in (text := path.read_text()) and path != pathlib.Path(__file__):
            name = ".".join(path.relative_to(FOLDER).with_suffix("").parts)
            about = ast.get_docstring(ast.parse(text)) or ""
            found[name.removesuffix(".__main__")] = about.partition("\n\n")[0]
    return found


def overview() -> str:
    """Return the text of `python -m experiments`."""
    sections = {
        "Commands; python -m experiments.NAME --help lists examples and flags:": commands(),
        "Rows, by the command that runs them (--task=ROW):": {
            name: " ".join(rows_of(name)) for name in dict.fromkeys([*COMMANDS.values(), BASELINES])
        },
        "Recipes (--recipe=NAME), with the overrides that each stands for:": {
            name: overrides.replace("+", " +") or "none: the hyperparameters of the paper"
            for name, overrides in NAMED.items()
        },
        "Overrides (--recipe=NAME+OVERRIDE+OVERRIDE=VALUE ...):": {
            f"{name}=VALUE" if override.parse else name: override.description.format("VALUE")
            for name, override in OVERRIDES.items()
        },
    }
    lines = []
    for title, entries in sections.items():
        lines += [title, *(format_entry(name, text) for name, text in entries.items()), ""]
    return "\n".join(lines).rstrip()


if __name__ == "__main__":
    print(overview())
