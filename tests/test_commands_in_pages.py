"""Commands in pages, docstrings, notebooks and result files exist and have right flags."""

from __future__ import annotations

import ast
import importlib
import json
import pathlib
import re
import shlex
from collections.abc import Iterator

import pytest
from binaries import BINARIES, ROOT, command_of

from experiments import notebooks
from experiments.ablations.__main__ import STAGES
from experiments.benchmark.__main__ import CASES, SETTINGS
from experiments.rows.collection import all_rows
from experiments.search.plan import make_plan
from lstm_jax.tasks import make_task, row_names
from lstm_jax.training.recipes.recipe import make_recipe

EXPERIMENTS = ROOT / "experiments"
RESULTS = sorted((EXPERIMENTS / "results").rglob("*.json"))
PAGES = [*ROOT.glob("*.md"), *(ROOT / ".github").rglob("*.*"), *EXPERIMENTS.rglob("*.md")]
SOURCES = [*(ROOT / "lstm_jax").rglob("*.py"), *EXPERIMENTS.rglob("*.py")]
NOTEBOOKS = sorted((EXPERIMENTS / "colab").glob("*.py"))

COMMAND = re.compile(r"python -m (experiments\b[\w.]*)([^&;#\n]*)")
PLACEHOLDERS = {
    "DIR": "out",
    "--case=NAME": "--case=a",
    "--claim=NAME": "--claim=xor",
    "--recipe=RECIPE": "--recipe=paper",
}
ALLOWED = {  # items of lists, which are not checked while flags are parsed
    "case": set(CASES),
    "names": set(notebooks.names()),
    "rows": {"all", "baselines", *all_rows()},
    "stages": set(STAGES),
}


def docstrings(path: pathlib.Path) -> str:
    """Return all docstrings of a file."""
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
    nodes = [n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, documented)]
    return "\n".join(ast.get_docstring(node) or "" for node in nodes)


def texts() -> dict[str, str]:
    """Return every text for readers by the name of its source."""
    found = {str(path.relative_to(ROOT)): path.read_text() for path in [*PAGES, *NOTEBOOKS]}
    found |= {f"{path.relative_to(ROOT)} (docstrings)": docstrings(path) for path in SOURCES}
    return found | {f"{name} --help": command_of(name).about or "" for name in BINARIES}


def commands_in(text: str) -> Iterator[tuple[str, str]]:
    """Yield module and arguments of each command: of code spans, then of the other lines."""
    spans = re.compile(r"(?<!`)`([^`]+)`(?!`)")
    for part in [*(" ".join(span.split()) for span in spans.findall(text)), spans.sub("", text)]:
        yield from COMMAND.findall(part)


def recorded_commands(value: object) -> Iterator[str]:
    """Yield the `command` fields of a document and of all objects in it."""
    if isinstance(value, dict):
        yield from [value["command"]] if isinstance(value.get("command"), str) else []
    children = value.values() if isinstance(value, dict) else value
    for child in children if isinstance(value, (dict, list)) else ():
        yield from recorded_commands(child) if isinstance(child, (dict, list)) else ()


def problem(module: str, arguments: str) -> str | None:
    """Return what is wrong with a command, or None."""
    if module in ("experiments", "experiments.NAME", "experiments.examples.NAME"):
        return None if arguments.strip() in ("", "--help") else "has arguments"
    path = ROOT / module.replace(".", "/")
    if not (path.with_suffix(".py").exists() or (path / "__main__.py").exists()):
        return "does not exist"
    for placeholder, value in PLACEHOLDERS.items():
        arguments = arguments.replace(placeholder, value)
    words = shlex.split(arguments)
    name = module.removeprefix("experiments.")
    if not words or name not in BINARIES:
        return None
    try:
        check_values(name, words)
    except (ValueError, AssertionError) as error:
        return str(error)
    return None


def check_values(name: str, words: list[str]) -> None:
    """Raise ValueError or AssertionError unless flags are defined and their values exist."""
    values = command_of(name).parse(words)
    given = {flag: getattr(values, flag) for flag in values if values[flag].present}
    assert given.get("setting") in {None, *SETTINGS}
    for flag, allowed in ALLOWED.items():
        assert {*listed(given.get(flag))} <= allowed, f"unknown {flag}"
    rows = {*listed(given.get("task")), *listed(given.get("rows"))} & {*row_names()}
    for recipe in map(
        make_recipe, [given.get("recipe", "paper"), *given.get("recipes", "").split()]
    ):
        for row in rows:
            recipe.apply(make_task(row))
    if name == "search":
        make_plan(values)


def listed(value: str | list[str] | None) -> list[str]:
    """Return the items of a flag, as a list or separated by commas."""
    return value.split(",") if isinstance(value, str) else value or []


def test_commands_in_texts():
    found = {source: [*commands_in(text)] for source, text in texts().items()}
    assert len({command for commands in found.values() for command in commands}) > 60
    wrong = {
        f"{source}: python -m {module}{arguments}": reason
        for source, commands in found.items()
        for module, arguments in commands
        if (reason := problem(module, arguments))
    }
    assert wrong == {}


def test_commands_in_result_files():
    found = {c: path for path in RESULTS for c in recorded_commands(json.loads(path.read_text()))}
    assert len(found) > 100
    wrong = {}
    for command, path in found.items():
        ((module, arguments),) = COMMAND.findall(command)
        if reason := problem(module, arguments):
            wrong[f"{path.relative_to(ROOT)}: {command}"] = reason
    assert wrong == {}


def test_flags_that_are_named_alone_are_those_of_a_command():
    defined = {flag for name in BINARIES for flag in command_of(name).flags()} | {"help"}
    defined |= {f"no{flag}" for flag in defined}
    spans = {s: re.findall(r"`--(\w+)[^`]*`", text) for s, text in texts().items()}
    assert {source: wrong for source, s in spans.items() if (wrong := {*s} - defined)} == {}


def test_names_of_the_library_exist():
    wrong = {}
    for source, text in texts().items():
        for name in re.findall(r"`((?:lstm_jax|experiments)(?:\.\w+)+)[(`]", text):
            parts = name.split(".")
            for i in range(len(parts), 0, -1):
                try:
                    found = importlib.import_module(".".join(parts[:i]))
                except ModuleNotFoundError:
                    continue
                break
            for part in parts[i:]:
                found = getattr(found, part, None)
            if found is None and parts[-1] != "NAME":
                wrong[source] = name
    assert wrong == {}


@pytest.mark.parametrize(
    "command",
    [
        ("experiments.subtracting", ""),
        ("experiments.adding", " --tsak=4-100 --out=out"),
        ("experiments.adding", " --task=4-101 --out=out"),
        ("experiments.adding", " --task=4-100"),
        ("experiments.adding", " --out=out --recipe=paper+liner-output"),
        ("experiments.adding", " --out=out --trials=0"),
        ("experiments.reproduce", " --out=out --rows=6a,6c"),
        ("experiments.ablations", " --rows=6a --stages=final"),
        ("experiments.ablations", " --recipes='paper paper+g=none'"),
        ("experiments.claims", " --claim=lag --out=out"),
        ("experiments.benchmark", " --case=a,z"),
        ("experiments.benchmark", " --setting='small loop'"),
        ("experiments.search", " --out=out --blocks=2y2"),
    ],
)
def test_wrong_commands_are_found(command: tuple[str, str]):
    assert problem(*command)
