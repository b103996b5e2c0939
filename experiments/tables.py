"""Tables of results beside the paper's numbers.

python -m experiments.tables             writes README's table from the committed results
python -m experiments.tables --check     only says whether it agrees with them
"""

from __future__ import annotations

import pathlib
from typing import Any

from lstm_jax import rivals
from lstm_jax.results import read_json, write_atomically
from lstm_jax.tasks import row_names

ROOT = pathlib.Path(__file__).parent.parent
RESULTS = ROOT / "experiments" / "results"
BEGIN, END = "<!-- results -->\n", "<!-- end results -->\n"
HEADER = (
    "row",
    "recipe",
    "trials",
    "solved",
    "paper",
    "mean sequences",
    "paper",
    "wrong of tested",
    "paper",
    "minutes",
)


def text_table(documents: list[dict[str, Any]]) -> str:
    """The results of rows as lines of text."""
    rows = [HEADER, *(table_row(document) for document in documents)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(HEADER))]
    lines = ["  ".join(c.rjust(w) for c, w in zip(row, widths, strict=True)) for row in rows]
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(lines)


def markdown_table(folder: pathlib.Path = RESULTS) -> str:
    """All result files of a folder in the paper's order, and the rows that have none."""
    documents = [read_json(path) for path in sorted(folder.glob("*.json"))]
    lines = ["| " + " | ".join(HEADER) + " |", "|" + "---|" * len(HEADER)]
    missing = []
    for row in all_rows():
        found = [document for document in documents if document["task"] == row]
        found.sort(key=lambda document: (document["recipe"] != "paper", document["recipe"]))
        lines += ["| " + " | ".join(table_row(document)) + " |" for document in found]
        if not found:
            missing.append(row)
    if missing:
        lines += ["", f"Not run yet: {', '.join(missing)}."]
    return "\n".join(lines) + "\n"


def all_rows() -> list[str]:
    """The LSTM's rows in the paper's order, those of each experiment followed by its rivals'."""
    experiment = lambda row: row.split(".")[0].split("-")[0]
    experiments = list(dict.fromkeys(map(experiment, row_names())))
    rows = (*row_names(), *rivals.row_names())
    return sorted(rows, key=lambda row: experiments.index(experiment(row)))


def table_row(document: dict[str, Any]) -> tuple[str, ...]:
    """One row: what was measured, each number followed by the paper's."""
    summary, published = document["summary"], document["published"]
    wrong = published["test_wrong"]
    if wrong is None and published["test_fraction"] is not None:
        wrong = published["test_fraction"] * summary["test_size"]
    success = published["success_rate"]
    return (
        document["task"],
        document["recipe"],
        str(summary["trials"]),
        f"{summary['success_rate']:.0f} %",
        "-" if success is None else f"{success:.0f} %",
        _show(summary["mean_sequences"]),
        _show(published["mean_sequences"]),
        f"{_show(summary['mean_test_wrong'], 1)} of {summary['test_size']}",
        _show(wrong, 1),
        f"{document['wall_seconds'] / 60:.1f}",
    )


def with_table(text: str, table: str) -> str:
    """The text with `table` between the markers.

    Raises:
      ValueError: if the markers are not there.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"README.md must hold {BEGIN.strip()} and {END.strip()}")
    return before + begin + "\n" + table + "\n" + end + after


def _show(value: float | None, digits: int = 0) -> str:
    return "-" if value is None else f"{value:,.{digits}f}"


def _main(check: bool) -> None:
    readme = ROOT / "README.md"
    text = readme.read_text()
    wanted = with_table(text, markdown_table())
    if check and text != wanted:
        raise ValueError("README.md does not agree with experiments/results")
    if not check:
        write_atomically(readme, wanted.encode())


if __name__ == "__main__":
    from absl import flags

    from experiments import cli

    _CHECK = flags.DEFINE_bool("check", False, "Write nothing; fail if README is out of date.")
    cli.run(lambda: _main(_CHECK.value))
