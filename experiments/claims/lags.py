"""Time lags: tests at other lags than the trained one, task 2c, the reach of a first symbol."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp

from experiments.ablations import cells, design
from experiments.claims.base import ClaimOptions, Variants, band, draw_band, repeat
from experiments.claims.comparisons import at_lag, lag_task, with_tolerance
from experiments.rows.collection import RESULTS, read_results, task_of
from lstm_jax import TrainingLoop, TrialRunner, make_recipe
from lstm_jax.baselines.chunker import Chunker
from lstm_jax.network.files import Document
from lstm_jax.plots import style
from lstm_jax.tasks import Example, adding, make_task, temporal_order, two_sequence, very_long_lags
from lstm_jax.training.update_rules.base import AnyModel, Vmapped, vmap_trials

ROWS_AT_100 = ("2c-100-100", "3a-100-3", "3b-100-3", "3c-100-3", "4-100", "6a", "6b")
TRAINED_LAG, TESTED_LAGS = 40, (5, 10, 20, 30, 40, 60, 80, 160)
THRESHOLD = 0.01  # smaller differences between outputs are ignored
PANELS = {  # of the reach
    "reach": "last step that tells the first symbol",
    "last_error": "largest error at the last step",
    "hidden_change": "change of C's hidden unit\nby the first symbol",
}


def sample_longer(key: jax.Array, row: str, length: int) -> Example:
    """Draw a sequence of one of `ROWS_AT_100`, with T = `length` instead of 100."""
    if row == "2c-100-100":
        return very_long_lags.sample_very_long(key, length, num_distractors=100)
    if row == "4-100":
        return adding.sample_marked_pairs(key, length)
    if row.startswith("6"):
        return temporal_order.sample_order(key, temporal_order.RANGES[row], length // 100)
    return two_sequence.sample_two_sequence(key, row.split("-")[0], length, num_signal=3)


def other_lags() -> Variants:
    """Train fixed time constants and the LSTM at one lag, and test at others."""
    return at_lag(TRAINED_LAG, TRAINED_LAG)


def measure_at_lags(loop: TrainingLoop, options: ClaimOptions) -> Document:
    """Train at one lag and test at `TESTED_LAGS`.

    Returns:
      `solved`, the number of solved trials, and `fraction_wrong`, their mean at every lag; None if
      no trial is solved.
    """
    trials, fractions = range(options.trials), []
    runner = TrialRunner(loop, trials, seed=options.seed)
    solved = [result.solved for result in runner.run()]
    for tested_lag in TESTED_LAGS:
        other = lag_task(tested_lag, tested_lag)
        changes = {"name": other.name, "max_length": other.max_length, "sample": other.sample}
        task = dataclasses.replace(loop.task, **changes)
        tester = TrialRunner(dataclasses.replace(loop, task=task), trials, seed=options.seed)
        tester.restore(runner.state())
        results = zip(tester.results(), solved, strict=True)
        wrong = [r.test_wrong / r.test_size for r, is_solved in results if is_solved]
        fractions.append(sum(wrong) / len(wrong) if wrong else None)
    return {"solved": sum(solved), "fraction_wrong": fractions}


def draw_other_lags(document: Document) -> style.Figure:
    """Draw the fraction of wrong sequences against the lag, for the types that learned."""
    lines = {
        f"{label}, {of['solved']} solved": of["fraction_wrong"]
        for label, of in document["variants"].items()
        if of["solved"]
    }
    xlabel = f"lag of the tests (trained at {document['trained_lag']})"
    return _draw_fractions(document["tested_lags"], lines, xlabel)


def _draw_fractions(
    lengths: Sequence[int], lines: Mapping[str, Sequence[float]], xlabel: str
) -> style.Figure:
    figure, (axes,) = style.new_figure(10, 4.5)
    for i, (label, wrong) in enumerate(lines.items()):
        axes.plot(lengths, wrong, label=label, **style.line_style(i))
    axes.set(xscale="log", xlabel=xlabel, ylim=(-0.02, 1.02))
    _label_ticks(axes, lengths)
    axes.set_ylabel("fraction of wrong sequences")
    style.add_legend(figure, loc="outside right upper")
    return figure


def _label_ticks(axes: style.Axes, ticks: Sequence[int]) -> None:
    axes.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
    axes.minorticks_off()


def run_very_long(options: ClaimOptions) -> Document:
    """Collect the results of task 2c: sequences until success against the minimal time lag.

    The interpretation without recurrent connections is that of the ablations, on the seed that
    confirmed it.
    """
    del options
    rows = [_without_recurrence(row) for row in very_long_lags.ROWS]
    for document in read_results():
        if task_of(document["task"]) == "2c":
            q, p = map(int, document["task"].split("-")[1:])
            summary = {k: document["summary"][k] for k in ("trials", "solved", "mean_sequences")}
            published = document["published"]["mean_sequences"]
            row = {"q": q, "p": p, "recipe": document["recipe"], "published_mean": published}
            rows.append(row | summary)
    return {"rows": rows}


def _without_recurrence(row: str) -> Document:
    cell = design.make_cell(row, "paper+recurrent=none", design.CONFIRMATION_SEED)
    found = design.find(cell, cells.Results(RESULTS / "ablations", row).cells())
    q, p = map(int, row.split("-")[1:])
    about = {"q": q, "p": p, "recipe": cell.recipe.removeprefix("paper+")}
    summary = {
        "trials": found["trials"],
        "solved": found["solved"],
        "mean_sequences": found["mean"],
    }
    return about | summary | {"published_mean": design.published_sequences(row)}


def draw_very_long(document: Document) -> style.Figure:
    """Draw the mean sequences of the solved trials, one line per recipe, with the paper's.

    On the left p = q grows; on the right p grows at q = 1000. A percentage is the share of solved
    trials, where it is not all.
    """
    rows = document["rows"]
    figure, panels = style.new_figure(11, 4.5, columns=2, sharey=True)
    recipes = sorted({row["recipe"] for row in rows if row["solved"]})
    lines = [style.line_style(i) for i in (0, 2, 3, 4, 5, 6)]  # vermilion is the paper's
    line_of = dict(zip(recipes, itertools.cycle(lines), strict=False))
    _draw_panel(panels[0], "q = p", [row for row in rows if row["q"] == row["p"]], line_of)
    _draw_panel(panels[1], "p, with q = 1000", [row for row in rows if row["q"] == 1000], line_of)
    panels[0].set_ylabel("training sequences")
    return figure


def _draw_panel(
    axes: style.Axes, xlabel: str, rows: list[Document], line_of: Mapping[str, style.Options]
) -> None:
    learned = [row for row in rows if row["solved"]]
    for recipe in sorted({row["recipe"] for row in learned}):
        line = line_of[recipe]
        points = sorted((r for r in learned if r["recipe"] == recipe), key=lambda r: r["p"])
        means = [row["mean_sequences"] for row in points]
        axes.plot([row["p"] for row in points], means, label=f"ours, {recipe}", **line)
        for row in points:
            if row["solved"] < row["trials"]:
                share = f" {row['solved'] / row['trials']:.0%}"
                xy = (row["p"], row["mean_sequences"])
                axes.annotate(share, xy, fontsize=8, color=line["color"])
    ticks, means = zip(*sorted({(row["p"], row["published_mean"]) for row in rows}), strict=True)
    axes.plot(ticks, means, "o:", color=style.PAPER, mfc="none", label="the paper's")
    axes.set(xscale="log", yscale="log", xlabel=xlabel)
    _label_ticks(axes, ticks)
    style.add_legend(axes)


def draw_reach(document: Document) -> style.Figure:
    """Draw each measure against the training sequences, one line per variant."""
    figure, panels = style.new_figure(5 * len(PANELS), 5, columns=len(PANELS))
    for axes, (measure_, ylabel) in zip(panels, PANELS.items(), strict=True):
        for i, (label, found) in enumerate(document["variants"].items()):
            if measure_ in found:
                line = style.line_style(i)
                draw_band(axes, found["sequences"], found[measure_], label, line)
        axes.set(xlabel="training sequences", ylabel=ylabel, ylim=(0, None))
        style.format_counts(axes)
    lines = panels[0].get_legend_handles_labels()
    style.add_legend(figure, *lines, loc="outside lower center", ncols=3)
    return figure


def reach_variants() -> Variants:
    """Measure the last step at which baselines and the LSTM tell the first symbol of task 2a.

    The delay is 100. The baselines are RTRL, BPTT and the chunker.
    """
    loops = {}
    for title, row, max_sequences, pairs in (
        ("RTRL", "2a-100.rtrl", 20_000, [(1.0, 0.0)]),
        ("BPTT", "2a-100.bptt", 50_000, [(1.0, 0.0), (0.2, 0.2)]),
        ("chunker", "2a-100.chunker", 100_000, [(1.0, 0.0), (0.2, 0.0), (0.2, 0.2)]),
    ):
        for init_range, tolerance in pairs:
            label = f"{title}, |w| < {init_range:g}, tolerance {tolerance:g}"
            loops[label] = with_tolerance(row, max_sequences, init_range, tolerance)
    task = dataclasses.replace(make_task("2a"), max_sequences=50_000)
    loops["LSTM (adam)"] = TrainingLoop(make_recipe("adam").apply(task))
    return {label: dataclasses.replace(loop, chunk=2500) for label, loop in loops.items()}


def measure_reach(loop: TrainingLoop, options: ClaimOptions) -> Document:
    """Measure after each chunk how far the first symbol reaches.

    Returns:
      `solved`, the number of solved trials; `sequences` after each chunk; and the `band` over the
      trials then of each measure of `measure_model`.
    """
    runner = TrialRunner(loop, range(options.trials), seed=options.seed)
    look = jax.jit(lambda model: measure_model(loop, model, options.trials))
    sequences, chunks = [], []
    while not runner.finished:
        runner.run_chunk()
        sequences.append(runner.num_sequences)
        chunks.append(jax.device_get(look(runner.state().trials.model)))
    bands = {name: band([chunk[name] for chunk in chunks], 4) for name in chunks[0]}
    solved = sum(result.solved for result in runner.results())
    return {"solved": solved, "sequences": sequences} | bands


def measure_model(loop: TrainingLoop, model: AnyModel, trials: int) -> dict[str, jax.Array]:
    """Return the measures of `PANELS` for the current model of every trial, each [R].

    They compare two sequences that differ in the first symbol. `reach` is the last step at which
    their outputs differ by more than `THRESHOLD`.
    """
    batch = loop.task.sample_batch(jax.random.key(0), 32)
    first = batch.inputs[:, 0]
    both = [  # one sequence with x, one with y
        repeat(jax.tree.map(lambda array, i=i: array[i], batch), trials)
        for i in (first.argmin(), first.argmax())
    ]
    targets = jnp.stack([example.targets[-1] for example in both])  # [2, K, R]
    outputs = jnp.stack([loop.update_rule.outputs(model, example) for example in both])
    is_different = jnp.abs(outputs[0] - outputs[1]).max(1) > THRESHOLD  # [T, R]
    steps = jnp.arange(1, len(is_different) + 1)
    found = {
        "reach": jnp.where(is_different, steps[:, None], 0).max(0),
        "last_error": jnp.abs(outputs[:, -1] - targets).max((0, 1)),
    }
    rule = loop.update_rule.rule if isinstance(loop.update_rule, Vmapped) else None
    if isinstance(rule, Chunker):
        follow = vmap_trials(lambda pair, example: rule.follow(pair, example, train=False)[1])
        x, y = (follow(model, example).chunker_hidden[0] for example in both)
        found["hidden_change"] = jnp.abs(x - y)
    return found
