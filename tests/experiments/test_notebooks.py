"""Notebooks agree with their sources, use only the public library, and run."""

from __future__ import annotations

import ast
import base64
import importlib.util
import io
import re
from collections import Counter

import nbformat
import pytest
from nbformat import NotebookNode
from PIL import Image

from experiments import notebooks
from lstm_jax.tasks import temporal_order

NAMES = notebooks.names()
MAX_LINES = 15
MAX_BYTES = 1_000_000
# Loop variables, and what a cell makes to draw or to report with.
TEMPORARY = {"_", "axes", "bar", "colour", "figure", "name", "one", "row"}


def cells(notebook: NotebookNode) -> list[tuple[str, str]]:
    """Return type and text of each cell."""
    return [(cell.cell_type, cell.source) for cell in notebook.cells]


def committed(name: str) -> NotebookNode:
    """Return the notebook as last written."""
    return nbformat.read(notebooks.FOLDER / f"{name}.ipynb", as_version=4)


def code_of(name: str) -> list[str]:
    """Return every code cell's text."""
    return [text for kind, text in cells(notebooks.from_source(name)) if kind == "code"]


def assigned(code: str) -> set[str]:
    """Return the names that a cell assigns outside of functions and comprehensions."""
    inner = (ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)

    def names(node: ast.AST) -> set[str]:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            return {node.name}
        if isinstance(node, inner):
            return set()
        if isinstance(node, ast.Name):
            return {node.id} if isinstance(node.ctx, ast.Store) else set()
        return set().union(*map(names, ast.iter_child_nodes(node)))

    return names(ast.parse(code))


def names_in(code: str, context: type[ast.expr_context]) -> set[str]:
    """Return the names that a cell reads (`ast.Load`) or binds (`ast.Store`, parameters too)."""
    nodes = list(ast.walk(ast.parse(code)))
    parameters = {node.arg for node in nodes if isinstance(node, ast.arg)}
    found = {n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, context)}
    return found | parameters if context is ast.Store else found


def exercises(name: str) -> str:
    """Return the text of the last cell, from its heading."""
    kind, text = cells(notebooks.from_source(name))[-1]
    assert kind == "markdown"
    return text.partition("## Exercises\n")[2]


SHORT = ("inside_a_cell", "your_own_task")  # CI runs these
NEEDS = {"real_sequences": ("sktime", "statsmodels")}  # packages of the extra `data`


def test_all_notebooks_are_there():
    assert len(NAMES) == 10 and {path.stem for path in notebooks.FOLDER.glob("*.ipynb")} == {*NAMES}


def test_readme_leads_to_every_notebook():
    readme = (notebooks.FOLDER.parents[1] / "README.md").read_text()
    linked = re.findall(r"\(experiments/colab/(\w+)\.ipynb\)", readme)
    assert sorted(linked) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_is_its_source_with_outputs(name: str):
    written = committed(name)
    assert cells(written) == cells(notebooks.from_source(name))
    code = [cell for cell in written.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "error"]
    assert [output for output in outputs if "image/png" in output.get("data", {})]


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_uses_only_the_public_library(name: str):
    code = "\n".join(code_of(name))
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.ImportFrom):
            parts = [*str(node.module).split("."), *(alias.name for alias in node.names)]
        elif isinstance(node, ast.Import):
            parts = [part for alias in node.names for part in alias.name.split(".")]
        elif isinstance(node, ast.Attribute):
            parts = [node.attr] if node.attr not in ("_replace", "_asdict") else []
        else:
            continue
        assert "experiments" not in parts
        assert not [part for part in parts if part.startswith("_")]


@pytest.mark.parametrize("name", NAMES)
def test_cells_are_short_and_the_first_one_installs(name: str):
    """The setup is folded, so it may be longer."""
    first, *others = code_of(name)
    assert first == code_of(NAMES[0])[0]
    assert first.startswith("# @title Setup")
    assert "pip" in first and "configure_cpu()" in first
    for text in others:
        assert sum(bool(line.strip()) for line in text.splitlines()) <= MAX_LINES, text


@pytest.mark.parametrize("name", NAMES)
def test_cells_may_run_again_out_of_order(name: str):
    """No name is assigned in two cells, but temporary ones that a cell assigns before it reads."""
    code = code_of(name)
    count = Counter(found for text in code for found in assigned(text))
    assert {found for found, cells in count.items() if cells > 1} <= TEMPORARY
    for text in code:
        assert names_in(text, ast.Load) & TEMPORARY <= names_in(text, ast.Store)


@pytest.mark.parametrize("name", NAMES)
def test_training_has_a_bar_and_may_solve_nothing(name: str):
    """Runs report every chunk or epoch, and a search for a solved trial has a default."""
    nodes = ast.walk(ast.parse("\n".join(code_of(name))))
    for call in (node for node in nodes if isinstance(node, ast.Call)):
        called = ast.unparse(call.func)
        keywords = {keyword.arg for keyword in call.keywords}
        if called.startswith("lstm.TrialRunner(") and called.endswith(").run"):
            assert "on_chunk" in keywords
        if called == "lstm.fit":
            assert "on_epoch" in keywords
        if called == "next":
            assert len(call.args) == 2


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_ends_with_two_exercises_with_hidden_answers(name: str):
    text = exercises(name)
    assert re.findall(r"^\*\*(\d)\.\*\* ", text, re.MULTILINE) == ["1", "2"]
    hidden = re.findall(
        r"^<details><summary>Answer</summary>\n\n.*?\n</details>$", text, re.M | re.S
    )
    assert len(hidden) == 2
    assert all("```python" in one for one in hidden)


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_is_small(name: str):
    assert (notebooks.FOLDER / f"{name}.ipynb").stat().st_size < MAX_BYTES


def test_twenty_networks_states_the_lengths_of_task_6a():
    _, text = cells(notebooks.from_source("twenty_networks_learn"))[0]
    text = " ".join(text.split())
    shortest, longest = temporal_order.MIN_LENGTH, temporal_order.MAX_LENGTH
    assert f"{shortest} to {longest} letters" in text
    for low, high in temporal_order.RANGES["6a"]:
        assert f"one from {low} to {high}" in text
        assert f"{shortest - 1 - high} to {longest - 1 - low} steps" in text


def test_the_cell_in_motion_is_short():
    outputs = [out for cell in committed("inside_a_cell").cells for out in cell.get("outputs", [])]
    (movie,) = [out.data["image/gif"] for out in outputs if "image/gif" in out.get("data", {})]
    with Image.open(io.BytesIO(base64.b64decode(movie))) as image:
        assert 12 <= image.n_frames <= 40


def _run_by(name: str) -> object:
    """Mark the notebooks that take more than a minute."""
    marks = () if name in SHORT else (pytest.mark.release,)
    return pytest.param(name, marks=marks)


@pytest.mark.parametrize("name", [_run_by(name) for name in NAMES])
def test_a_notebook_runs_from_start_to_end(name: str):
    """So do the answers of its exercises."""
    for package in NEEDS.get(name, ()):
        if not importlib.util.find_spec(package):
            pytest.skip(f"{name} would install {package}, which is not installed here")
    notebook = notebooks.from_source(name)
    answers = re.findall(r"```python\n(.*?)```", exercises(name), re.DOTALL)
    notebook.cells += map(nbformat.v4.new_code_cell, answers)
    notebooks.execute(notebook)
    fresh = [cell for cell in notebook.cells if cell.cell_type == "code"][: -len(answers)]
    written = [cell for cell in committed(name).cells if cell.cell_type == "code"]
    types = lambda cells: [[output.output_type for output in cell.outputs] for cell in cells]
    assert types(fresh) == types(written)
