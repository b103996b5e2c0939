"""Notebooks agree with their sources, use only the public library, and run."""

from __future__ import annotations

import ast

import nbformat
import pytest
from nbformat import NotebookNode

from experiments import notebooks

NAMES = notebooks.names()
MAX_LINES = 15


def cells(notebook: NotebookNode) -> list[tuple[str, str]]:
    """Return type and text of each cell."""
    return [(cell.cell_type, cell.source) for cell in notebook.cells]


def committed(name: str) -> NotebookNode:
    """Return the notebook as last written."""
    return nbformat.read(notebooks.FOLDER / f"{name}.ipynb", as_version=4)


def code_of(name: str) -> list[str]:
    """Return every code cell's text."""
    return [text for kind, text in cells(notebooks.from_source(name)) if kind == "code"]


def test_all_notebooks_are_there():
    assert len(NAMES) == 6 and {path.stem for path in notebooks.FOLDER.glob("*.ipynb")} == {*NAMES}


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
    first, *others = code_of(name)
    assert first == code_of(NAMES[0])[0]
    assert "pip" in first and "configure_cpu()" in first
    for text in (first, *others):
        assert sum(bool(line.strip()) for line in text.splitlines()) <= MAX_LINES, text


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_runs_from_start_to_end(name: str):
    notebook = notebooks.from_source(name)
    notebooks.execute(notebook)
    fresh = [cell for cell in notebook.cells if cell.cell_type == "code"]
    written = [cell for cell in committed(name).cells if cell.cell_type == "code"]
    types = lambda cells: [[output.output_type for output in cell.outputs] for cell in cells]
    assert types(fresh) == types(written)
