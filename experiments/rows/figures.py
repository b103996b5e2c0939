"""Pictures of many results beside each other: the overview, claims, sweeps; and of one network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np

from experiments.rows.collection import task_of
from lstm_jax import plots
from lstm_jax.network.files import Document, network_from_document
from lstm_jax.plots import style
from lstm_jax.tasks import Example, Task, make_task
from lstm_jax.training.trials.training_loop import DATA

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NEVER = 100.0  # where the overview puts a row of which nothing was solved: so many times the paper


def overview(documents: Sequence[Document]) -> Figure:
    """Draws, a line a row of the LSTM's, how many times the paper's sequences ours needed.

    One mark for the paper's own conditions, one for the best other recipe. A mark that is not
    filled stands for a row of which not all trials were solved, their share beside it; a cross, on
    the right, for one of which none was.
    """
    rows = list(dict.fromkeys(d["task"] for d in documents))
    figure, (axes,) = style.new_figure(10, 1.4 + 0.2 * len(rows))
    axes.axvline(1, color=style.PAPER, linestyle=":", linewidth=2)
    axes.axvspan(NEVER / 2, NEVER * 2, color=style.FAILED, alpha=0.15, lw=0)
    for task in list(dict.fromkeys(map(task_of, rows)))[::2]:
        first, *_, last = [i for i, row in enumerate(rows) if task_of(row) == task] * 2
        axes.axhspan(first - 0.5, last + 0.5, color=style.BLACK, alpha=0.04, lw=0)
    for document in documents:
        is_paper = document["recipe"] == "paper"
        _draw_ratio(axes, document, rows.index(document["task"]) + (-0.15 if is_paper else 0.15))
    kinds = (
        ("by the paper's conditions", "o", style.OURS, style.OURS),
        ("by the best other recipe", "D", style.ORANGE, style.ORANGE),
        ("not all trials solved", "o", style.OURS, "none"),
        ("none solved", "x", style.FAILED, style.FAILED),
    )
    for name, marker, colour, fill in kinds:
        axes.plot([], [], marker, color=colour, mfc=fill, label=name)
    axes.plot([], [], ":", color=style.PAPER, linewidth=2, label="the paper's mean")
    axes.set_yticks(range(len(rows)), rows)
    axes.set(xscale="log", xlim=(0.02, NEVER * 2), ylim=(len(rows) - 0.4, -0.6))
    ticks = (0.03, 0.1, 0.3, 1, 3, 10, 30, NEVER)
    axes.set_xticks(ticks, [*(f"{tick:g} x" for tick in ticks[:-1]), "never"])
    axes.minorticks_off()
    axes.set_xlabel("training sequences until success, mean of the solved trials, to the paper's")
    style.add_legend(figure, ncols=5, loc="outside upper center")
    return figure


def _draw_ratio(axes: Axes, document: Document, place: float) -> None:
    is_paper = document["recipe"] == "paper"
    marker, colour = ("o", style.OURS) if is_paper else ("D", style.ORANGE)
    summary, published = document["summary"], document["published"]["mean_sequences"]
    if not summary["solved"]:
        axes.plot(NEVER, place, "x", color=colour, markersize=6)
        return
    ratio = summary["mean_sequences"] / published
    is_all = summary["success_rate"] == 100
    axes.plot(ratio, place, marker, color=colour, mfc=colour if is_all else "none", markersize=5)
    if not is_all:
        told = f"{summary['success_rate']:.0f} %"
        options: Document = {"fontsize": 7, "va": "center", "color": colour}
        right = ratio > 1
        axes.annotate(
            told,
            (ratio, place),
            (7 if right else -7, 0),
            textcoords="offset points",
            ha="left" if right else "right",
            **options,
        )


def sweep(document: Document) -> Figure:
    """Draws the mean training error of a sweep's trials against pairs of their settings.

    Raises:
      ValueError: if no trial's error is finite.
    """
    trials = np.array(document["trials"], np.float64)  # None becomes NaN
    column = {name: trials[:, i] for i, name in enumerate(document["columns"])}
    pairs = _pairs(document, column)
    figure, panels = style.new_figure(5 * len(pairs), 4, columns=len(pairs))
    is_known = np.isfinite(column["error"])
    if not is_known.any():
        raise ValueError("no trial's error is finite")
    least, most = np.percentile(column["error"][is_known], (0, 95))
    for axes, ((x_name, x), (y_name, y)) in zip(panels, pairs, strict=True):
        scale = lambda name: "log" if name in ("learning rate", "initial range") else "linear"
        axes.grid(False)
        cells = axes.hexbin(
            x[is_known],
            y[is_known],
            C=column["error"][is_known],
            gridsize=24,
            xscale=scale(x_name),
            yscale=scale(y_name),
            vmin=least,
            vmax=most,
            cmap="cividis",
        )
        axes.set(xlabel=x_name, ylabel=y_name)
    figure.colorbar(cells, ax=panels, label="mean training error at the end")
    figure.suptitle(
        f"{document['task']}, blocks {document['blocks']} ({document['recipe']}): "
        f"{len(trials):,} trials of {document['max_sequences']:,} sequences"
    )
    return figure


def _pairs(document: Document, column: Mapping[str, np.ndarray]) -> list[tuple]:
    """Which settings are drawn against which, each a name and the trials' values."""
    gates = {
        kind: np.sort([column[name] for name in column if name.startswith(f"{kind} gate bias")], 0)
        for kind in ("input", "output")
        if document["space"][f"{kind}_gate_bias"]
    }
    rate = ("learning rate", column["learning rate"])
    pairs = [(rate, (f"mean {kind} gate bias", b.mean(0))) for kind, b in gates.items()]
    if document["space"]["init_range"]:
        pairs.append((rate, ("initial range", column["initial range"])))
    return pairs + [
        ((f"lowest {kind} gate bias", b[0]), (f"highest {kind} gate bias", b[-1]))
        for kind, b in gates.items()
        if len(b) > 1
    ]


def network_at_work(document: Document) -> Figure:
    """Draws a sequence of a row, and what a solved network's units do over it."""
    architecture, parameters = network_from_document(document)
    row, index = document["task"], document["network"]["trial"]
    example = _example(make_task(row), document["seed"], index)
    after = next(t["sequences"] for t in document["trials"] if t["index"] == index)
    symbols, classes = plots.symbol_names(row), plots.class_names(row)
    fits = len(classes or ()) == architecture.num_outputs
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
        symbols=symbols,
        classes=classes if fits else None,
        title=title,
    )


def _example(task: Task, seed: int, trial: int) -> Example:
    """A training sequence that is neither the shortest nor the longest of a few."""
    root = jax.random.key(seed)
    data = task.prepare and task.prepare(jax.random.fold_in(root, DATA), trial)
    batch = task.sample_batch(jax.random.fold_in(root, 1), 9, data)
    middle = jnp.argsort(batch.length)[4]
    return jax.tree.map(lambda array: array[middle], batch)
