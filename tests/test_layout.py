"""The library's wings: each imports from those below it, and from none above."""

import ast
import pathlib

import pytest

LIBRARY = pathlib.Path(__file__).parent.parent / "lstm_jax"
# From the ground up.
WINGS = (
    *("cell", "gradient", "network", "data", "tasks", "training"),
    *("baselines", "analysis", "plots"),
)


def imported(path: pathlib.Path) -> set[str]:
    """The dotted names of all modules that a file imports, wherever it does so."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports by a relative name"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@pytest.mark.parametrize("wing", WINGS)
def test_no_wing_imports_from_one_above_it(wing: str):
    above = WINGS[WINGS.index(wing) + 1 :]
    for path in (LIBRARY / wing).rglob("*.py"):
        found = {name for name in imported(path) if name.split(".")[0] == "lstm_jax"}
        assert not {name for name in found if name.split(".")[1:2] and name.split(".")[1] in above}


def test_every_module_is_in_a_wing():
    assert {path.name for path in LIBRARY.glob("*.py")} == {"__init__.py", "__main__.py"}
    assert {path.name for path in LIBRARY.iterdir() if path.is_dir()} - {"__pycache__"} <= {*WINGS}


def test_the_library_imports_nothing_of_the_experiments():
    for path in LIBRARY.rglob("*.py"):
        assert not {name for name in imported(path) if name.split(".")[0] == "experiments"}
