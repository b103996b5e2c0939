"""The result files of a folder: read, in the paper's order, with the best recipe of each row."""

from __future__ import annotations

import dataclasses
import functools
import pathlib
from collections.abc import Sequence

from lstm_jax import baselines as baselines
from lstm_jax.network.files import Document
from lstm_jax.tasks import Task, make_task, row_names
from lstm_jax.training.runs import result_file

RESULTS = pathlib.Path(__file__).parents[1] / "results"


def task_of(row: str) -> str:
    """Return the task that a row belongs to, which names its folder.

    >>> task_of("2a-100.bptt")
    '2a'
    """
    return row.split(".")[0].split("-")[0]


def all_rows() -> list[str]:
    """Return the LSTM's rows in the paper's order, with the baselines' rows after each task."""
    tasks = list(dict.fromkeys(map(task_of, row_names())))
    return sorted((*row_names(), *baselines.row_names()), key=lambda row: tasks.index(task_of(row)))


@functools.cache
def paper_task(row: str) -> Task | None:
    """Return the task of one of the paper's rows, or None for any other name."""
    if row in baselines.row_names():
        return baselines.make_baseline_task(row)
    return make_task(row) if row in row_names() else None


def read_result(path: pathlib.Path) -> Document:
    """Read a result file and return its document, as `complete` returns it.

    Raises:
      ValueError: if it is not a result file.
    """
    return _with_paper(result_file.read_result(path))


def complete(document: Document) -> Document:
    """Return the content of a result file with all that follows from it.

    To what the library's `complete` adds come the titles and the published numbers of the paper's
    rows, which are not in their files.
    """
    return _with_paper(result_file.complete(document))


def _with_paper(document: Document) -> Document:
    task = paper_task(document["task"])
    if task is None:
        return document
    return document | {"title": task.title, "published": dataclasses.asdict(task.published)}


def read_results(folder: pathlib.Path = RESULTS) -> list[Document]:
    """Read the result files of rows in a folder and in its folders that are named by tasks.

    Returns:
      The documents in the paper's order, the recipe `paper` first in each row.

    Raises:
      ValueError: if one of the files is not a result file, or not of one of the paper's rows.
    """
    order = {row: i for i, row in enumerate(all_rows())}
    folders = [folder, *sorted(folder / task for task in {*map(task_of, order)})]
    documents = []
    for path in (path for one in folders for path in sorted(one.glob("*.json"))):
        documents.append(read_result(path))
        if (row := documents[-1]["task"]) not in order:
            raise ValueError(f"{path} must be of one of the paper's rows, got {row!r}")
    return sorted(documents, key=lambda d: (order[d["task"]], d["recipe"] != "paper", d["recipe"]))


def best(documents: Sequence[Document]) -> dict[str, Document]:
    """Return the best document of each row: most trials solved, then fewest sequences."""
    found: dict[str, Document] = {}
    for document in documents:
        row = document["task"]
        if row not in found or _merit(document) > _merit(found[row]):
            found[row] = document
    return found


def best_of_each(documents: Sequence[Document]) -> list[Document]:
    """Return the documents of the recipe `paper`, and the best other document of each row."""
    others = best([d for d in documents if d["recipe"] != "paper"])
    return [d for d in documents if d["recipe"] == "paper" or d is others[d["task"]]]


def _merit(document: Document) -> tuple[float, float]:
    summary = document["summary"]
    return summary["success_rate"], -(summary["mean_sequences"] or 0)
