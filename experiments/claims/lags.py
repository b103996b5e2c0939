"""Task 2c: sequences until success against the minimal time lag; trains nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from experiments.claims.base import Settings
from experiments.rows import figures as pictures
from experiments.rows.collection import read_results, task_of
from experiments.rows.text import row_label
from lstm_jax.network.files import Document

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def run(settings: Settings) -> Document:
    """What the result files say of the rows of task 2c."""
    del settings  # the numbers are those of the result files
    return {"rows": {row_label(d): d["summary"] for d in _documents()}}


def draw(document: Document) -> Figure:
    """The mean of the solved trials against the lag, beside the paper's."""
    del document  # the result files have the published numbers as well
    return pictures.lags(_documents())


def _documents() -> list[Document]:
    return [document for document in read_results() if task_of(document["task"]) == "2c"]
