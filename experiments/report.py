"""An HTML report on a folder of results: tables, learning curves and commands.

    python -m experiments.report --out=out
    python -m experiments.report --out=out --overwrite
    python -m experiments.report --out=experiments/results/6a --into=/tmp

Reads the result files of a folder. Writes report.html, a page that needs no other file, and for
each result a CSV file of its trials' learning curves. Needs the extra `report`.
"""

from __future__ import annotations

import base64
import csv
import io
import pathlib
from collections.abc import Sequence

from experiments.cli.command import Command, FlagSet, FlagValues, import_extra
from experiments.cli.files import check_free, make_folder, write_file
from experiments.rows.collection import paper_order, read_result
from experiments.rows.text import SHORT, Column, num_weights, printable, row_label, show
from lstm_jax import plots
from lstm_jax.network.files import Document
from lstm_jax.plots.style import as_png

TEMPLATE = pathlib.Path(__file__).with_suffix(".html")
TRIAL: tuple[Column[Document], ...] = (
    ("trial", lambda t: str(t["index"])),
    ("solved", lambda t: "yes" if t["solved"] else "no" if t["finite"] else "not finite"),
    ("sequences", lambda t: show(t["sequences"])),
    ("wrong", lambda t: show(t["test_wrong"])),
    ("test error", lambda t: show(t["test_error"], 4)),
)


def page(documents: Sequence[Document], title: str) -> str:
    """Return the report of some results, as HTML that needs no other file."""
    jinja2 = import_extra("jinja2", "report", "the report")
    # Strings of a macro are markup, of another type.
    as_written = lambda value: printable(value) if type(value) is str else value
    environment = jinja2.Environment(autoescape=True, finalize=as_written)
    template = environment.from_string(TEMPLATE.read_text())
    return template.render(
        title=title,
        documents=documents,
        columns_of_row=SHORT,
        columns_of_trial=TRIAL,
        label=row_label,
        weights=num_weights,
        picture=lambda d: base64.b64encode(as_png(plots.learning_curves(d))).decode(),
    )


def curves_csv(document: Document) -> str:
    """Return the learning curves of a result: a line for each point of each trial.

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


def read_folder(folder: pathlib.Path) -> dict[pathlib.Path, Document]:
    """Return the results in a folder, at least one: the paper's rows, then those of other tasks."""
    found = {}
    for path in sorted(folder.glob("*.json")):
        try:
            found[path] = read_result(path)
        except ValueError as error:  # the file of a sweep, a claim or a benchmark
            print(f"skipped: {error}")
    if not found:
        raise ValueError(f"--out must be a folder with result files of rows, got {folder}")
    return dict(sorted(found.items(), key=lambda item: paper_order(item[1])))


def define(flags: FlagSet) -> None:
    flags.folder("out", "Folder of result files (required).")
    into = "Folder for the page and the CSV files (default: that of the results)."
    flags.folder("into", into, required=False)
    flags.switch("overwrite", False, "Replace existing files.")


def main(values: FlagValues) -> None:
    """Write the page and the CSV files."""
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
