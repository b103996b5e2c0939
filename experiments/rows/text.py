"""Columns of tables, for terminals, Markdown and HTML."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from experiments.rows.collection import paper_task
from lstm_jax import Architecture
from lstm_jax.network.files import Document

T = TypeVar("T")
Column = tuple[str, Callable[[T], str]]  # its title, and the cell of a row


def show(value: float | None, digits: int = 0) -> str:
    """Return a number such as 31,390 with `digits` decimals, or a dash for None."""
    return "-" if value is None else f"{value:,.{digits}f}"


def percent(value: float | None) -> str:
    """Return a percentage, or a dash for None."""
    return "-" if value is None else f"{value:.0f}%"


def solved(document: Document) -> str:
    """Return how many trials were solved, of how many."""
    return "{solved}/{trials}".format_map(document["summary"])


def num_weights(document: Document) -> int | None:
    """Return the number of weights of a network; None for an unknown network."""
    try:
        return Architecture(**document["architecture"]).num_weights
    except TypeError:  # the network of a baseline
        task = paper_task(document["task"])
        return task and task.architecture.num_weights


def row_label(document: Document) -> str:
    """Return a row's name, with its recipe unless that is `paper`."""
    recipe = document["recipe"]
    return document["task"] if recipe == "paper" else f"{document['task']} ({recipe})"


# Each of the paper's numbers follows ours.
SHORT: tuple[Column[Document], ...] = (
    ("row", lambda d: d["task"]),
    ("recipe", lambda d: d["recipe"]),
    ("solved", solved),
    ("paper", lambda d: percent(d["published"]["success_rate"])),
    ("sequences", lambda d: show(d["summary"]["mean_sequences"])),
    ("paper", lambda d: show(d["published"]["mean_sequences"])),
    ("wrong", lambda d: show(d["summary"]["mean_test_wrong"], 1)),
    ("minutes", lambda d: f"{d['wall_seconds'] / 60:.1f}"),
)


def _cells(rows: Iterable[T], columns: Sequence[Column[T]]) -> list[list[str]]:
    titles = [title for title, _ in columns]
    return [titles, *([cell(row) for _, cell in columns] for row in rows)]


def text_table(
    documents: Sequence[Document], columns: Sequence[Column[Document]] = SHORT, most: int = 18
) -> str:
    """Return lines of text, with at most `most` characters in a cell.

    With `SHORT`, all rows and all named recipes fit into 80 columns.
    """
    lines = [
        [cell if len(cell) <= most else f"{cell[: most - 3]}..." for cell in line]
        for line in _cells(documents, columns)
    ]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    lines.insert(1, ["-" * width for width in widths])
    return "\n".join(" ".join(map(str.rjust, line, widths)) for line in lines)


def markdown(titles: Sequence[str], lines: Iterable[Sequence[str]], further: str = "---") -> str:
    """Return a Markdown table; `further` is the rule of all columns but the first."""
    rule = ["---", *[further] * (len(titles) - 1)]
    return "".join(f"| {' | '.join(line)} |\n" for line in (titles, rule, *lines))


def markdown_table(rows: Iterable[T], columns: Sequence[Column[T]]) -> str:
    """Return a Markdown table, whose first column is aligned left and the others right."""
    titles, *lines = _cells(rows, columns)
    return markdown(titles, lines, "---:")


def replace_section(page: str, name: str, content: str) -> str:
    """Return a page with other content between the marks of a section.

    Raises ValueError if it lacks a mark.
    """
    begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
    before, has_begin, rest = page.partition(begin)
    _, has_end, after = rest.partition(end)
    if not (has_begin and has_end):
        raise ValueError(f"the page must hold {begin.strip()} and, below, {end}")
    return f"{before}{begin}{content}{end}{after}"
