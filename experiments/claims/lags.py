"""Longer lags: networks tested at lags other than the trained one, and task 2c against its lag."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import jax

from experiments.claims.base import ClaimOptions, measure
from experiments.claims.comparisons import at_lag
from experiments.claims.tasks import lag_task
from experiments.rows.collection import read_results, task_of
from experiments.rows.text import row_label
from lstm_jax.cell.scan import Steps
from lstm_jax.network.files import Document, network_from_document
from lstm_jax.network.layer import apply
from lstm_jax.plots import style
from lstm_jax.tasks import (
    Example,
    adding,
    make_task,
    temporal_order,
    two_sequence,
    very_long_lags,
)
from lstm_jax.training.trials.runner import TrialRunner
from lstm_jax.training.trials.training_loop import TrainingLoop

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LENGTHS = (100, 200, 500, 1_000, 10_000)  # T
NUM_TESTS = 256  # sequences of each length
ROWS_AT_100 = ("2c-100-100", "3a-100-3", "3b-100-3", "3c-100-3", "4-100", "6a", "6b")
TRAINED_LAG, TESTED_LAGS = 40, (5, 10, 20, 30, 40, 60, 80, 160)


def run_lengths(options: ClaimOptions) -> Document:
    """Test the result files' networks, trained at T = 100, on longer sequences."""
    del options
    fractions = {
        row_label(document): [fraction_wrong(document, length) for length in LENGTHS]
        for document in read_results()
        if document["task"] in ROWS_AT_100 and document.get("network")
    }
    return {"lengths": LENGTHS, "tests": NUM_TESTS, "fraction_wrong": fractions}


def fraction_wrong(document: Document, length: int) -> float:
    """Return the fraction of `NUM_TESTS` sequences of this length that a network gets wrong."""
    architecture, parameters = network_from_document(document)
    row = document["task"]
    is_correct = make_task(row).is_correct

    @jax.jit
    @jax.vmap
    def test(key: jax.Array) -> jax.Array:
        example = sample_longer(key, row, length)
        steps = Steps(length=example.length)
        outputs, _ = apply(architecture, parameters, example.inputs, at="end", steps=steps)
        return is_correct(outputs, example)

    return float(1 - test(jax.random.split(jax.random.key(0), NUM_TESTS)).mean())


def sample_longer(key: jax.Array, row: str, length: int) -> Example:
    """Draw a sequence of one of `ROWS_AT_100`, with T = `length` instead of 100."""
    if row == "2c-100-100":
        return very_long_lags.sample_very_long(key, length, num_distractors=100)
    if row == "4-100":
        return adding.sample_marked_pairs(key, length, is_sum=True)
    if row.startswith("6"):
        return temporal_order.sample_order(key, temporal_order.RANGES[row], length // 100)
    return two_sequence.sample_two_sequence(key, row.split("-")[0], length, num_signal=3)


def draw_lengths(document: Document) -> Figure:
    """Draw the fraction of wrong sequences against their length."""
    xlabel = "T of the tests (trained at T = 100)"
    return _draw_fractions(document["lengths"], document["fraction_wrong"], xlabel)


def run_other_lags(options: ClaimOptions) -> Document:
    """Train fixed time constants and the LSTM at one lag, and test at others."""
    return {
        "trained_lag": TRAINED_LAG,
        "tested_lags": TESTED_LAGS,
        "trials": options.trials,
        "variants": measure(at_lag(TRAINED_LAG, TRAINED_LAG), measure_at_lags, options),
    }


def measure_at_lags(loop: TrainingLoop, options: ClaimOptions) -> Document:
    """Train at one lag and test at `TESTED_LAGS`.

    Returns:
      `solved`, the number of solved trials, and `fraction_wrong`, their mean at every lag; None if
      no trial is solved.
    """
    trials = range(options.trials)
    runner = TrialRunner(loop, trials, seed=options.seed)
    solved = [result.solved for result in runner.run()]
    state, fractions = runner.state(), []
    for tested_lag in TESTED_LAGS:
        other = lag_task(tested_lag, tested_lag)
        task = dataclasses.replace(
            loop.task, name=other.name, max_length=other.max_length, sample=other.sample
        )
        tester = TrialRunner(dataclasses.replace(loop, task=task), trials, seed=options.seed)
        tester.restore(state)
        results = zip(tester.results(), solved, strict=True)
        wrong = [r.test_wrong / r.test_size for r, is_solved in results if is_solved]
        fractions.append(sum(wrong) / len(wrong) if wrong else None)
    return {"solved": sum(solved), "fraction_wrong": fractions}


def draw_other_lags(document: Document) -> Figure:
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
) -> Figure:
    figure, (axes,) = style.new_figure(10, 4.5)
    for i, (label, wrong) in enumerate(lines.items()):
        axes.plot(lengths, wrong, label=label, **style.line_style(i))
    axes.set(xscale="log", xlabel=xlabel, ylim=(-0.02, 1.02))
    _label_ticks(axes, lengths)
    axes.set_ylabel("fraction of wrong sequences")
    style.add_legend(figure, loc="outside right upper")
    return figure


def _label_ticks(axes: Axes, ticks: Sequence[int]) -> None:
    axes.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
    axes.minorticks_off()


def run_very_long(options: ClaimOptions) -> Document:
    """Collect the result files of task 2c: sequences until success against the minimal time lag."""
    del options
    rows = []
    for document in read_results():
        if task_of(document["task"]) == "2c":
            q, p = map(int, document["task"].split("-")[1:])
            summary = {k: document["summary"][k] for k in ("trials", "solved", "mean_sequences")}
            published = document["published"]["mean_sequences"]
            row = {"q": q, "p": p, "recipe": document["recipe"], "published_mean": published}
            rows.append(row | summary)
    return {"rows": rows}


def draw_very_long(document: Document) -> Figure:
    """Draw the mean sequences of the solved trials, one line per recipe, with the paper's.

    On the left p = q grows; on the right p grows at q = 1000. A percentage is the share of solved
    trials, where it is not all.
    """
    rows = document["rows"]
    figure, panels = style.new_figure(11, 4.5, columns=2, sharey=True)
    _draw_panel(panels[0], "q = p", [row for row in rows if row["q"] == row["p"]])
    _draw_panel(panels[1], "p, with q = 1000", [row for row in rows if row["q"] == 1000])
    panels[0].set_ylabel("training sequences")
    return figure


def _draw_panel(axes: Axes, xlabel: str, rows: list[Document]) -> None:
    learned = [row for row in rows if row["solved"]]
    for i, recipe in enumerate(sorted({row["recipe"] for row in learned})):
        line = style.line_style((0, 2, 3, 4, 5)[i % 5])  # vermilion is the paper's
        points = sorted((r for r in learned if r["recipe"] == recipe), key=lambda r: r["p"])
        means = [row["mean_sequences"] for row in points]
        axes.plot([row["p"] for row in points], means, label=f"ours, {recipe}", **line)
        for row in points:
            if row["solved"] < row["trials"]:
                share = f" {row['solved'] / row['trials']:.0%}"
                xy = (row["p"], row["mean_sequences"])
                axes.annotate(share, xy, fontsize=8, color=line["color"])
    published = {row["p"]: row["published_mean"] for row in rows}
    ticks = sorted(published)
    means = [published[p] for p in ticks]
    axes.plot(ticks, means, "o:", color=style.PAPER, mfc="none", label="the paper's")
    axes.set(xscale="log", yscale="log", xlabel=xlabel)
    _label_ticks(axes, ticks)
    style.add_legend(axes)
