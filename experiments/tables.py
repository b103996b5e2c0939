"""Tables and pictures of all results, written from the committed result files.

    python -m experiments.tables
    python -m experiments.tables --nopictures
    python -m experiments.tables --check

Writes the short table in README.md, and experiments/results/README.md with all tables and pictures:
an overview and, for each task, its learning curves and a solved network on one sequence. --check
only checks that the tables agree with the result files.
"""

from __future__ import annotations

import io
import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from absl.flags import FlagValues

from experiments.claims import CLAIMS
from experiments.cli.command import Command
from experiments.cli.flag_set import FlagSet
from experiments.rows import figures
from experiments.rows.collection import (
    RESULTS,
    all_rows,
    best,
    best_of_each,
    read_results,
    task_of,
)
from experiments.rows.text import (
    SHORT,
    Column,
    markdown_table,
    num_weights,
    percent,
    published_wrong,
    show,
    solved,
)
from lstm_jax.network.files import Document, write_atomically
from lstm_jax.plots import style
from lstm_jax.tasks import make_task, row_names

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ROOT = RESULTS.parents[1]
BEGIN, END = "<!-- results -->\n", "<!-- end results -->\n"
SHADES = 6  # of each colour, in a committed picture

TITLES = {
    "1": "embedded Reber grammar",
    "2a": "noise-free, local regularities",
    "2b": "no local regularities",
    "2c": "very long lags",
    "3a": "two-sequence problem",
    "3b": "two-sequence problem, noise on the signal",
    "3c": "two-sequence problem, noisy targets",
    "4": "adding",
    "5": "multiplication",
    "6a": "temporal order, two symbols",
    "6b": "temporal order, three symbols",
}
# README shows the first row of each task.
FIRST_ROWS = {task_of(row): row for row in reversed(row_names())}
LONG: tuple[Column, ...] = (
    ("row", lambda d: d["task"]),
    ("recipe", lambda d: d["recipe"]),
    ("weights", lambda d: show(num_weights(d))),
    ("a", lambda d: f"{d['hyperparameters']['learning_rate'] or '-'}"),
    ("solved", solved),
    ("paper", lambda d: percent(d["published"]["success_rate"])),
    ("budget", lambda d: show(d["max_sequences"])),
    ("first rule", lambda d: show(d["summary"]["first_mean_sequences"])),
    ("paper", lambda d: show(d["published"]["first_mean_sequences"])),
    ("mean", lambda d: show(d["summary"]["mean_sequences"])),
    ("median", lambda d: show(d["summary"]["median_sequences"])),
    ("paper", lambda d: show(d["published"]["mean_sequences"])),
    ("wrong", lambda d: show(d["summary"]["mean_test_wrong"], 1)),
    ("paper", published_wrong),
    ("most wrong", lambda d: show(d["summary"]["max_test_wrong"])),
    ("tests", lambda d: show(d["test_size"])),
    ("absolute error", lambda d: show(d["summary"]["mean_test_error"], 4)),
    ("squared error", lambda d: show(d["summary"]["mean_test_squared_error"], 5)),
    ("paper", lambda d: show(d["published"]["test_error"], 4)),
    ("seconds", lambda d: show(d["wall_seconds"])),
    ("date", lambda d: d["date"]),
)
INTRODUCTION = """# Results

`python -m experiments.tables` writes this page from the result files in this folder. Each file
contains the hyperparameters, the seed, the versions, the machine, the date and the command that
repeats the run.

The recipe `paper` has the paper's hyperparameters exactly. The best other recipe of a row solves
the most trials in the fewest sequences; its file says what it changes. A column called `paper`
has the paper's number for the column before it.

- `sequences`, `mean`, `median`: training sequences until success, over the solved trials. An
  unsolved trial used its whole budget.
- `first rule`: the same for the first criterion of task 3 (ST1).
- `wrong`, `most wrong`, the errors: of the final tests of the solved trials.
- `a`: the learning rate.

BUILD_NOTES.md explains where results fall short of the paper.

"""
CLAIM_SECTION = """
## Claims of the text

`python -m experiments.claims` checks what the paper says outside its tables, what its baselines do,
and what later variants of the LSTM do. BUILD_NOTES.md discusses the findings.

| claim | description |
|---|---|"""


def readme_table(documents: Sequence[Document]) -> str:
    """Return README's table: the first row of each task by `paper` and by the best other recipe."""
    of_lstm = [d for d in documents if d["task"] in row_names()]
    paper = best([d for d in of_lstm if d["recipe"] == "paper"])
    other = best([d for d in of_lstm if d["recipe"] != "paper"])
    page = "experiments/results/README.md"
    columns: tuple[Column, ...] = (
        ("row", lambda task: f"[{FIRST_ROWS[task]}]({page}#task-{task}) {TITLES[task]}"),
        ("published", lambda task: show(make_task(FIRST_ROWS[task]).published.mean_sequences)),
        ("`paper`", lambda task: _outcome(paper.get(FIRST_ROWS[task]))),
        ("best recipe", lambda task: _named_outcome(other.get(FIRST_ROWS[task]))),
    )
    return markdown_table(TITLES, columns) + "\n" + minutes(of_lstm)


def _outcome(document: Document | None) -> str:
    if document is None:
        return "-"
    mean = document["summary"]["mean_sequences"]
    return solved(document) + (f", {show(mean)}" if mean else "")


def _named_outcome(document: Document | None) -> str:
    return f"`{document['recipe']}` {_outcome(document)}" if document else "-"


def minutes(documents: Sequence[Document]) -> str:
    """Return how long the LSTM's rows took in total, by `paper` and by their best recipes."""
    of_paper = [d for d in documents if d["recipe"] == "paper"]
    found = [
        f"{len(some)} rows in {sum(d['wall_seconds'] for d in some) / 60:.0f} minutes"
        for some in (of_paper, best(documents).values())
    ]
    return f"All rows of the LSTM, by `paper`: {found[0]}; by their best recipes: {found[1]}.\n"


def page(documents: Sequence[Document]) -> str:
    """Return the page of the results: all rows in short, all recipes by task, and the claims."""
    parts = [INTRODUCTION, "![The paper's sequences and ours](overview.png)\n\n"]
    parts += ["## All rows\n\n", markdown_table(best_of_each(documents), SHORT)]
    missing = [row for row in all_rows() if row not in {d["task"] for d in documents}]
    if missing:
        parts.append(f"\nNot run yet: {', '.join(missing)}.\n")
    parts.append(f"\n{minutes([d for d in documents if d['task'] in row_names()])}")
    for task in TITLES:
        of_task = [d for d in documents if task_of(d["task"]) == task]
        if of_task:
            parts.append(_section(task, of_task))
    return "".join([*parts, _claims()])


def _section(task: str, documents: Sequence[Document]) -> str:
    """Return a task's table, its learning curves and its solved network."""
    pictures = [f"![Learning curves of each row]({task}/curves.{task}.png)\n"]
    if solved_network(documents):
        pictures.append(f"![A solved network on one sequence]({task}/network.{task}.png)\n")
    table = markdown_table(documents, LONG)
    return f"\n## Task {task}\n\n{TITLES[task].capitalize()}.\n\n{table}\n{''.join(pictures)}"


def _claims() -> str:
    """Return a line and a picture for each claim that was run."""
    names = [name for name in CLAIMS if (RESULTS / "claims" / f"claim.{name}.json").exists()]
    lines = [f"| [{name}](claims/claim.{name}.json) | {CLAIMS[name].about} |" for name in names]
    pictures = [f"![{name}](claims/claim.{name}.png)" for name in names]
    return "\n".join([CLAIM_SECTION, *lines, "", *pictures, ""])


def solved_network(documents: Sequence[Document]) -> Document | None:
    """Return the first of the best recipes' results that contains a solved network."""
    return next((d for d in best_of_each(documents) if d["network"]), None)


def with_table(text: str, table: str) -> str:
    """Return the text with `table` between the markers.

    Raises:
      ValueError: if the markers are missing.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the text must contain {BEGIN.strip()} and {END.strip()}")
    return f"{before}{begin}\n{table}\n{end}{after}"


def texts(documents: Sequence[Document]) -> dict[pathlib.Path, str]:
    """Return the required content of the files that contain tables."""
    readme = ROOT / "README.md"
    return {
        readme: with_table(readme.read_text(), readme_table(documents)),
        RESULTS / "README.md": page(documents),
    }


def draw_all(documents: Sequence[Document]) -> list[pathlib.Path]:
    """Draw the overview and the pictures of each task, and return their files."""
    of_lstm = [d for d in documents if d["task"] in row_names()]
    drawn = {RESULTS / "overview.png": figures.overview(best_of_each(of_lstm))}
    for task in TITLES:
        of_task = [d for d in documents if task_of(d["task"]) == task]
        if of_task:
            path = RESULTS / task / f"curves.{task}.png"
            drawn[path] = figures.learning_curves(best_of_each(of_task))
        document = solved_network(of_task)
        if document is not None:
            path = RESULTS / task / f"network.{task}.png"
            drawn[path] = figures.network_at_work(document)
    for path, figure in drawn.items():
        write_atomically(path, _small_png(figure))
    return list(drawn)


def _small_png(figure: Figure) -> bytes:
    """Return a figure as a PNG file with the style's colours alone, a quarter of the usual size."""
    from matplotlib.colors import to_rgb
    from PIL import Image

    shades = np.arange(1, SHADES + 1)[:, None] / SHADES
    colours = [1 - shades * (1 - np.array(to_rgb(colour))) for colour in style.LINES]
    palette = Image.new("P", (1, 1))
    palette.putpalette(
        np.rint(255 * np.vstack([np.ones((1, 3)), *colours])).astype(int).ravel().tolist()
    )
    content = io.BytesIO()
    picture = Image.open(io.BytesIO(style.as_png(figure))).convert("RGB")
    picture = picture.quantize(palette=palette, dither=Image.Dither.NONE)
    picture.save(content, "png", optimize=True)
    return content.getvalue()


def define(flags: FlagSet) -> None:
    """Define what is written."""
    flags.switch("check", False, "Write nothing; fail if a table is out of date.")
    flags.switch("pictures", True, "Draw the pictures too.")


def main(values: FlagValues) -> None:
    """Write the tables and the pictures, or compare the tables."""
    documents = read_results()
    for path, wanted in texts(documents).items():
        if values.check:
            if not path.exists() or path.read_text() != wanted:
                raise ValueError(f"{path.relative_to(ROOT)} does not agree with the result files")
        else:
            write_atomically(path, wanted.encode())
            print(f"wrote {path}")
    if values.pictures and not values.check:
        for path in draw_all(documents):
            print(f"wrote {path}")


COMMAND = Command("tables", __doc__, define, main)

if __name__ == "__main__":
    COMMAND.run()
