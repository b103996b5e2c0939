"""Tables and pictures of results beside the paper's numbers, all from committed result files.

    python -m experiments.tables
    python -m experiments.tables --nopictures
    python -m experiments.tables --check

Writes the short table in README.md, experiments/results/README.md with all tables and pictures, and
the pictures in experiments/results: the overview, every row's learning curves, a solved network of
each task at work. --check only says whether the tables agree with the result files.
"""

from __future__ import annotations

import pathlib
from collections.abc import Sequence

from absl.flags import FlagValues

from experiments.ablations import answer, choosing
from experiments.claims import CLAIMS
from experiments.cli.command import Command
from experiments.cli.flag_set import FlagSet
from experiments.rows import figures as pictures
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
    Document,
    markdown_table,
    percent,
    published_wrong,
    show,
    wrong,
)
from lstm_jax import plots
from lstm_jax.network.files import write_atomically
from lstm_jax.tasks import make_task, row_names

ROOT = RESULTS.parents[1]
READINGS = RESULTS / "readings"
BEGIN, END = "<!-- results -->\n", "<!-- end results -->\n"

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
# Of README's lines: the first row of each task.
SHOWN = {task_of(row): row for row in reversed(row_names())}
LONG: tuple[Column, ...] = (
    ("row", lambda d: d["task"]),
    ("recipe", lambda d: d["recipe"]),
    ("weights", lambda d: show(d["weights"])),
    ("a", lambda d: f"{d['learning_rate']:g}" if d["learning_rate"] else "-"),
    ("solved", lambda d: f"{d['summary']['solved']} of {d['summary']['trials']}"),
    ("paper", lambda d: percent(d["published"]["success_rate"])),
    ("budget", lambda d: show(d["max_sequences"])),
    ("first rule", lambda d: show(d["summary"]["first_mean_sequences"])),
    ("paper", lambda d: show(d["published"]["first_mean_sequences"])),
    ("mean", lambda d: show(d["summary"]["mean_sequences"])),
    ("median", lambda d: show(d["summary"]["median_sequences"])),
    ("paper", lambda d: show(d["published"]["mean_sequences"])),
    ("wrong of tested", wrong),
    ("paper", published_wrong),
    ("mean absolute error", lambda d: show(d["summary"]["mean_test_error"], 4)),
    ("mean squared error", lambda d: show(d["summary"]["mean_test_squared_error"], 5)),
    ("paper", lambda d: show(d["published"]["test_error"], 4)),
    ("most wrong", lambda d: show(d["summary"]["max_test_wrong"])),
    ("seconds", lambda d: show(d["wall_seconds"])),
    ("date", lambda d: d["date"]),
)
INTRODUCTION = """# Results

Made by `python -m experiments.tables` from the result files in this folder; each of them has seed,
versions, machine, date, and the command by which it can be made again. A row's best recipe beside
`paper`, the paper's conditions to the letter, is the one that solves most trials, in fewest
sequences; what a recipe changes is in its result files. Errors and wrong sequences are of the final
tests, means over solved trials; `first rule` is ST1 of task 3. An unsolved trial had its whole
budget. What falls short, and why, is in BUILD_NOTES.md.

"""
CLAIMED = """
## Beyond the tables

What the paper claims beyond its tables, what its rivals do, and what its descendants do, made by
`python -m experiments.claims`; what was found is in words in BUILD_NOTES.md.

| claim | what is shown |
|---|---|"""


def readme_table(documents: Sequence[Document]) -> str:
    """README's table: of each task its first row, as published and by three recipes."""
    of_lstm = [d for d in documents if d["task"] in row_names()]
    printed = {d["task"]: d["summary"] for d in of_lstm if d["recipe"] == "paper"}
    found = best([d for d in of_lstm if d["recipe"] != "paper"])
    readings = answer.gather(READINGS)
    head = ("task", "row", "published", "`paper`", "smallest reading that works", "fastest recipe")
    lines = [head, ("---",) * len(head)]
    for task, title in TITLES.items():
        row = SHOWN[task]
        fast = found.get(row)
        lines.append(
            (
                f"{task} {title}",
                f"[{row}](experiments/results/README.md#task-{task})",
                show(make_task(row).published.mean_sequences),
                _solved(printed.get(row)),
                _reading(row, readings[row]),
                f"`{fast['recipe']}` {_solved(fast['summary'])}" if fast else "-",
            )
        )
    table = "".join(f"| {' | '.join(cells)} |\n" for cells in lines)
    return table.replace("| --- ", "|---").replace("--- |\n", "---|\n") + "\n" + minutes(of_lstm)


def _solved(summary: Document | None) -> str:
    """How many trials were solved, and in how many sequences on average."""
    if summary is None:
        return "-"
    mean = summary["mean_sequences"] if "mean_sequences" in summary else summary["mean"]
    counted = f", {show(mean)}" if mean else ""
    return f"{summary['solved']} of {summary['trials']}{counted}"


def _reading(row: str, outcomes: list[Document]) -> str:
    """The smallest reading that works on a fresh seed, with the paper's number of trials."""
    chosen = choosing.best(row, outcomes, confirmed=True)
    if chosen is None or not choosing.works(row, chosen):
        return "none yet"
    departures = chosen["recipe"].partition("+")[2] or "paper"
    return f"`{departures}` {_solved(chosen)}"


def minutes(documents: Sequence[Document]) -> str:
    """How long the LSTM's rows took in all."""
    by_paper, by_best = (
        f"{len(some)} in {sum(d['wall_seconds'] for d in some) / 60:.0f} minutes"
        for some in (
            [d for d in documents if d["recipe"] == "paper"],
            list(best(documents).values()),
        )
    )
    return f"The LSTM's rows by `paper`: {by_paper}; each by its best recipe: {by_best}.\n"


def page(documents: Sequence[Document]) -> str:
    """The README of the results: every row in short, every recipe of every row, the pictures."""
    parts = [INTRODUCTION, "![The paper's sequences and ours](overview.png)\n\n"]
    parts += ["## All rows\n\n", markdown_table(best_of_each(documents), SHORT)]
    missing = [row for row in all_rows() if row not in {d["task"] for d in documents}]
    if missing:
        parts.append(f"\nNot run yet: {', '.join(missing)}.\n")
    parts += [f"\n{minutes([d for d in documents if d['task'] in row_names()])}"]
    for task in TITLES:
        of_task = [d for d in documents if task_of(d["task"]) == task]
        if of_task:
            parts.append(_section(task, of_task))
    return "".join([*parts, _claims()])


def _claims() -> str:
    """A line and a picture of every claim that was run."""
    displayed = [name for name in CLAIMS if (RESULTS / "claims" / f"claim.{name}.json").exists()]
    abouts = {name: (CLAIMS[name].__doc__ or "").partition("\n")[0] for name in displayed}
    lines = [f"| [{name}](claims/claim.{name}.json) | {about} |" for name, about in abouts.items()]
    pictures_ = [f"![{name}](claims/claim.{name}.png)" for name in displayed]
    return "\n".join([CLAIMED, *lines, "", *pictures_, ""])


def _section(task: str, documents: Sequence[Document]) -> str:
    """A task's table, its solved network at work, and the learning curves of its rows."""
    pictures_ = [f"![{d['task']}, {d['recipe']}]({_picture(d)})" for d in documents]
    if solved_network(documents):
        pictures_.insert(0, f"![A solved network at work]({task}/network.{task}.png)")
    displayed = "\n".join(pictures_)
    return f"\n## Task {task}\n\n{TITLES[task]}\n\n{markdown_table(documents, LONG)}\n{displayed}\n"


def _picture(document: Document) -> str:
    recipe = "" if document["recipe"] == "paper" else f".{document['recipe']}"
    return f"{task_of(document['task'])}/{document['task']}{recipe}.png"


def solved_network(documents: Sequence[Document]) -> Document | None:
    """The first of the best recipes' results that holds a solved network."""
    return next((d for d in best_of_each(documents) if d.get("network")), None)


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


def texts(documents: Sequence[Document]) -> dict[pathlib.Path, str]:
    """What the files that hold tables must say."""
    readme = ROOT / "README.md"
    return {
        readme: with_table(readme.read_text(), readme_table(documents)),
        RESULTS / "README.md": page(documents),
    }


def draw_all(documents: Sequence[Document]) -> list[pathlib.Path]:
    """Draws the overview, all learning curves, a solved network of each task; returns the files."""
    of_lstm = [d for d in documents if d["task"] in row_names()]
    drawn = {RESULTS / "overview.png": pictures.overview(best_of_each(of_lstm))}
    for document in documents:
        drawn[RESULTS / _picture(document)] = plots.learning_curves(document)
    for task in TITLES:
        document = solved_network([d for d in documents if task_of(d["task"]) == task])
        if document is not None:
            path = RESULTS / task / f"network.{task}.png"
            drawn[path] = pictures.network_at_work(document)
    for path, figure in drawn.items():
        plots.save(figure, path)
    return list(drawn)


def define(flags: FlagSet) -> None:
    """Whether to write, and what."""
    flags.switch("check", False, "Write nothing; fail if a table is out of date.")
    flags.switch("pictures", True, "Draw the pictures too.")


def main(values: FlagValues) -> None:
    """Writes the tables and the pictures, or compares the tables."""
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
