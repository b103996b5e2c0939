"""The interface of a claim, and the comparison of variants of a task."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from lstm_jax.network.files import Document
from lstm_jax.network.layer import Gradient
from lstm_jax.plots import style
from lstm_jax.tasks import Task, replace_hyperparameters
from lstm_jax.training.trials.runner import TrialRunner
from lstm_jax.training.trials.training_loop import TrainingLoop

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Variants = Mapping[str, TrainingLoop]


@dataclasses.dataclass(frozen=True)
class ClaimOptions:
    """Options of a run.

    Attributes:
      trials: number of trials of each variant.
      seed: seed of all random numbers.
      quiet: whether to print errors only.
    """

    trials: int = 8
    seed: int = 0
    quiet: bool = False

    def log(self, message: str) -> None:
        """Print a message unless `quiet`."""
        if not self.quiet:
            print(message, flush=True)


class Claim(Protocol):
    """A module of this package."""

    def run(self, options: ClaimOptions, /) -> Document:
        """Run the experiment and return plain data for JSON."""
        ...

    def draw(self, document: Document, /) -> Figure:
        """Draw the result of `run`."""
        ...


def with_gradient(task: Task, gradient: Gradient) -> TrainingLoop:
    """Return the training loop of a task with this gradient."""
    return TrainingLoop(replace_hyperparameters(task, gradient=gradient))


def comparison(make_variants: Callable[[], Variants]) -> Callable[[ClaimOptions], Document]:
    """Return the `run` of a claim that compares the trials of variants."""

    def run(options: ClaimOptions) -> Document:
        return {"variants": measure(make_variants(), run_trials, options)}

    return run


def measure(
    variants: Variants,
    measure_one: Callable[[TrainingLoop, ClaimOptions], Document],
    options: ClaimOptions,
) -> dict[str, Document]:
    """Return by label what `measure_one` finds, among it the number of trials `solved`."""
    found = {}
    for label, loop in variants.items():
        found[label] = measure_one(loop, options)
        options.log(f"{label}: {found[label]['solved']} of {options.trials} solved")
    return found


def run_trials(loop: TrainingLoop, options: ClaimOptions) -> Document:
    """Return the sequences to success and the test of every trial of a variant."""
    started = time.monotonic()
    results = TrialRunner(loop, range(options.trials), seed=options.seed).run()
    return {
        "solved": sum(result.solved for result in results),
        "published_mean": loop.task.published.mean_sequences,
        "wall_seconds": round(time.monotonic() - started, 2),
        "trials": [
            {"solved": r.solved, "sequences": r.sequences, "test_wrong": r.test_wrong}
            for r in results
        ],
    }


def draw_comparison(document: Document) -> Figure:
    """Draw every trial's number of sequences to success, one line per variant."""
    variants = document["variants"]
    figure, (axes,) = style.new_figure(9, 1.2 + 0.28 * len(variants))
    for y, found in enumerate(variants.values()):
        solved = [trial["sequences"] for trial in found["trials"] if trial["solved"]]
        unsolved = [trial["sequences"] for trial in found["trials"] if not trial["solved"]]
        axes.plot(solved, [y] * len(solved), "o", color=style.OURS, alpha=0.4, markersize=4)
        axes.plot(unsolved, [y] * len(unsolved), "x", color=style.FAILED, markersize=5)
        for values, colour in ((solved, style.OURS), ([found["published_mean"]], style.PAPER)):
            if values and values[0]:
                axes.plot(np.mean(values), y, "|", color=colour, ms=14, mew=2)
    marks = (
        ("a solved trial", "o", style.OURS),
        ("an unsolved one, at its end", "x", style.FAILED),
        ("mean of the solved", "|", style.OURS),
        ("the paper's mean", "|", style.PAPER),
    )
    has_paper = any(found["published_mean"] for found in variants.values())
    for label, marker, colour in marks[: 4 if has_paper else 3]:
        axes.plot([], [], marker, color=colour, label=label)
    labels = [f"{k}  {v['solved']}/{len(v['trials'])}" for k, v in variants.items()]
    _name_lines(axes, labels)
    axes.set(xscale="log", xlabel="training sequences")
    style.add_legend(figure, ncols=4, loc="outside upper center")
    return figure


def draw_trials(axes: Axes, variants: Mapping[str, Sequence[float]], spread: float) -> None:
    """Draw one mark per trial on a logarithmic axis, one named line per variant."""
    for y, values in enumerate(variants.values()):
        offsets = np.linspace(-spread, spread, len(values))
        axes.plot(np.maximum(values, 0.5), y + offsets, "o", color=style.OURS, alpha=0.5, ms=5)
    axes.plot([], [], "o", color=style.OURS, alpha=0.5, label="a trial")
    _name_lines(axes, list(variants))
    axes.set_xscale("log")


def _name_lines(axes: Axes, labels: Sequence[str]) -> None:
    axes.set_yticks(range(len(labels)), labels)
    axes.set_ylim(len(labels) - 0.5, -0.5)


def draw_fraction_wrong(lengths: Sequence[int], lines: Mapping[str, Any], xlabel: str) -> Figure:
    """Draw the fraction of wrong sequences against their length."""
    figure, (axes,) = style.new_figure(10, 4.5)
    for i, (label, wrong) in enumerate(lines.items()):
        axes.plot(lengths, wrong, label=label, **style.line_style(i))
    axes.set(xscale="log", xlabel=xlabel, ylim=(-0.02, 1.02))
    axes.set_xticks(lengths, [f"{length:,}" for length in lengths])
    axes.minorticks_off()
    axes.set_ylabel("fraction of wrong sequences")
    style.add_legend(figure, loc="outside right upper")
    return figure


def band(values: Any, digits: int) -> list[list[float]]:
    """Return least, median and largest value over the trials, [T, R] to [T, 3]."""
    values = np.asarray(values, np.float64)
    quantiles = np.quantile(values, (0.0, 0.5, 1.0), axis=1).T
    return np.round(quantiles, digits).tolist()


def draw_band(axes: Axes, x: Any, values: Any, label: str, **options: Any) -> None:
    """Draw the median of a `band` as a line, and its range as a shade."""
    least, median, largest = np.asarray(values, np.float64).T
    axes.plot(x, median, label=label, **options)
    axes.fill_between(x, least, largest, color=options["color"], alpha=0.15, lw=0)
