"""Tables and pictures of results beside the paper's numbers.

python -m experiments.tables             writes the tables in README.md and BUILD_NOTES.md and the
                                         pictures in experiments/results, all from result files
python -m experiments.tables --check     only says whether the tables agree with the result files
"""

from __future__ import annotations

import pathlib
from collections.abc import Callable
from typing import Any

from lstm_jax import rivals
from lstm_jax.tasks import row_names
from lstm_jax.training.results import read_json, write_atomically

ROOT = pathlib.Path(__file__).parent.parent
RESULTS = ROOT / "experiments" / "results"
BEGIN, END = "<!-- results -->\n", "<!-- end results -->\n"

Document = dict[str, Any]


def _wrong(document: Document) -> str:
    summary = document["summary"]
    return f"{_show(summary['mean_test_wrong'], 1)} of {summary['test_size']}"


def _published_wrong(document: Document) -> str:
    published = document["published"]
    wrong, fraction = published["test_wrong"], published["test_fraction"]
    if wrong is None and fraction is not None:
        wrong = fraction * document["summary"]["test_size"]
    return _show(wrong, 1)


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f} %"


def _show(value: float | None, digits: int = 0) -> str:
    return "-" if value is None else f"{value:,.{digits}f}"


# Title: what it shows of a result file. A paper's number follows each of ours.
SHORT: tuple[tuple[str, Callable[[Document], str]], ...] = (
    ("row", lambda d: d["task"]),
    ("recipe", lambda d: d["recipe"]),
    ("trials", lambda d: str(d["summary"]["trials"])),
    ("solved", lambda d: _percent(d["summary"]["success_rate"])),
    ("paper", lambda d: _percent(d["published"]["success_rate"])),
    ("mean sequences", lambda d: _show(d["summary"]["mean_sequences"])),
    ("paper", lambda d: _show(d["published"]["mean_sequences"])),
    ("wrong of tested", _wrong),
    ("paper", _published_wrong),
    ("minutes", lambda d: f"{d['wall_seconds'] / 60:.1f}"),
)
LONG: tuple[tuple[str, Callable[[Document], str]], ...] = (
    ("row", lambda d: d["task"]),
    ("recipe", lambda d: d["recipe"]),
    ("weights", lambda d: _show(d["weights"])),
    ("a", lambda d: f"{d['learning_rate']:g}" if d["learning_rate"] else "-"),
    ("solved", lambda d: f"{d['summary']['solved']} of {d['summary']['trials']}"),
    ("budget", lambda d: _show(d["max_sequences"])),
    ("first rule", lambda d: _show(d["summary"]["first_mean_sequences"])),
    ("paper", lambda d: _show(d["published"]["first_mean_sequences"])),
    ("mean", lambda d: _show(d["summary"]["mean_sequences"])),
    ("median", lambda d: _show(d["summary"]["median_sequences"])),
    ("paper", lambda d: _show(d["published"]["mean_sequences"])),
    ("mean absolute error", lambda d: _show(d["summary"]["mean_test_error"], 4)),
    ("mean squared error", lambda d: _show(d["summary"]["mean_test_squared_error"], 5)),
    ("paper", lambda d: _show(d["published"]["test_error"], 4)),
    ("most wrong", lambda d: _show(d["summary"]["max_test_wrong"])),
    ("seconds", lambda d: _show(d["wall_seconds"])),
    ("date", lambda d: d["date"]),
)


def text_table(documents: list[Document]) -> str:
    """The results of rows as lines of text."""
    titles = [title for title, _ in SHORT]
    rows = [titles, *([show(document) for _, show in SHORT] for document in documents)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(titles))]
    lines = ["  ".join(c.rjust(w) for c, w in zip(row, widths, strict=True)) for row in rows]
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(lines)


def all_rows() -> list[str]:
    """The LSTM's rows in the paper's order, those of each experiment followed by its rivals'."""
    experiment = lambda row: row.split(".")[0].split("-")[0]
    experiments = list(dict.fromkeys(map(experiment, row_names())))
    rows = (*row_names(), *rivals.row_names())
    return sorted(rows, key=lambda row: experiments.index(experiment(row)))


def read_results(folder: pathlib.Path = RESULTS) -> list[Document]:
    """All result files of a folder in the paper's order, the recipe `paper` first in each row."""
    order = {row: i for i, row in enumerate(all_rows())}
    documents = [read_json(path) for path in folder.glob("*.json")]
    place = lambda d: (order[d["task"]], d["recipe"] != "paper", d["recipe"])
    return sorted(documents, key=place)


def markdown_table(documents: list[Document], columns: tuple) -> str:
    """Results as a Markdown table, followed by the rows that have none."""
    lines = ["| " + " | ".join(title for title, _ in columns) + " |", "|" + "---|" * len(columns)]
    lines += ["| " + " | ".join(show(d) for _, show in columns) + " |" for d in documents]
    missing = [row for row in all_rows() if row not in {d["task"] for d in documents}]
    if missing:
        lines += ["", f"Not run yet: {', '.join(missing)}."]
    return "\n".join(lines) + "\n"


def best_of_each(documents: list[Document]) -> list[Document]:
    """Of each row the recipe `paper` and, of the others, the one that did best."""
    others = _best([d for d in documents if d["recipe"] != "paper"])
    return [d for d in documents if d["recipe"] == "paper" or d is others[d["task"]]]


def _best(documents: list[Document]) -> dict[str, Document]:
    """Of each row the document with most trials solved; of those, with fewest sequences."""
    best: dict[str, Document] = {}
    for document in documents:
        row = document["task"]
        if row not in best or _merit(document) > _merit(best[row]):
            best[row] = document
    return best


def _merit(document: Document) -> tuple[float, float]:
    summary = document["summary"]
    return summary["success_rate"], -(summary["mean_sequences"] or 0)


def short_table(documents: list[Document]) -> str:
    """README's table, and how long the LSTM's rows took in all."""
    of_lstm = [d for d in documents if d["task"] in row_names()]
    paper = [d for d in of_lstm if d["recipe"] == "paper"]
    best = list(_best(of_lstm).values())
    by_paper, by_best = (
        f"{len(some)} in {sum(d['wall_seconds'] for d in some) / 60:.0f} minutes"
        for some in (paper, best)
    )
    total = f"The LSTM's rows by `paper`: {by_paper}; each by its best recipe: {by_best}.\n"
    return markdown_table(best_of_each(documents), SHORT) + "\n" + total


def long_table(documents: list[Document]) -> str:
    """BUILD_NOTES' table: every recipe of every row."""
    return markdown_table(documents, LONG)


PLACES = {"README.md": short_table, "BUILD_NOTES.md": long_table}


def with_table(text: str, table: str) -> str:
    """The text with `table` between the markers.

    Raises:
      ValueError: if the markers are not there.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the text must hold {BEGIN.strip()} and {END.strip()}")
    return before + begin + "\n" + table + "\n" + end + after


def _main(check: bool) -> None:
    documents = read_results()
    for name, table in PLACES.items():
        path = ROOT / name
        text = path.read_text()
        wanted = with_table(text, table(documents))
        if check and text != wanted:
            raise ValueError(f"{name} does not agree with experiments/results")
        if not check:
            write_atomically(path, wanted.encode())
    if not check:
        from experiments import plots  # needs matplotlib

        plots.draw_all(best_of_each(documents), RESULTS)


if __name__ == "__main__":
    from absl import flags

    from experiments import cli

    _CHECK = flags.DEFINE_bool("check", False, "Write nothing; fail if a table is out of date.")
    cli.run(lambda: _main(_CHECK.value))
