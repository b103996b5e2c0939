"""Pictures of many results side by side, of sweeps, and of a row's solved network."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.rows.collection import task_of
from experiments.rows.text import row_label, solved
from lstm_jax import plots
from lstm_jax.network.files import Document, network_from_document
from lstm_jax.plots import style
from lstm_jax.tasks import Example, Task, make_task
from lstm_jax.training.trials.training_loop import DATA

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NEVER = 100.0  # the place in the overview of a row without a solved trial
COLUMNS = 4  # of panels with learning curves

# Markers in `sequences_to_success`.
_SOLVED: Document = {"marker": "o", "color": style.OURS, "alpha": 0.4, "markersize": 4, "ls": ""}
_UNSOLVED: Document = {"marker": "x", "color": style.FAILED, "markersize": 5, "ls": ""}
_MEAN: Document = {"marker": "|", "markersize": 14, "markeredgewidth": 2, "ls": ""}
_OUR_MEAN: Document = _MEAN | {"color": style.OURS}
_PAPER_MEAN: Document = _MEAN | {"color": style.PAPER}


def sequences_to_success(
    documents: Sequence[Document], label: Callable[[Document], str] = row_label
) -> Figure:
    """Draw the sequences to success of all trials, a line per document, beside the paper's mean."""
    figure, (axes,) = style.new_figure(9, 1.2 + 0.28 * len(documents))
    for y, document in enumerate(documents):
        for is_solved, options in ((True, _SOLVED), (False, _UNSOLVED)):
            counts = [t["sequences"] for t in document["trials"] if t["solved"] == is_solved]
            axes.plot(counts, [y] * len(counts), **options)
        for source, options in (("summary", _OUR_MEAN), ("published", _PAPER_MEAN)):
            if document[source]["mean_sequences"]:
                axes.plot(document[source]["mean_sequences"], y, **options)
    entries = {
        "solved trial": _SOLVED,
        "unsolved trial": _UNSOLVED,
        "mean of the solved": _OUR_MEAN,
    }
    if any(d["published"]["mean_sequences"] for d in documents):
        entries["the paper's mean"] = _PAPER_MEAN
    for name, options in entries.items():
        axes.plot([], [], label=name, **options)
    names = [f"{label(d)}  {d['summary']['solved']}/{len(d['trials'])}" for d in documents]
    axes.set_yticks(range(len(documents)), names)
    axes.set(xscale="log", xlabel="training sequences", ylim=(len(documents) - 0.5, -0.5))
    style.add_legend(figure, ncols=4, loc="outside upper center")
    return figure


def learning_curves(documents: Sequence[Document]) -> Figure:
    """Draw the training error of all trials, a panel per document, beside the paper's mean."""
    rows = -(-len(documents) // COLUMNS)
    columns = min(len(documents), COLUMNS)
    figure, panels = style.new_figure(2.7 * columns + 0.3, 1.8 * rows + 0.5, rows, columns)
    for axes in panels[len(documents) :]:
        axes.set_visible(False)
    for axes, document in zip(panels, documents, strict=False):
        for trial in document["trials"]:
            sequences, errors, _ = _columns(trial["curve"], 3)
            colour = style.OURS if trial["solved"] else style.FAILED
            axes.plot(sequences, np.array(errors, np.float64), color=colour, lw=0.6, alpha=0.7)
        axes.set(xscale="log", ylim=(0, 1.05 * axes.get_ylim()[1]))
        if document["published"]["mean_sequences"]:
            axes.axvline(document["published"]["mean_sequences"], color=style.PAPER, ls=":")
        axes.set_title(f"{row_label(document)}\n{solved(document)} solved", fontsize=8)
        axes.tick_params(labelsize=7)
    figure.supxlabel("training sequences", fontsize=9)
    figure.supylabel("mean absolute training error", fontsize=9)
    entries = {"solved trial": style.OURS, "unsolved trial": style.FAILED}
    for name, colour in entries.items():
        panels[0].plot([], [], color=colour, label=name)
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
        axes.annotate(
            f"{rate:.0f}%",
            (ratio, y),
            (offset, 0),
            textcoords="offset points",
            ha=align,
            va="center",
            fontsize=7,
            color=colour,
        )


def fraction_wrong(lengths: Sequence[int], fractions: Mapping[str, Any], xlabel: str) -> Figure:
    """Draw the fraction of wrong sequences against their length, a line per network."""
    figure, (axes,) = style.new_figure(10, 4.5)
    for i, (label, wrong) in enumerate(fractions.items()):
        axes.plot(lengths, wrong, label=label, **style.line_style(i))
    axes.set(xscale="log", xlabel=xlabel, ylim=(-0.02, 1.02), ylabel="fraction of wrong sequences")
    _set_ticks(axes, lengths)
    style.add_legend(figure, loc="outside right upper")
    return figure


def _set_ticks(axes: Axes, ticks: Sequence[int]) -> None:
    axes.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
    axes.minorticks_off()


def over_training(variants: Mapping[str, Document], panels: Mapping[str, str]) -> Figure:
    """Draw measurements of all trials during training, a panel per measure, a line per variant.

    The line is the median of the trials; the band extends from the least to the largest.

    Args:
      variants: for each, its `sequences` and, if it has the measure, the values of all trials.
      panels: the label of each measure.
    """
    figure, places = style.new_figure(5 * len(panels), 5, columns=len(panels))
    for axes, (measure, label) in zip(places, panels.items(), strict=True):
        for i, (variant, found) in enumerate(variants.items()):
            if measure in found:
                x, values, options = (
                    found["sequences"],
                    np.array(found[measure]),
                    style.line_style(i),
                )
                axes.plot(x, np.median(values, 1), label=variant, **options)
                band = {"color": options["color"], "alpha": 0.15, "lw": 0}
                axes.fill_between(x, values.min(1), values.max(1), **band)
        axes.set(xlabel="training sequences", ylabel=label, ylim=(0, None))
        style.with_thousands(axes)
    handles = places[0].get_legend_handles_labels()
    style.add_legend(figure, *handles, loc="outside lower center", ncols=3)
    return figure


def lags(documents: Sequence[Document]) -> Figure:
    """Draw the mean sequences of task 2c against the lag, a line per recipe, beside the paper's.

    On the left q = p; on the right p varies at q = 1000. A percentage stands beside a point of
    which not all trials were solved.
    """
    figure, panels = style.new_figure(11, 4.5, columns=2, sharey=True)
    points = [(*map(int, d["task"].split("-")[1:]), d) for d in documents]
    of_panels = {
        "q = p": [(p, d) for q, p, d in points if q == p],
        "p, with q = 1000": [(p, d) for q, p, d in points if q == 1000],
    }
    for axes, (label, displayed) in zip(panels, of_panels.items(), strict=True):
        axes.set_visible(bool(displayed))
        if displayed:
            _draw_lags(axes, displayed)
            axes.set(xscale="log", xlabel=label, yscale="log")
            _set_ticks(axes, sorted({p for p, _ in displayed}))
            style.add_legend(axes)
    panels[0].set_ylabel("training sequences")
    return figure


def _draw_lags(axes: Axes, displayed: Sequence[tuple[int, Document]]) -> None:
    learned = [(p, d) for p, d in displayed if d["summary"]["solved"]]
    for i, recipe in enumerate(sorted({d["recipe"] for _, d in learned})):
        points = sorted(
            (p, d["summary"]["mean_sequences"], d["summary"]["success_rate"])
            for p, d in learned
            if d["recipe"] == recipe
        )
        options = style.line_style((0, 2, 3, 4, 5)[i % 5])  # vermilion is the paper's
        axes.plot(*_columns(points, 3)[:2], label=f"ours, {recipe}", **options)
        for p, mean, rate in points:
            if rate < 100:
                axes.annotate(f" {rate:.0f}%", (p, mean), fontsize=8, color=options["color"])
    published = sorted({(p, d["published"]["mean_sequences"]) for p, d in displayed})
    axes.plot(*_columns(published, 2), "o:", color=style.PAPER, mfc="none", label="the paper's")


def _columns(rows: Sequence[Sequence], number: int) -> list[list]:
    """Return the columns of rows, of which there may be none."""
    return [[row[i] for row in rows] for i in range(number)]


def sweep(document: Document) -> Figure:
    """Draw the mean training error of a sweep's trials against pairs of hyperparameters.

    Raises:
      ValueError: if no trial's error is finite.
    """
    trials = np.array(document["trials"], np.float64)  # None becomes NaN
    column = {name: trials[:, i] for i, name in enumerate(document["columns"])}
    pairs = _pairs(document, column)
    figure, panels = style.new_figure(5 * len(pairs), 4, columns=len(pairs))
    error = column["error"]
    is_known = np.isfinite(error)
    if not is_known.any():
        raise ValueError("no trial's error is finite")
    least, most = np.percentile(error[is_known], (0, 95))
    scale = lambda name: "log" if name in ("learning rate", "initial range") else "linear"
    for axes, ((x_name, x), (y_name, y)) in zip(panels, pairs, strict=True):
        axes.grid(False)
        cells = axes.hexbin(
            x[is_known],
            y[is_known],
            C=error[is_known],
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
    """Return the pairs of hyperparameters to draw, each a name and the values of all trials."""
    gates = {
        gate: np.sort([column[name] for name in column if name.startswith(f"{gate} gate bias")], 0)
        for gate in ("input", "output")
        if document["space"][f"{gate}_gate_bias"]
    }
    rate = ("learning rate", column["learning rate"])
    pairs = [(rate, (f"mean {gate} gate bias", b.mean(0))) for gate, b in gates.items()]
    if document["space"]["init_range"]:
        pairs.append((rate, ("initial range", column["initial range"])))
    return pairs + [
        ((f"lowest {gate} gate bias", b[0]), (f"highest {gate} gate bias", b[-1]))
        for gate, b in gates.items()
        if len(b) > 1
    ]


def network_at_work(document: Document) -> Figure:
    """Draw the activations of a row's solved network over one sequence."""
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
    """Return a training sequence of the median length of nine."""
    root = jax.random.key(seed)
    data = task.prepare and task.prepare(jax.random.fold_in(root, DATA), trial)
    batch = task.sample_batch(jax.random.fold_in(root, 1), 9, data)
    middle = jnp.argsort(batch.length)[4]
    return jax.tree.map(lambda array: array[middle], batch)
