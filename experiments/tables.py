"""Tables and pictures of all results, written from the committed result files.

    python -m experiments.tables
    python -m experiments.tables --nopictures

Writes the short table in README.md, those of experiments/results/real/README.md, and
experiments/results/README.md with all tables and pictures:
an overview and, for each task, its learning curves and a solved network on one sequence.
"""

from __future__ import annotations

import pathlib
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from experiments.ablations.design import UNCOUNTED
from experiments.claims import CLAIMS
from experiments.claims.page import with_tables
from experiments.cli.command import Command, FlagSet, FlagValues
from experiments.real.page import write_sections
from experiments.rows import collection, text
from experiments.rows.collection import RESULTS, best, best_of_each, task_of
from experiments.rows.text import Column, markdown, markdown_table, show
from lstm_jax import Task, make_task, plots, row_names
from lstm_jax.network.files import Document, network_from_document
from lstm_jax.network.writing import write_atomically
from lstm_jax.plots import style
from lstm_jax.training.trials.training_loop import DATA

ROOT = RESULTS.parents[1]
NEVER = 100.0  # the position in the overview of a row without a solved trial
COLUMNS = 4  # of panels with learning curves

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


def published_wrong(document: Document) -> float | None:
    """Return the paper's number of wrong sequences in the final test."""
    published = document["published"]
    number, fraction = published["test_wrong"], published["test_fraction"]
    return fraction * document["test_size"] if number is None and fraction is not None else number


# README shows the first row of each task.
FIRST_ROWS = {task_of(row): row for row in reversed(row_names())}
LONG: tuple[Column[Document], ...] = (
    ("row", lambda d: d["task"]),
    ("recipe", lambda d: d["recipe"]),
    ("weights", lambda d: show(text.num_weights(d))),
    ("a", lambda d: f"{d['hyperparameters']['learning_rate'] or '-'}"),
    ("solved", text.solved),
    ("paper", lambda d: text.percent(d["published"]["success_rate"])),
    ("budget", lambda d: show(d["max_sequences"])),
    ("first rule", lambda d: show(d["summary"]["first_mean_sequences"])),
    ("paper", lambda d: show(d["published"]["first_mean_sequences"])),
    ("mean", lambda d: show(d["summary"]["mean_sequences"])),
    ("median", lambda d: show(d["summary"]["median_sequences"])),
    ("paper", lambda d: show(d["published"]["mean_sequences"])),
    ("wrong", lambda d: show(d["summary"]["mean_test_wrong"], 1)),
    ("paper", lambda d: show(published_wrong(d), 1)),
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
- `a`: the learning rate. `budget`: the maximum number of training sequences of a trial.
- `tests`: the sequences of a final test. `minutes`, `seconds`: the wall time of all trials.

The [notes](notes.md) explain where results fall short of the paper.

"""
CLAIM_SECTION = """
## Claims of the text

`python -m experiments.claims` checks what the paper says outside its tables, what its baselines do,
and what later variants of the LSTM do. Its [page](claims/README.md) has the results.

| claim | description |
|---|---|"""


def readme_table(documents: Sequence[Document]) -> str:
    """Return README's table: the first row of each task by `paper` and by the best other recipe."""
    of_lstm = [d for d in documents if d["task"] in row_names()]
    paper = best([d for d in of_lstm if d["recipe"] == "paper"])
    other = best([d for d in of_lstm if d["recipe"] != "paper"])
    page = "experiments/results/README.md"
    titles = ("row", "published", "`paper`", "best recipe")
    lines = [
        (
            f"[{row}]({page}#task-{task}) {TITLES[task]}",
            show(make_task(row).published.mean_sequences),
            _outcome(paper.get(row)),
            _outcome(other.get(row)),
        )
        for task, row in ((task, FIRST_ROWS[task]) for task in TITLES)
    ]
    return markdown(titles, lines, "---:")


def _outcome(document: Document | None) -> str:
    if document is None:
        return "-"
    mean, recipe = document["summary"]["mean_sequences"], document["recipe"]
    label = "" if recipe == "paper" else f"`{recipe}` "
    return f"{label}{text.solved(document)}" + (f", {show(mean)}" if mean else "")


def minutes(documents: Sequence[Document]) -> str:
    """Return how long the LSTM's rows took in total, by `paper` and by their best recipes."""
    total = lambda some: f"{len(some)} rows in {sum(d['wall_seconds'] for d in some) / 60:.0f}"
    of_paper = total([d for d in documents if d["recipe"] == "paper"])
    of_best = total(best(documents).values())
    found = f"{of_paper} minutes; by their best recipes: {of_best} minutes"
    return f"All rows of the LSTM, by `paper`: {found}.\n"


def page(documents: Sequence[Document]) -> str:
    """Return the page of the results: all rows in short, all recipes by task, and the claims."""
    parts = [INTRODUCTION, "![The paper's sequences and ours](overview.png)\n\n"]
    parts += ["## All rows\n\n", markdown_table(best_of_each(documents), text.SHORT)]
    missing = [row for row in collection.all_rows() if row not in {d["task"] for d in documents}]
    if missing:
        parts.append(f"\nNot run yet: {', '.join(missing)}.\n")
    parts.append(f"\n{minutes([d for d in documents if d['task'] in row_names()])}")
    for task, of_task in _by_task(documents).items():
        parts += [f"\n## Task {task}\n\n{TITLES[task].capitalize()}.\n\n"]
        parts += [markdown_table(of_task, LONG), "\n"]
        parts += [f"![Learning curves of each row]({task}/curves.{task}.png)\n"]
        if solved_network(of_task):
            parts += [f"![A solved network on one sequence]({task}/network.{task}.png)\n"]
    names = [name for name in CLAIMS if (RESULTS / "claims" / f"claim.{name}.json").exists()]
    lines = [f"| [{name}](claims/claim.{name}.json) | {CLAIMS[name].about} |" for name in names]
    if others := [name for name in CLAIMS if name not in names]:
        lines.append(f"\nNot run yet: {', '.join(others)}.")
    pictures = [f"![{name}](claims/claim.{name}.png)" for name in names]
    return "".join(parts) + "\n".join([CLAIM_SECTION, *lines, "", *pictures, ""])


def _by_task(documents: Sequence[Document]) -> dict[str, list[Document]]:
    found = {task: [d for d in documents if task_of(d["task"]) == task] for task in TITLES}
    return {task: of_task for task, of_task in found.items() if of_task}


def solved_network(documents: Sequence[Document]) -> Document | None:
    """Return the first of the best recipes' results that contains a solved network."""
    return next(filter(collection.has_solved_network, best_of_each(documents)), None)


def texts(documents: Sequence[Document]) -> dict[pathlib.Path, str]:
    """Return the content of the files with tables; raise ValueError if README.md lacks a marker."""
    readme = ROOT / "README.md"
    table = f"\n{readme_table(documents)}\n"
    content = text.replace_section(readme.read_text(), "results", table)
    found = {readme: content, RESULTS / "README.md": page(documents)}
    for name, fill in (("claims", with_tables), ("real", write_sections)):
        path = RESULTS / name / "README.md"
        if path.exists():
            found[path] = fill(path.read_text(), path.parent)
    return found


def learning_curves(documents: Sequence[Document]) -> style.Figure:
    """Draw the training error of all trials, a panel per document, beside the paper's mean."""
    rows, columns = -(-len(documents) // COLUMNS), min(len(documents), COLUMNS)
    figure, panels = style.new_figure(2.7 * columns + 0.3, 1.8 * rows + 0.5, rows, columns)
    for axes in panels[len(documents) :]:
        axes.set_visible(False)
    for axes, document in zip(panels, documents, strict=False):
        for trial in document["trials"]:
            points = np.array(trial["curve"], np.float64).reshape(-1, 3)
            colour = style.OURS if trial["solved"] else style.FAILED
            axes.plot(points[:, 0], points[:, 1], color=colour, lw=0.6, alpha=0.7)
        axes.set(xscale="log", ylim=(0, 1.05 * axes.get_ylim()[1]))
        if document["published"]["mean_sequences"]:
            axes.axvline(document["published"]["mean_sequences"], color=style.PAPER, ls=":")
        axes.set_title(f"{text.row_label(document)}\n{text.solved(document)} solved", fontsize=8)
        axes.tick_params(labelsize=7)
    figure.supxlabel("training sequences", fontsize=9)
    figure.supylabel("mean absolute training error", fontsize=9)
    panels[0].plot([], [], color=style.OURS, label="solved trial")
    panels[0].plot([], [], color=style.FAILED, label="unsolved trial")
    panels[0].plot([], [], ":", color=style.PAPER, label="the paper's mean")
    style.add_legend(figure, ncols=3, loc="outside upper center")
    return figure


def overview(documents: Sequence[Document]) -> style.Figure:
    """Draw the ratio of our mean sequences to the paper's, a line per row of the LSTM.

    A circle stands for `paper`, a diamond for the best other recipe. It is hollow, with the
    percentage of solved trials, if not all were solved. A cross stands for a row without any. The
    last 10,000 sequences of 2a and 2b, which the published counts leave out, are left out.
    """
    rows = list(dict.fromkeys(d["task"] for d in documents))
    figure, (axes,) = style.new_figure(10, 1.4 + 0.2 * len(rows))
    axes.axvline(1, color=style.PAPER, linestyle=":", linewidth=2)
    axes.axvspan(NEVER / 2, NEVER * 2, color=style.FAILED, alpha=0.15, lw=0)
    for task in list(dict.fromkeys(map(task_of, rows)))[::2]:
        of_task = [i for i, row in enumerate(rows) if task_of(row) == task]
        axes.axhspan(of_task[0] - 0.5, of_task[-1] + 0.5, color=style.BLACK, alpha=0.04, lw=0)
    for document in documents:
        _draw_ratio(axes, document, rows.index(document["task"]))
    legend = (
        ("paper", "o", style.OURS, style.OURS),
        ("best other recipe", "D", style.ORANGE, style.ORANGE),
        ("not all trials solved", "o", style.OURS, "none"),
        ("no trial solved", "x", style.FAILED, style.FAILED),
    )
    for name, marker, colour, fill in legend:
        axes.plot([], [], marker, color=colour, mfc=fill, label=name)
    axes.plot([], [], ":", color=style.PAPER, linewidth=2, label="the paper's mean")
    axes.set_yticks(range(len(rows)), rows)
    axes.set(xscale="log", xlim=(0.02, NEVER * 2), ylim=(len(rows) - 0.4, -0.6))
    ticks = (0.03, 0.1, 0.3, 1, 3, 10, 30, NEVER)
    axes.set_xticks(ticks, [*(f"{tick:g} x" for tick in ticks[:-1]), "never"])
    axes.minorticks_off()
    xlabel = "mean training sequences until success, in times the paper's"
    axes.set_xlabel(f"{xlabel} (2a, 2b: without the last 10,000)")
    style.add_legend(figure, ncols=5, loc="outside upper center")
    return figure


def _draw_ratio(axes: style.Axes, document: Document, y: float) -> None:
    is_paper = document["recipe"] == "paper"
    marker, colour, y = ("o", style.OURS, y - 0.15) if is_paper else ("D", style.ORANGE, y + 0.15)
    summary, published = document["summary"], document["published"]["mean_sequences"]
    if not summary["solved"]:
        axes.plot(NEVER, y, "x", color=colour, markersize=6)
        return
    mean = summary["mean_sequences"] - UNCOUNTED.get(document["task"], 0)
    ratio, rate = mean / published, summary["success_rate"]
    fill = colour if rate == 100 else "none"
    axes.plot(ratio, y, marker, color=colour, mfc=fill, markersize=5)
    if rate < 100:
        offset, align = (7, "left") if ratio > 1 else (-7, "right")
        place = {"xytext": (offset, 0), "textcoords": "offset points", "ha": align, "va": "center"}
        axes.annotate(f"{rate:.0f}%", (ratio, y), fontsize=7, color=colour, **place)


def network_at_work(document: Document, task: Task) -> style.Figure:
    """Draw the network of a result over one sequence of its task, of median length."""
    architecture, parameters = network_from_document(document)
    row, index = document["task"], document["network"]["trial"]
    root = jax.random.key(document["seed"])
    data = task.prepare and task.prepare(jax.random.fold_in(root, DATA), index)
    batch = task.sample_batch(jax.random.fold_in(root, 1), 9, data)
    middle = jnp.argsort(batch.length)[4]
    example = jax.tree.map(lambda array: array[middle], batch)
    after = next(t["sequences"] for t in document["trials"] if t["index"] == index)
    classes = plots.class_names(row)
    about = f"the network of trial {index} after {after:,} training sequences"
    if document["recipe"] != "paper":
        about += f", recipe {document['recipe']}"
    return plots.network_at_work(
        architecture,
        parameters,
        example.inputs,
        length=int(example.length),
        targets=example.true_targets,
        symbols=plots.symbol_names(row),
        classes=classes if len(classes or ()) == architecture.num_outputs else None,
        title=f"{row}: {document['title']}\n{about}",
    )


def draw_all(documents: Sequence[Document]) -> dict[pathlib.Path, style.Figure]:
    """Return the overview and the pictures of each task, by their files."""
    of_lstm = [d for d in documents if d["task"] in row_names()]
    drawn = {RESULTS / "overview.png": overview(best_of_each(of_lstm))}
    for task, of_task in _by_task(documents).items():
        drawn[RESULTS / task / f"curves.{task}.png"] = learning_curves(best_of_each(of_task))
        document = solved_network(of_task)
        if document is not None:
            drawn[RESULTS / task / f"network.{task}.png"] = network_at_work(
                document, make_task(document["task"])
            )
    return drawn


def define(flags: FlagSet) -> None:
    flags.switch("pictures", True, "Draw the pictures too.")


def main(values: FlagValues) -> None:
    """Write the tables and the pictures."""
    documents = collection.read_results()
    for path, content in texts(documents).items():
        write_atomically(path, content.encode())
        print(f"wrote {path}")
    for path, figure in draw_all(documents).items() if values.pictures else ():
        style.save(figure, path)
        print(f"wrote {path}")


COMMAND = Command("tables", __doc__, define, main)
if __name__ == "__main__":
    COMMAND.run()
