"""Pictures of many results side by side, and of a row's solved network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np

from experiments.rows.collection import task_of
from experiments.rows.text import row_label, solved
from lstm_jax import plots
from lstm_jax.network.files import Document, network_from_document
from lstm_jax.plots import style
from lstm_jax.tasks import make_task
from lstm_jax.training.trials.training_loop import DATA

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NEVER = 100.0  # the position in the overview of a row without a solved trial
COLUMNS = 4  # of panels with learning curves


def learning_curves(documents: Sequence[Document]) -> Figure:
    """Draw the training error of all trials, a panel per document, beside the paper's mean."""
    rows = -(-len(documents) // COLUMNS)
    columns = min(len(documents), COLUMNS)
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
        axes.set_title(f"{row_label(document)}\n{solved(document)} solved", fontsize=8)
        axes.tick_params(labelsize=7)
    figure.supxlabel("training sequences", fontsize=9)
    figure.supylabel("mean absolute training error", fontsize=9)
    panels[0].plot([], [], color=style.OURS, label="solved trial")
    panels[0].plot([], [], color=style.FAILED, label="unsolved trial")
    panels[0].plot([], [], ":", color=style.PAPER, label="the paper's mean")
    handles = panels[0].get_legend_handles_labels()
    style.add_legend(figure, *handles, ncols=3, loc="outside upper center")
    return figure


def overview(documents: Sequence[Document]) -> Figure:
    """Draw the ratio of our mean sequences to the paper's, a line per row of the LSTM.

    A circle stands for `paper`, a diamond for the best other recipe. It is hollow, with the
    percentage of solved trials, if not all were solved. A cross stands for a row without any.
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
    axes.set_xlabel("mean training sequences until success, in times the paper's")
    style.add_legend(figure, ncols=5, loc="outside upper center")
    return figure


def _draw_ratio(axes: Axes, document: Document, y: float) -> None:
    is_paper = document["recipe"] == "paper"
    marker, colour, y = ("o", style.OURS, y - 0.15) if is_paper else ("D", style.ORANGE, y + 0.15)
    summary, published = document["summary"], document["published"]["mean_sequences"]
    if not summary["solved"]:
        axes.plot(NEVER, y, "x", color=colour, markersize=6)
        return
    ratio, rate = summary["mean_sequences"] / published, summary["success_rate"]
    fill = colour if rate == 100 else "none"
    axes.plot(ratio, y, marker, color=colour, mfc=fill, markersize=5)
    if rate < 100:
        offset, align = (7, "left") if ratio > 1 else (-7, "right")
        place = {"xytext": (offset, 0), "textcoords": "offset points", "ha": align, "va": "center"}
        axes.annotate(f"{rate:.0f}%", (ratio, y), fontsize=7, color=colour, **place)


def network_at_work(document: Document) -> Figure:
    """Draw the activations of a row's solved network over one sequence of median length."""
    architecture, parameters = network_from_document(document)
    row, index = document["task"], document["network"]["trial"]
    task, root = make_task(row), jax.random.key(document["seed"])
    data = task.prepare and task.prepare(jax.random.fold_in(root, DATA), index)
    batch = task.sample_batch(jax.random.fold_in(root, 1), 9, data)
    middle = jnp.argsort(batch.length)[4]
    example = jax.tree.map(lambda array: array[middle], batch)
    after = next(t["sequences"] for t in document["trials"] if t["index"] == index)
    classes = plots.class_names(row)
    title = f"{row}: {document['title']}\n"
    title += f"the network of trial {index} after {after:,} training sequences"
    if document["recipe"] != "paper":
        title += f", recipe {document['recipe']}"
    return plots.network_at_work(
        architecture,
        parameters,
        example.inputs,
        length=int(example.length),
        targets=example.true_targets,
        symbols=plots.symbol_names(row),
        classes=classes if len(classes or ()) == architecture.num_outputs else None,
        title=title,
    )
