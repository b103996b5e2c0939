"""Tables of results beside the paper's numbers."""

from __future__ import annotations

from typing import Any

HEADER = ("row", "recipe", "trials", "success %", "paper", "sequences", "paper", "wrong", "paper")


def text_table(documents: list[dict[str, Any]]) -> str:
    """The results of rows as lines of text."""
    rows = [HEADER, *(table_row(document) for document in documents)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(HEADER))]
    lines = ["  ".join(c.rjust(w) for c, w in zip(row, widths, strict=True)) for row in rows]
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(lines)


def table_row(document: dict[str, Any]) -> tuple[str, ...]:
    """One row: ours and the paper's success rate, mean sequences and wrong test sequences."""
    summary, published = document["summary"], document["published"]
    wrong = published["test_wrong"]
    if wrong is None and published["test_fraction"] is not None:
        wrong = published["test_fraction"] * summary["test_size"]
    return (
        document["task"],
        document["recipe"],
        str(summary["trials"]),
        _show(summary["success_rate"]),
        _show(published["success_rate"]),
        _show(summary["mean_sequences"]),
        _show(published["mean_sequences"]),
        _show(summary["mean_test_wrong"], digits=1),
        _show(wrong, digits=1),
    )


def _show(value: float | None, digits: int = 0) -> str:
    return "-" if value is None else f"{value:,.{digits}f}"
