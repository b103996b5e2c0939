"""The interface of a claim, and what several claims share."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lstm_jax.network.files import Document
from lstm_jax.plots import style
from lstm_jax.tasks import Example
from lstm_jax.training.trials.training_loop import TrainingLoop

if TYPE_CHECKING:
    from jax.typing import ArrayLike

Variants = Mapping[str, TrainingLoop]


@dataclasses.dataclass(frozen=True)
class ClaimOptions:
    """Options of a run."""

    trials: int = 8  # of each variant
    seed: int = 0
    quiet: bool = False

    def log(self, message: str) -> None:
        """Print a message unless `quiet`."""
        if not self.quiet:
            print(message, flush=True)


class Claim(NamedTuple):
    """A claim of the text, described by the first line of `run`'s docstring."""

    run: Callable[[ClaimOptions], Document]  # returns plain data for JSON
    draw: Callable[[Document], style.Figure]

    @property
    def about(self) -> str:
        """The line of the results' page and of --help."""
        return (self.run.__doc__ or "").partition("\n")[0]


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


def repeat(sequence: Example, trials: int) -> Example:
    """Repeat a sequence for a batch of trials."""
    return jax.tree.map(lambda a: jnp.repeat(a[..., None], trials, -1), sequence)


def name_lines(axes: style.Axes, labels: Sequence[str]) -> None:
    """Name the lines of a plot of trials, from the top."""
    axes.set_yticks(range(len(labels)), labels)
    axes.set_ylim(len(labels) - 0.5, -0.5)
    axes.set_xscale("log")


def band(values: ArrayLike | Sequence[np.ndarray], digits: int) -> list[list[float]]:
    """Return least, median and largest value over the trials, [T, R] to [T, 3]."""
    quantiles = np.quantile(np.asarray(values, np.float64), (0.0, 0.5, 1.0), axis=1).T
    return np.round(quantiles, digits).tolist()


def draw_band(
    axes: style.Axes, x: Sequence, values: ArrayLike, label: str, line: style.Options
) -> None:
    """Draw the median of a `band` as a line, and its range as a shade."""
    least, median, largest = np.asarray(values, np.float64).T
    axes.plot(x, median, label=label, **line)
    axes.fill_between(x, least, largest, color=line["color"], alpha=0.15, lw=0)
