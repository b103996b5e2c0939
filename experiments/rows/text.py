"""Results as text: what a table's columns show of a result file, for terminals and Markdown."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from lstm_jax.network.files import Document

Column = tuple[str, Callable[[Document], str]]  # its title, and what it shows of a result file


def show(value: float | None, digits: int = 0) -> str:
    """A number with so many digits behind the point; None is a dash.

    >>> show(31390.4), show(None)
    ('31,390', '-')
    """
    return "-" if value is None else f"{value:,.{digits}f}"


def percent(value: float | None) -> str:
    """A percentage; None is a dash."""
    return "-" if value is None else f"{value:.0f} %"


def wrong(document: Document) -> str:
    """How many sequences of the final tests are wrong, and of how many."""
    summary = document["summary"]
    return f"{show(summary['mean_test_wrong'], 1)} of {summary['test_size']}"


def published_wrong(document: Document) -> str:
    """What the paper says of the same."""
    published = document["published"]
    number, fraction = published["test_wrong"], published["test_fraction"]
    if number is None and fraction is not None:
        number = fraction * document["summary"]["test_size"]
    return show(number, 1)


def row_label(document: Document) -> str:
    """A row's name, with its recipe where that is not the paper's."""
    recipe = document["recipe"]
    return document["task"] if recipe == "paper" else f"{document['task']} ({recipe})"


# A paper's number follows each of ours.
SHORT: tuple[Column, ...] = (
    ("row", lambda d: d["task"]),
    ("recipe", lambda d: d["recipe"]),
    ("trials", lambda d: str(d["summary"]["trials"])),
    ("solved", lambda d: percent(d["summary"]["success_rate"])),
    ("paper", lambda d: percent(d["published"]["success_rate"])),
    ("mean sequences", lambda d: show(d["summary"]["mean_sequences"])),
    ("paper", lambda d: show(d["published"]["mean_sequences"])),
    ("wrong of tested", wrong),
    ("paper", published_wrong),
    ("minutes", lambda d: f"{d['wall_seconds'] / 60:.1f}"),
)


def text_table(documents: Sequence[Document], columns: Sequence[Column] = SHORT) -> str:
    """Results as lines of text, a row each."""
    titles = [title for title, _ in columns]
    rows = [titles, *([show_of(document) for _, show_of in columns] for document in documents)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(titles))]
    lines = ["  ".join(c.rjust(w) for c, w in zip(row, widths, strict=True)) for row in rows]
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(lines)


def markdown_table(documents: Sequence[Document], columns: Sequence[Column]) -> str:
    """Results as a Markdown table."""
    lines = ["| " + " | ".join(title for title, _ in columns) + " |", "|" + "---|" * len(columns)]
    lines += ["| " + " | ".join(show_of(d) for _, show_of in columns) + " |" for d in documents]
    return "\n".join(lines) + "\n"
