"""The notebooks of `experiments/colab`, executed from their sources.

    python -m experiments.notebooks
    python -m experiments.notebooks --names=inside_a_cell,your_own_task
    python -m experiments.notebooks --check

A source is a Python file with `# %%` before each cell; its first cell of code stands for _setup.py.
Each NAME.ipynb is written from NAME.py with all outputs. With --check nothing is written; a
notebook that differs from its source or fails is an error.
"""

from __future__ import annotations

import os
import pathlib
import time
from typing import Any

from absl.flags import FlagValues

from experiments.cli.command import Command
from experiments.cli.flag_set import FlagSet
from lstm_jax.training.runs.result_file import write_atomically

FOLDER = pathlib.Path(__file__).parent / "colab"
TIMEOUT = 600  # seconds per cell


def names() -> list[str]:
    """Return the names of all notebooks."""
    return sorted(path.stem for path in FOLDER.glob("[a-z]*.py"))


def from_source(name: str) -> Any:
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


def committed(name: str) -> Any:
    """Return the notebook as last written."""
    import nbformat

    return nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)


def cells(notebook: Any) -> list[tuple[str, str]]:
    """Return type and text of each cell."""
    return [(cell.cell_type, cell.source) for cell in notebook.cells]


def execute(notebook: Any) -> float:
    """Run all cells in a new kernel, with the library of this checkout; return the seconds."""
    from nbclient import NotebookClient

    started = time.monotonic()
    resources = {"metadata": {"path": str(FOLDER)}}
    client = NotebookClient(notebook, timeout=TIMEOUT, resources=resources, record_timing=False)
    client.execute(env=os.environ | {"PYTHONPATH": str(FOLDER.parents[1])})
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = _tidy(cell.outputs)
    return time.monotonic() - started


def _tidy(outputs: list[Any]) -> list[Any]:
    """Join the texts of each stream, and keep the last text of overwritten lines."""
    texts: dict[str, Any] = {}
    tidy = []
    for output in outputs:
        if output.output_type == "stream":
            if output.name in texts:
                texts[output.name].text += output.text
                continue
            texts[output.name] = output
        tidy.append(output)
    for output in texts.values():
        lines = output.text.rstrip().split("\n")
        output.text = "\n".join(line.rsplit("\r", 1)[-1] for line in lines) + "\n"
    return tidy


def define(flags: FlagSet) -> None:
    """Define the flags."""
    flags.items("names", [], "Notebooks to run (default: all).")
    flags.switch("check", False, "Write nothing; fail if a notebook differs or does not run.")


def main(values: FlagValues) -> None:
    """Run notebooks, and write them without --check."""
    for name in values.names or names():
        if name not in names():
            raise ValueError(f"--names must be of {', '.join(names())}, got {name!r}")
        notebook = from_source(name)
        if values.check and cells(notebook) != cells(committed(name)):
            raise ValueError(
                f"{name}.ipynb differs from {name}.py; run without --check to write it"
            )
        seconds = execute(notebook)
        if not values.check:
            _write(name, notebook)
        print(f"{name}: {len(notebook.cells)} cells ran in {seconds:.0f} seconds", flush=True)


def _write(name: str, notebook: Any) -> None:
    import nbformat

    text = nbformat.writes(notebook) + "\n"
    write_atomically(FOLDER / f"{name}.ipynb", text.encode())


COMMAND = Command("notebooks", __doc__, define, main)

if __name__ == "__main__":
    COMMAND.run()
