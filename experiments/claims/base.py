"""The interface of a claim, and functions that several claims share."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from lstm_jax import Example, TrainingLoop
from lstm_jax.network.files import Document
from lstm_jax.plots import style

V = TypeVar("V")  # what is measured
Variants = Mapping[str, TrainingLoop]


@dataclasses.dataclass(frozen=True)
class ClaimOptions:
    """Options of a run.

    Attributes:
      trials: the number of trials of each variant.
      seed: the seed of all random numbers.
      quiet: whether nothing is printed.
      measured: the variants that an interrupted run has measured.
      on_variant: called after each variant with all that are measured.
    """

    trials: int = 8
    seed: int = 0
    quiet: bool = False
    measured: Mapping[str, Document] = dataclasses.field(default_factory=dict)
    on_variant: Callable[[Mapping[str, Document]], None] | None = None


class Claim(NamedTuple):
    """A claim of the text, described by the first line of `run`'s docstring."""

    run: Callable[[ClaimOptions], Document]  # returns plain data for JSON
    draw: Callable[[Document], style.Figure]

    @property
    def about(self) -> str:
        """The line of the results' page and of --help."""
        return (self.run.__doc__ or "").partition("\n")[0]


def compare(
    make_variants: Callable[[], Mapping[str, V]],
    measure: Callable[[V, ClaimOptions], Document],
    draw: Callable[[Document], style.Figure],
    **settings: object,
) -> Claim:
    """Return the claim that measures variants, described by the docstring of `make_variants`.

    The document has, beside the `settings`, the `variants`' measures by label.
    """

    def run(options: ClaimOptions) -> Document:
        found = {}
        for label, variant in make_variants().items():
            is_new = label not in options.measured
            found[label] = measure(variant, options) if is_new else options.measured[label]
            if is_new and options.on_variant is not None:
                options.on_variant(found)
            if is_new and not options.quiet:
                short = (f"{k} {v}" for k, v in found[label].items() if len(str(v)) < 100)
                print(f"{label}: {', '.join(short)}", flush=True)
        return settings | {"trials": options.trials, "variants": found}

    run.__doc__ = make_variants.__doc__
    return Claim(run, draw)


def repeat(sequence: Example, trials: int) -> Example:
    """Repeat a sequence for a batch of trials."""
    return jax.tree.map(lambda a: jnp.repeat(a[..., None], trials, -1), sequence)


def draw_trials(axes: style.Axes, variants: Mapping[str, Sequence[float]], spread: float) -> None:
    """Draw one mark per trial, one named line per variant."""
    for y, values in enumerate(variants.values()):
        offsets = np.linspace(-spread, spread, len(values))
        axes.plot(np.maximum(values, 0.5), y + offsets, "o", color=style.OURS, alpha=0.5, ms=5)
    axes.plot([], [], "o", color=style.OURS, alpha=0.5, label="a trial")
    name_lines(axes, list(variants))


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
