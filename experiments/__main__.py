"""An overview of the commands, rows, recipes and overrides: `python -m experiments`."""

from __future__ import annotations

import ast
import pathlib
import textwrap

from experiments.rows.collection import BASELINES, COMMANDS, rows_of
from lstm_jax.training.recipes.overrides import OVERRIDES, OverrideSpec
from lstm_jax.training.recipes.recipe import NAMED

FOLDER = pathlib.Path(__file__).parent
INDENT = 30  # of the second column


def commands() -> dict[str, str]:
    """Return the commands, modules of `experiments`, each with the first line of its docstring."""
    found = {}
    for path in sorted(FOLDER.rglob("*.py")):
        if "COMMAND.run()" in (text := path.read_text()) and path != pathlib.Path(__file__):
            name = ".".join(path.relative_to(FOLDER).with_suffix("").parts)
            about = ast.get_docstring(ast.parse(text)) or ""
            found[name.removesuffix(".__main__")] = about.partition("\n\n")[0]
    return found


def examples() -> dict[str, str]:
    """Return the examples, each with the first line of its docstring."""
    paths = sorted((FOLDER / "examples").glob("[a-z]*.py"))
    abouts = {path.stem: ast.get_docstring(ast.parse(path.read_text())) or "" for path in paths}
    return {name: about.partition("\n")[0] for name, about in abouts.items()}


def _describe(spec: OverrideSpec) -> str:
    text = spec.description.format("VALUE")
    return f"{text} ({spec.parse.allowed})" if spec.parse else text


def overview() -> str:
    """Return the text of `python -m experiments`."""
    sections = {
        "Commands; python -m experiments.NAME --help lists examples and flags:": commands(),
        "Examples; python -m experiments.examples.NAME runs one:": examples(),
        "Rows, by the command that runs them (--task=ROW):": {
            name: " ".join(rows_of(name)) for name in dict.fromkeys([*COMMANDS.values(), BASELINES])
        },
        "Recipes (--recipe=NAME), with the overrides that each stands for:": {
            name: overrides.replace("+", " +") or "none: the hyperparameters of the paper"
            for name, overrides in NAMED.items()
        },
        "Overrides (--recipe=NAME+OVERRIDE+OVERRIDE=VALUE ...), with the values of each:": {
            f"{name}=VALUE" if spec.parse else name: _describe(spec)
            for name, spec in OVERRIDES.items()
        },
    }
    fill = textwrap.TextWrapper(100, "  ", " " * INDENT, break_on_hyphens=False).fill
    lines = []
    for title, entries in sections.items():
        lines += ["", title]
        lines += [fill(f"{name:<{INDENT - 3}} {text}") for name, text in entries.items()]
    return "\n".join(lines[1:])


if __name__ == "__main__":
    print(overview())
