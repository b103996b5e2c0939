"""The notebooks of `experiments/colab`, executed from their sources.

    python -m experiments.notebooks
    python -m experiments.notebooks --names=inside_a_cell,your_own_task

Each NAME.ipynb is written from NAME.py, in which `# %%` begins a cell and the first cell of code
stands for _setup.py. Needs the extra `notebooks`.
"""

from __future__ import annotations

import os
import pathlib
import time
from typing import TYPE_CHECKING

from experiments.cli.command import Command, FlagSet, FlagValues
from lstm_jax.network.writing import write_atomically

if TYPE_CHECKING:
    from nbformat import NotebookNode

FOLDER = pathlib.Path(__file__).parent / "colab"
TIMEOUT = 600  # seconds per cell


def names() -> list[str]:
    """Return the names of all notebooks."""
    return sorted(path.stem for path in FOLDER.glob("[a-z]*.py"))


def from_source(name: str) -> NotebookNode:
    """Return the notebook of a source, without outputs."""
    import jupytext

    notebook = jupytext.read(FOLDER / f"{name}.py")
    for number, cell in enumerate(notebook.cells):
        cell.id = f"{name}-{number}"[:64]
        cell.metadata.clear()
    first = next(cell for cell in notebook.cells if cell.cell_type == "code")
    first.source = (FOLDER / "_setup.py").read_text().rstrip()
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    notebook.metadata = {"kernelspec": kernel, "language_info": {"name": "python"}}
    return notebook


def execute(notebook: NotebookNode) -> None:
    """Run all cells in a new kernel, with the library of this checkout."""
    from nbclient import NotebookClient

    # Merged streams have the last text of overwritten lines alone.
    options = {"timeout": TIMEOUT, "record_timing": False, "coalesce_streams": True}
    client = NotebookClient(notebook, resources={"metadata": {"path": str(FOLDER)}}, **options)
    client.execute(env=os.environ | {"PYTHONPATH": str(FOLDER.parents[1])})


def define(flags: FlagSet) -> None:
    flags.items("names", [], "Notebooks to run (default: all).", names())


def main(values: FlagValues) -> None:
    """Run notebooks and write them."""
    import nbformat

    for name in values.names or names():
        started, notebook = time.monotonic(), from_source(name)
        execute(notebook)
        write_atomically(FOLDER / f"{name}.ipynb", f"{nbformat.writes(notebook)}\n".encode())
        seconds = time.monotonic() - started
        print(f"{name}: {len(notebook.cells)} cells ran in {seconds:.0f} seconds", flush=True)


COMMAND = Command("notebooks", __doc__, define, main)
if __name__ == "__main__":
    COMMAND.run()
