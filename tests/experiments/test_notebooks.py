"""Notebooks agree with their sources, use only the public library, and run."""

from __future__ import annotations

import ast

import pytest

from experiments import notebooks

NAMES = notebooks.names()
MAX_LINES = 15


def code_of(name: str) -> list[str]:
    """Every code cell's text."""
    cells = notebooks.cells(notebooks.from_source(name))
    return [text for kind, text in cells if kind == "code"]


def test_all_notebooks_are_there():
    assert len(NAMES) == 6 and {path.stem for path in notebooks.FOLDER.glob("*.ipynb")} == {*NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_is_its_source_with_outputs(name: str):
    committed = notebooks.committed(name)
    assert notebooks.cells(committed) == notebooks.cells(notebooks.from_source(name))
    code = [cell for cell in committed.cells if cell.cell_type == "code"]
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
    committed = [cell for cell in notebooks.committed(name).cells if cell.cell_type == "code"]
    types = lambda cells: [[output.output_type for output in cell.outputs] for cell in cells]
    assert types(fresh) == types(committed)


def test_an_overwritten_line_is_its_last_text():
    from nbformat.v4 import new_output

    texts = ("\rbar: 0", "\rbar: 1", "\rbar: 2\n\n")
    (one,) = notebooks._tidy([new_output("stream", name="stderr", text=text) for text in texts])
    assert one.text == "bar: 2\n"
