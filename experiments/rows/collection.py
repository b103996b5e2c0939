"""The result files of a folder: read, ordered as the paper has them, the best recipe of each."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence

from experiments.rows.schema import check_row
from lstm_jax import baselines as baselines
from lstm_jax.network.files import Document
from lstm_jax.tasks import row_names
from lstm_jax.training.runs.result_file import read_json

RESULTS = pathlib.Path(__file__).parents[1] / "results"


def task_of(row: str) -> str:
    """The task that a row belongs to, which names its folder.

    >>> task_of("2a-100.bptt")
    '2a'
    """
    return row.split(".")[0].split("-")[0]


def all_rows() -> list[str]:
    """The LSTM's rows in the paper's order, those of each task followed by its rivals'."""
    tasks = list(dict.fromkeys(map(task_of, row_names())))
    return sorted((*row_names(), *baselines.row_names()), key=lambda row: tasks.index(task_of(row)))


def read_results(folder: pathlib.Path = RESULTS) -> list[Document]:
    """All rows' result files in a folder and in the tasks' folders below it.

    They come in the paper's order, the recipe `paper` first in each row.

    Raises:
      ValueError: if one of the files is no result file, or of no row.
    """
    order = {row: i for i, row in enumerate(all_rows())}
    tasks = {task_of(row) for row in order}
    folders = [folder, *(path for path in sorted(folder.glob("*/")) if path.name in tasks)]
    documents = [_read(path, order) for one in folders for path in sorted(one.glob("*.json"))]
    place = lambda d: (order[d["task"]], d["recipe"] != "paper", d["recipe"])
    return sorted(documents, key=place)


def read_result(path: pathlib.Path) -> Document:
    """Reads a row's result file.

    Raises:
      ValueError: if it is none.
    """
    try:
        document = read_json(path)
    except RecursionError as error:
        raise ValueError(f"{path} nests too deeply") from error
    except ValueError as error:
        if str(path) in str(error):
            raise
        raise ValueError(f"{path} is not JSON: {error}") from error
    check_row(document, path)
    return document


def _read(path: pathlib.Path, rows: dict[str, int]) -> Document:
    document = read_result(path)
    if document["task"] not in rows:
        raise ValueError(f"{path} must be of one of the paper's rows, got {document['task']!r}")
    return document


def best_of_each(documents: Sequence[Document]) -> list[Document]:
    """Of each row the recipe `paper` and, of the others, the one that did best."""
    others = best([d for d in documents if d["recipe"] != "paper"])
    return [d for d in documents if d["recipe"] == "paper" or d is others[d["task"]]]


def best(documents: Sequence[Document]) -> dict[str, Document]:
    """Of each row the document with most trials solved; of those, with fewest sequences."""
    found: dict[str, Document] = {}
    for document in documents:
        row = document["task"]
        if row not in found or _merit(document) > _merit(found[row]):
            found[row] = document
    return found


def _merit(document: Document) -> tuple[float, float]:
    summary = document["summary"]
    return summary["success_rate"], -(summary["mean_sequences"] or 0)
