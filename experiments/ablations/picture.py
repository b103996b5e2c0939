"""Rows by departures: how often each reading is solved, and how fast next to the published mean."""

from __future__ import annotations

import itertools
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import patches
from matplotlib import pyplot as plt

from experiments.ablations import choosing, design
from experiments.ablations.choosing import Outcome
from lstm_jax.tasks import make_task


def draw(
    gathered: Mapping[str, Sequence[Outcome]],
    recipes: set[str],
    hopeless: set[tuple[str, str]],
    path: pathlib.Path,
) -> None:
    """Draws rows against readings, from the printed conditions to many departures.

    Args:
      gathered: for each row, the outcomes of its cells.
      recipes: the readings that have a column.
      hopeless: rows and readings that were not run since an easier row has no trial solved.
      path: of the picture.
    """
    columns, rows = sorted(recipes, key=order), list(gathered)
    size = (2.5 + 0.45 * max(len(columns), 12), 4 + 0.27 * len(rows))
    figure, axes = plt.subplots(figsize=size, layout="constrained")
    for y, (row, outcomes) in enumerate(gathered.items()):
        known = _by_recipe(outcomes)
        for x, recipe in enumerate(columns):
            if recipe in known:
                outcome = known[recipe]
                _draw_cell(axes, x, y, row, outcome)
            elif (row, recipe) in hopeless:
                axes.text(x, y, "·", ha="center", va="center", color="gray", fontsize=16)
    labels = [recipe.removeprefix("paper+").replace("+", "\n+ ") for recipe in columns]
    axes.set(xlim=(-0.6, len(columns) - 0.4), ylim=(len(rows) - 0.4, -0.6))
    axes.xaxis.tick_top()
    axes.set_xticks(range(len(columns)), labels, rotation=90, fontsize=8)
    axes.set_yticks(range(len(rows)), rows, fontsize=9)
    axes.set_xlabel(
        "mean sequences / published; the darker, the more trials solved; framed: as published\n"
        "x: none solved; ·: not run, none solved on an easier row",
        fontsize=9,
    )
    axes.hlines(_borders(rows), *axes.get_xlim(), color="gray", linewidth=0.6)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _borders(rows: Sequence[str]) -> list[float]:
    """Heights between two rows of different experiments."""
    pairs = enumerate(itertools.pairwise(rows))
    return [y + 0.5 for y, (above, below) in pairs if above[0] != below[0]]


def order(recipe: str) -> tuple[int, str]:
    """From the printed conditions to many departures."""
    return recipe.count("+"), recipe


def _by_recipe(outcomes: Sequence[Outcome]) -> dict[str, Outcome]:
    """The outcome of each recipe: that of the fresh seed and of most trials."""
    ordered = sorted(outcomes, key=lambda o: (o["seed"], o["trials"]))
    return {outcome["recipe"]: outcome for outcome in ordered}


def _draw_cell(axes: Any, x: int, y: int, row: str, outcome: Outcome) -> None:
    """Coloured by the trials solved, "x" where none was; framed if as published."""
    share = outcome["solved"] / outcome["trials"]
    colour = plt.get_cmap("Blues")(0.6 * share)
    axes.add_patch(
        patches.Rectangle(
            (x - 0.45, y - 0.45),
            0.9,
            0.9,
            facecolor=colour,
            edgecolor="black" if choosing.works(row, outcome) else "none",
            linewidth=1.5,
        )
    )
    ratio = design.ratio(make_task(row), outcome["mean"])
    text = "x" if ratio is None else f"{ratio:.2g}"
    axes.text(x, y, text, ha="center", va="center", fontsize=8, zorder=3)
