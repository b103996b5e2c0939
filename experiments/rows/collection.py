"""The rows of the paper's tables and their result files, in the paper's order."""

from __future__ import annotations

import dataclasses
import functools
import pathlib
from collections.abc import Sequence

from lstm_jax import Task, baselines, make_task, row_names
from lstm_jax.network.files import Document
from lstm_jax.training.runs import result_file

RESULTS = pathlib.Path(__file__).parents[1] / "results"
BASELINES = "baselines"
COMMANDS = {  # prefix of a row's name -> module of `experiments`
    "1": "embedded_reber",
    "2a": "noise_free",
    "2b": "noise_free",
    "2c": "very_long_lags",
    "3": "two_sequence",
    "4": "adding",
    "5": "multiplication",
    "6": "temporal_order",
}


def task_of(row: str) -> str:
    """Return the task that a row belongs to, "2a" for "2a-100.bptt", which names its folder."""
    return row.split(".")[0].split("-")[0]


def command_of(row: str) -> str:
    """Return the module of the command that runs a row, "very_long_lags" for "2c-50-50"."""
    prefixes = (prefix for prefix in COMMANDS if row.startswith(prefix))
    return BASELINES if "." in row else COMMANDS[next(prefixes)]


def rows_of(command: str) -> list[str]:
    """Return the rows that a command runs, in the paper's order."""
    return [row for row in all_rows() if command_of(row) == command]


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
    """Read a result file, as `with_paper` returns it; raise ValueError if it is not one."""
    return with_paper(result_file.read_result(path))


def with_paper(document: Document) -> Document:
    """Return a document with the title and the published numbers, which follow from its row."""
    task = paper_task(document["task"])
    if task is None:
        return document
    return document | {"title": task.title, "published": dataclasses.asdict(task.published)}


def has_solved_network(document: Document) -> bool:
    """Return whether a document holds the network of a solved trial."""
    return bool(document.get("network") and document["summary"]["solved"])


def paper_order(document: Document) -> tuple[int, str, bool, str]:
    """Return the key by which documents are sorted: rows as in the paper, `paper` first in each."""
    rows, row, recipe = all_rows(), document["task"], document["recipe"]
    return rows.index(row) if row in rows else len(rows), row, recipe != "paper", recipe


def read_results(folder: pathlib.Path = RESULTS) -> list[Document]:
    """Return the results in a folder and in its folders named by tasks, in paper order.

    Raises ValueError if a file is not a result of one of the paper's rows.
    """
    tasks = sorted({*map(task_of, all_rows())})
    documents = []
    for path in [path for task in ("", *tasks) for path in sorted((folder / task).glob("*.json"))]:
        documents.append(read_result(path))
        if paper_task(row := documents[-1]["task"]) is None:
            raise ValueError(f"{path} must be of one of the paper's rows, got {row!r}")
    return sorted(documents, key=paper_order)


def best(documents: Sequence[Document]) -> dict[str, Document]:
    """Return the best document of each row: most trials solved, then fewest sequences."""

    def merit(document: Document) -> tuple[float, float]:
        summary = document["summary"]
        return summary["success_rate"], -(summary["mean_sequences"] or 0)

    rows = dict.fromkeys(d["task"] for d in documents)
    return {row: max((d for d in documents if d["task"] == row), key=merit) for row in rows}


def best_of_each(documents: Sequence[Document]) -> list[Document]:
    """Return the documents of the recipe `paper`, and the best other document of each row."""
    others = best([d for d in documents if d["recipe"] != "paper"])
    return [d for d in documents if d["recipe"] == "paper" or d is others[d["task"]]]
