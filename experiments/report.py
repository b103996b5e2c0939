"""A page of a folder of results: tables, learning curves, and how each run can be made again.

    python -m experiments.report --out=out
    python -m experiments.report --out=out --overwrite
    python -m experiments.report --out=experiments/results/6a --into=/tmp

Reads the result files of the rows in a folder. Writes report.html, one file that needs no other and
fetches nothing, and for each result a CSV of its trials' learning curves.
"""

from __future__ import annotations

import base64
import csv
import html
import io
import pathlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from absl.flags import FlagValues

from experiments.cli.command import Command
from experiments.cli.files import check_free, make_folder, write_file
from experiments.cli.flag_set import FlagSet
from experiments.rows.collection import all_rows, read_result
from experiments.rows.text import SHORT, row_label, show
from lstm_jax import plots
from lstm_jax.network.files import Document
from lstm_jax.plots.style import as_png

STYLE = """
body { font: 16px/1.5 sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; margin: 1rem 0; font-size: 14px; }
th, td { padding: 0.2rem 0.7rem; border-bottom: 1px solid #ddd; text-align: right; }
th:first-child, td:first-child { text-align: left; }
img { max-width: 100%; }
code { background: #f4f4f4; padding: 0.1rem 0.3rem; overflow-wrap: anywhere; }
h2 { border-top: 2px solid #0072b2; padding-top: 1rem; margin-top: 2.5rem; }
"""

# What a table shows of a trial.
TRIAL: tuple[tuple[str, Callable[[Document], str]], ...] = (
    ("trial", lambda t: str(t["index"])),
    ("solved", lambda t: "yes" if t["solved"] else "no" if t["finite"] else "not finite"),
    ("sequences", lambda t: show(t["sequences"])),
    ("wrong of tested", lambda t: f"{t['test_wrong']} of {t['test_size']}"),
    ("test error", lambda t: show(t["test_error"], 4)),
)


def curves_csv(document: Document) -> str:
    """The learning curves of a result: a line for each point of each trial.

    >>> trial = {"index": 0, "curve": [[1000, 0.5, 1.0], [2000, 0.25, None]]}
    >>> curves_csv({"trials": [trial]}).splitlines()
    ['trial,sequences,mean_error,fraction_wrong', '0,1000,0.5,1.0', '0,2000,0.25,']
    """
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(("trial", "sequences", "mean_error", "fraction_wrong"))
    for trial in document["trials"]:
        lines.writerows((trial["index"], *point) for point in trial["curve"])
    return text.getvalue()


def page(documents: Sequence[Document], title: str) -> str:
    """The report of some results, as HTML that needs no other file."""
    head = f"<title>{_text(title)}</title><meta charset=utf-8><style>{STYLE}</style>"
    overview = _table(SHORT, documents)
    parts = "\n".join(map(_section, documents))
    body = f"<h1>{_text(title)}</h1>\n{overview}\n{parts}"
    return f"<!doctype html>\n<html lang=en><head>{head}</head>\n<body>\n{body}\n</body></html>\n"


def _section(document: Document) -> str:
    picture = base64.b64encode(as_png(plots.learning_curves(document))).decode()
    changes = document.get("recipe_changes") or "nothing"
    versions = ", ".join(f"{k} {v}" for k, v in document.get("versions", {}).items())
    about = {
        "network": f"{document['weights']} weights",
        "changed from the paper's conditions": changes,
        "seed": document["seed"],
        "date": document["date"],
        "versions": versions,
        "machine": document.get("machine", {}).get("cpu", ""),
    }
    facts = "".join(f"<br>{_text(name)}: {_text(told)}" for name, told in about.items())
    return f"""
<h2>{_text(row_label(document))}: {_text(document["title"])}</h2>
<img alt="learning curves of {_text(row_label(document))}" src="data:image/png;base64,{picture}">
<p>made by <code>{_text(document.get("command", ""))}</code>{facts}</p>
<details><summary>{len(document["trials"])} trials</summary>
{_table(TRIAL, document["trials"])}
</details>"""


def _table(columns: Sequence[tuple[str, Callable[[Any], str]]], rows: Iterable[Any]) -> str:
    cells = lambda tag, texts: "".join(f"<{tag}>{_text(text)}</{tag}>" for text in texts)
    lines = [cells("th", (title for title, _ in columns))]
    lines += [cells("td", (show_of(row) for _, show_of in columns)) for row in rows]
    return "<table>" + "\n".join(f"<tr>{line}</tr>" for line in lines) + "</table>"


def _text(value: object) -> str:
    return html.escape(str(value))


def read_folder(folder: pathlib.Path) -> dict[pathlib.Path, Document]:
    """The result files of rows, in the paper's order; rows of other tasks come last.

    Raises:
      ValueError: if there is none.
    """
    found, refused = {}, []
    for path in sorted(folder.glob("*.json")):
        try:
            found[path] = read_result(path)
        except ValueError as error:  # of a sweep, a claim, a benchmark
            refused.append(error)
    for error in refused:
        print(f"left out: {error}")
    if not found:
        raise ValueError(f"--out must hold result files of rows, and {folder} holds none")
    order = {row: i for i, row in enumerate(all_rows())}

    def place(item: tuple[pathlib.Path, Document]) -> tuple:
        path, document = item
        row = order.get(document["task"], len(order))
        return row, document["task"], document["recipe"] != "paper", path.name

    return dict(sorted(found.items(), key=place))


def define(flags: FlagSet) -> None:
    """Which folder, and where to."""
    flags.folder("out", "Folder of result files; must be given.", required=True)
    flags.folder("into", "Folder for the page and the CSVs; else that of the results.", False)
    flags.switch("overwrite", False, "Replace files that exist.")


def main(values: FlagValues) -> None:
    """Writes the page and the CSVs.

    Raises:
      ValueError: if there are no results, or a file exists that may not be replaced.
    """
    found = read_folder(values.out)
    into = values.into or values.out
    files = {into / f"{path.stem}.csv": curves_csv(d).encode() for path, d in found.items()}
    report = into / "report.html"
    for path in (report, *files):
        check_free(path, values.overwrite)
    make_folder(into)
    files[report] = page(list(found.values()), f"Results in {values.out}").encode()
    for path, content in files.items():
        print(f"wrote {write_file(path, content, values.overwrite)}")


COMMAND = Command("report", __doc__, define, main)

if __name__ == "__main__":
    COMMAND.run()
