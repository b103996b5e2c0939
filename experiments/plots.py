"""Pictures of results: learning curves, sequences to success, what a solved network does."""

from __future__ import annotations

import io
import pathlib
import textwrap
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lstm_jax.network.layer import unroll
from lstm_jax.network.outputs import apply
from lstm_jax.tasks import Example, Task, make_task
from lstm_jax.training.learning import DATA
from lstm_jax.training.results import read_network, write_atomically

Document = dict[str, Any]
MOST_LINES = 12  # of one kind in a panel


def draw_all(documents: list[Document], folder: pathlib.Path) -> None:
    """The overview of all rows, and a solved network of each task at work."""
    sequences_to_success(documents, folder / "overview.png")
    drawn = set()
    for document in documents:
        experiment = document["task"].partition("-")[0]
        if experiment not in drawn and document.get("network"):
            drawn.add(experiment)
            network_at_work(document, folder / f"network.{experiment}.png")


def learning_curves(document: Document, path: pathlib.Path) -> None:
    """Draws the training error of every trial of a row, and the paper's mean beside ours."""
    figure, axes = _figure(7, 4)
    for trial in document["trials"]:
        sequences, errors = zip(*[(p[0], p[1]) for p in trial["curve"]], strict=True)
        colour = "tab:blue" if trial["solved"] else "tab:gray"
        axes.plot(sequences, errors, color=colour, linewidth=0.8, alpha=0.7)
        if trial["solved"]:
            axes.plot(sequences[-1], errors[-1], "o", color=colour, markersize=3)
    summary, published = document["summary"], document["published"]
    if summary["mean_sequences"]:
        ours = f"mean of {summary['solved']} solved: {summary['mean_sequences']:,.0f}"
        axes.axvline(summary["mean_sequences"], color="tab:blue", linestyle="--", label=ours)
    if published["mean_sequences"]:
        theirs = f"paper: {published['mean_sequences']:,.0f}"
        axes.axvline(published["mean_sequences"], color="tab:red", linestyle=":", label=theirs)
    title = f"{document['task']}: {document['title']} ({document['recipe']})"
    axes.set(
        title=textwrap.fill(title, 68),
        xlabel="training sequences",
        ylabel="mean absolute training error",
        ylim=(0, None),
        xlim=(0, None),
    )
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    if axes.get_legend_handles_labels()[0]:  # neither a solved trial nor a published mean: none
        axes.legend(frameon=False)
    _save(figure, path)


def row_label(document: Document) -> str:
    """A row's name, with its recipe where that is not the paper's."""
    recipe = document["recipe"]
    return document["task"] if recipe == "paper" else f"{document['task']} ({recipe})"


def sequences_to_success(
    documents: list[Document], path: pathlib.Path, label: Callable[[Document], str] = row_label
) -> None:
    """Draws every trial's number of sequences until success, a line a row, beside the paper's."""
    figure, axes = _figure(8, 1 + 0.25 * len(documents))
    for place, document in enumerate(documents):
        solved = [t["sequences"] for t in document["trials"] if t["solved"]]
        failed = [t["sequences"] for t in document["trials"] if not t["solved"]]
        axes.plot(solved, [place] * len(solved), "o", color="tab:blue", alpha=0.4, markersize=4)
        axes.plot(failed, [place] * len(failed), "x", color="tab:gray", markersize=5)
        mean, published = (document[of]["mean_sequences"] for of in ("summary", "published"))
        if mean:
            axes.plot(mean, place, "|", color="tab:blue", markersize=14, markeredgewidth=2)
        if published:
            axes.plot(published, place, "|", color="tab:red", markersize=14, markeredgewidth=2)
    for name, style in (
        ("a solved trial", {"marker": "o", "color": "tab:blue", "alpha": 0.4}),
        ("an unsolved one", {"marker": "x", "color": "tab:gray"}),
        ("mean of the solved", {"marker": "|", "color": "tab:blue"}),
        ("the paper's mean", {"marker": "|", "color": "tab:red"}),
    ):
        axes.plot([], [], linestyle="", label=name, **style)
    axes.set_yticks(range(len(documents)), [label(document) for document in documents])
    axes.set(xscale="log", xlabel="training sequences", ylim=(len(documents) - 0.5, -0.5))
    figure.legend(frameon=False, ncols=4, loc="outside upper center")
    _save(figure, path)


def fraction_wrong(
    lengths: Sequence[int], fractions: dict, path: pathlib.Path, xlabel: str
) -> None:
    """Draws the fraction of wrong sequences against their length, a line a network."""
    figure, axes = _figure(10, 4.5)
    for i, (label, wrong) in enumerate(fractions.items()):
        style = ("-", "--")[i // 10 % 2]
        axes.plot(lengths, wrong, f"o{style}", color=f"C{i % 10}", label=label, markersize=4)
    axes.set(xscale="log", xlabel=xlabel, ylim=(-0.02, 1.02))
    axes.set_ylabel("fraction of wrong sequences")
    figure.legend(frameon=False, loc="outside right upper")
    _save(figure, path)


def over_training(
    variants: dict[str, Document], panels: dict[str, str], path: pathlib.Path
) -> None:
    """Draws what was measured in every trial while it learned, a panel a measure, a line a variant.

    The line is the median of the trials, the band goes from the least to the largest.

    Args:
      variants: of each its `sequences` and, where it has that measure, the trials' values then.
      panels: the measures, each with its label.
      path: the PNG file.
    """
    figure, places = _figure(5 * len(panels), 5, columns=len(panels))
    for axes, (measure, label) in zip(places, panels.items(), strict=True):
        for i, (variant, found) in enumerate(variants.items()):
            if measure in found:
                sequences, values = found["sequences"], np.array(found[measure])
                axes.plot(sequences, np.median(values, 1), ".-", color=f"C{i}", label=variant)
                axes.fill_between(
                    sequences, values.min(1), values.max(1), color=f"C{i}", alpha=0.15, lw=0
                )
        axes.set(xlabel="training sequences", ylabel=label, xlim=(0, None), ylim=(0, None))
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    figure.legend(*places[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    _save(figure, path)


def lags(documents: list[Document], path: pathlib.Path) -> None:
    """Draws the mean sequences of task 2c, with as many symbols as the lag, and with fewer.

    On the left p = q grows, on the right p alone does, at q = 1000; beside the paper's, one line a
    recipe. Where not all trials are solved, their share stands at the point.
    """
    figure, panels = _figure(10, 4.5, columns=2)
    rows = [tuple(int(part) for part in d["task"].split("-")[1:]) for d in documents]
    for axes, x, is_shown in (
        (panels[0], "q = p", [q == p for q, p in rows]),
        (panels[1], "p, with q = 1000", [q == 1000 for q, _ in rows]),
    ):
        shown = [(p, d) for (_, p), d, yes in zip(rows, documents, is_shown, strict=True) if yes]
        axes.set_visible(bool(shown))
        if not shown:
            continue
        learned = [(p, d) for p, d in shown if d["summary"]["solved"]]
        for i, recipe in enumerate(sorted({d["recipe"] for _, d in learned})):
            points = sorted(
                (p, d["summary"]["mean_sequences"], d["summary"]["success_rate"])
                for p, d in learned
                if d["recipe"] == recipe
            )
            axes.plot(*_columns(points)[:2], "o-", color=f"C{i}", label=f"ours, {recipe}")
            for p, mean, rate in points:
                if rate < 100:
                    axes.annotate(f" {rate:.0f} %", (p, mean), fontsize=8, color=f"C{i}")
        published = sorted({(p, d["published"]["mean_sequences"]) for p, d in shown})
        axes.plot(*_columns(published), "o--", color="black", mfc="none", label="the paper's")
        axes.set(xscale="log", xlabel=x, yscale="log", ylabel="training sequences")
        axes.legend(frameon=False, fontsize=8)
    _save(figure, path)


def _columns(rows: Sequence[tuple]) -> list[list]:
    """Rows as columns, of which there are some even if there are no rows."""
    return [list(column) for column in zip(*rows, strict=True)] if rows else [[], []]


def sweep(document: Document, path: pathlib.Path) -> None:
    """Draws the mean training error of a sweep's trials against pairs of their settings."""
    trials = np.array(document["trials"], np.float64)  # None becomes NaN
    column = {name: trials[:, i] for i, name in enumerate(document["columns"])}
    gates = {
        kind: np.sort([column[name] for name in column if name.startswith(f"{kind} gate bias")], 0)
        for kind in ("input", "output")
        if document["space"][f"{kind}_gate_bias"]
    }
    rate = ("learning rate", column["learning rate"])
    pairs = [(rate, (f"mean {kind} gate bias", b.mean(0))) for kind, b in gates.items()]
    if document["space"]["init_range"]:
        pairs.append((rate, ("initial range", column["initial range"])))
    pairs += [
        ((f"lowest {kind} gate bias", b[0]), (f"highest {kind} gate bias", b[-1]))
        for kind, b in gates.items()
        if len(b) > 1
    ]
    figure, panels = _figure(5 * len(pairs), 4, columns=len(pairs))
    is_known = np.isfinite(column["error"])
    least, most = np.percentile(column["error"][is_known], (0, 95))
    for axes, ((x_name, x), (y_name, y)) in zip(np.atleast_1d(panels), pairs, strict=True):
        scale = lambda name: "log" if name in ("learning rate", "initial range") else "linear"
        cells = axes.hexbin(
            x[is_known],
            y[is_known],
            C=column["error"][is_known],
            gridsize=24,
            xscale=scale(x_name),
            yscale=scale(y_name),
            vmin=least,
            vmax=most,
        )
        axes.set(xlabel=x_name, ylabel=y_name)
    figure.colorbar(cells, ax=panels, label="mean training error at the end")
    figure.suptitle(
        f"{document['task']}, blocks {document['blocks']} ({document['recipe']}): "
        f"{len(trials):,} trials of {document['max_sequences']:,} sequences"
    )
    _save(figure, path)


def network_at_work(document: Document, path: pathlib.Path) -> None:
    """Draws a sequence of a row, and what a solved network's units do over it."""
    architecture, parameters = read_network(document)
    task = make_task(document["task"])
    example = _example(task, document["seed"], document["network"]["trial"])
    length = int(example.length)
    activations, _ = unroll(architecture, parameters, example.inputs, length=length)
    outputs, _ = apply(architecture, parameters, example.inputs, length=length)
    assert activations is not None

    figure, panels = _figure(9, 9, rows=6)
    _draw_inputs(panels[0], np.asarray(example.inputs)[:length], architecture.num_inputs)
    for axes, name, symbol in (
        (panels[1], "input_gate", "input gates"),
        (panels[2], "output_gate", "output gates"),
        (panels[3], "internal_state", "internal states"),
        (panels[4], "cell_output", "cell outputs"),
    ):
        values = getattr(activations, name)
        if values is not None:
            _draw_lines(axes, np.asarray(values)[:length])
        axes.set_ylabel(symbol)
    _draw_lines(panels[5], np.asarray(outputs)[:length])
    targets = np.atleast_2d(np.asarray(example.true_targets))[:length]
    steps = np.arange(length - len(targets), length)
    for k in range(min(targets.shape[1], MOST_LINES)):
        panels[5].plot(steps, targets[:, k], "o", color=f"C{k % 10}", markersize=4, mfc="none")
    panels[5].set(ylabel="outputs\n(targets: rings)", xlabel="step")
    panels[0].set_title(
        f"{document['task']} ({document['recipe']}): the network of trial "
        f"{document['network']['trial']} after {_ended(document):,} sequences"
    )
    _save(figure, path)


def _ended(document: Document) -> int:
    index = document["network"]["trial"]
    return next(t["sequences"] for t in document["trials"] if t["index"] == index)


def _example(task: Task, seed: int, trial: int) -> Example:
    """A training sequence that is neither the shortest nor the longest of a few."""
    root = jax.random.key(seed)
    data = task.prepare and task.prepare(jax.random.fold_in(root, DATA), trial)
    batch = task.sample_batch(jax.random.fold_in(root, 1), 9, data)
    middle = jnp.argsort(batch.length)[4]
    return jax.tree.map(lambda array: array[middle], batch)


def _draw_inputs(axes: Any, inputs: np.ndarray, num_inputs: int) -> None:
    """Real inputs as lines, symbols as the places of their ones."""
    if inputs.ndim == 2:
        _draw_lines(axes, inputs)
    else:
        axes.plot(np.arange(len(inputs)), inputs, "|", color="black", markersize=5)
        axes.set_ylim(num_inputs - 0.5, -0.5)
    axes.set_ylabel("inputs")


def _draw_lines(axes: Any, values: np.ndarray) -> None:
    """[T, n] as n lines; where there are many, those that move most."""
    most = np.argsort(-np.ptp(values, axis=0))[:MOST_LINES]
    for k in sorted(most):
        axes.plot(np.arange(len(values)), values[:, k], color=f"C{k % 10}", linewidth=1)


def _figure(width: float, height: float, rows: int = 1, columns: int = 1) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(rows, columns, sharex=rows > 1)


def _save(figure: Any, path: pathlib.Path) -> None:
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=120)
    write_atomically(path, content.getvalue())
