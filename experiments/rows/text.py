"""Columns of tables, for terminals, Markdown and HTML."""

from __future__ import annotations

import itertools
import re
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from experiments.rows.collection import paper_task
from lstm_jax import Architecture
from lstm_jax.network.files import Document

T = TypeVar("T")
Column = tuple[str, Callable[[T], str]]  # its title, and the cell of a row

UNLIMITED = sys.maxsize
LINE_LENGTHS = (UNLIMITED, 24, 14)  # of names in a table, tried in this order; numbers fit into 14
# Characters that move the cursor, send commands to a terminal or reverse the direction of a line.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_MARKUP = re.compile(r"[\\`*_\[\]<>|$~&]")  # of Markdown, inside a line


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


def printable(text: str) -> str:
    """Return text with control characters written as escape sequences."""
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def literal(text: str) -> str:
    """Return Markdown that is displayed as the text is written."""
    return _MARKUP.sub(r"\\\g<0>", printable(text))


def text_table(
    rows: Iterable[T], columns: Sequence[Column[T]] = SHORT, width: int | None = None
) -> str:
    """Return lines of at most `width` characters (default: the terminal's, unlimited in files).

    In a table that would be wider, names and titles take several lines. If that is not enough, the
    last columns are left out and named below the table.
    """
    if width is None:
        width = shutil.get_terminal_size().columns if sys.stdout.isatty() else UNLIMITED
    cells = [[printable(cell) for cell in line] for line in _cells(rows, columns)]
    lines: list[str] = []
    count = total = len(columns)
    for count, length in itertools.product(range(total, 0, -1), LINE_LENGTHS):
        lines = _text_lines([line[:count] for line in cells], length)
        if len(lines[0]) <= width:
            break
    if left_out := ", ".join(cells[0][count:]):
        lines.append(textwrap.fill(f"left out: {left_out}", width))
    return "\n".join(lines)


def _text_lines(cells: Sequence[Sequence[str]], length: int) -> list[str]:
    """Return the lines of a table, whose names have at most `length` characters in a line."""
    columns = [_wrap(column, length) for column in zip(*cells, strict=True)]
    widths = [max(map(len, itertools.chain(*column))) for column in columns]
    titles, *rows = (
        itertools.zip_longest(*row, fillvalue="") for row in zip(*columns, strict=True)
    )
    rule = ["-" * width for width in widths]
    lines = itertools.chain(titles, [rule], *rows)
    return [" ".join(map(str.rjust, line, widths)) for line in lines]


def _wrap(column: Sequence[str], length: int) -> list[list[str]]:
    """Return the lines of each cell; the title, the first one, gets the width of the others."""
    title, *cells = column
    wrapped = [textwrap.wrap(cell, length) or [""] for cell in cells]
    if length < UNLIMITED:
        length = max(1, *map(len, itertools.chain(*wrapped)))
    return [textwrap.wrap(title, length, break_long_words=False) or [""], *wrapped]


def markdown(titles: Sequence[str], lines: Iterable[Sequence[str]], further: str = "---") -> str:
    """Return a table of cells in Markdown; `further` is the rule of all columns but the first."""
    rule = ["---", *[further] * (len(titles) - 1)]
    return "".join(f"| {' | '.join(line)} |\n" for line in (titles, rule, *lines))


def markdown_table(rows: Iterable[T], columns: Sequence[Column[T]]) -> str:
    """Return a Markdown table of text, its first column aligned left and the others right."""
    lines = [[literal(cell) for cell in line] for line in _cells(rows, columns)]
    return markdown(lines[0], lines[1:], "---:")


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
