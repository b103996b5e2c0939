"""A picture of rows by interpretations: how often each is solved, and how fast."""

from __future__ import annotations

import itertools
import pathlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from experiments.ablations import choosing, design
from experiments.ablations.choosing import Outcome
from experiments.ablations.tables import by_size
from lstm_jax.plots import style
from lstm_jax.tasks import make_task

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def draw(
    gathered: Mapping[str, Sequence[Outcome]],
    recipes: set[str],
    ruled_out: set[tuple[str, str]],
    path: pathlib.Path,
) -> None:
    """Draw the rows against recipes, from the fewest overrides to the most.

    Args:
      gathered: the outcomes of each row.
      recipes: the recipes that have a column.
      ruled_out: rows and recipes that were not run since no trial of an easier row was solved.
      path: the path of the picture.
    """
    columns, rows = sorted(recipes, key=by_size), list(gathered)
    width, height = 2.5 + 0.45 * max(len(columns), 12), 4 + 0.27 * len(rows)
    figure, (axes,) = style.new_figure(width, height)
    for y, (row, outcomes) in enumerate(gathered.items()):
        # The outcome of the latest seed and the most trials of each recipe.
        known = {o["recipe"]: o for o in sorted(outcomes, key=lambda o: (o["seed"], o["trials"]))}
        for x, recipe in enumerate(columns):
            if recipe in known:
                _draw_cell(axes, x, y, row, known[recipe])
            elif (row, recipe) in ruled_out:
                axes.text(x, y, "·", ha="center", va="center", color="gray", fontsize=16)
    labels = [recipe.removeprefix("paper+").replace("+", "\n+ ") for recipe in columns]
    axes.grid(False)
    axes.set(xlim=(-0.6, len(columns) - 0.4), ylim=(len(rows) - 0.4, -0.6))
    axes.xaxis.tick_top()
    axes.set_xticks(range(len(columns)), labels, rotation=90, fontsize=8)
    axes.set_yticks(range(len(rows)), rows, fontsize=9)
    axes.set_xlabel(
        "mean sequences / published; the darker, the more trials solved; framed: as published\n"
        "x: none solved; ·: not run, none solved on an easier row",
        fontsize=9,
    )
    pairs = enumerate(itertools.pairwise(rows))
    borders = [y + 0.5 for y, (above, below) in pairs if above[0] != below[0]]
    axes.hlines(borders, *axes.get_xlim(), color="gray", linewidth=0.6)
    style.save(figure, path)


def _draw_cell(axes: Axes, x: int, y: int, row: str, outcome: Outcome) -> None:
    from matplotlib import colormaps
    from matplotlib.patches import Rectangle

    colour = colormaps["Blues"](0.6 * outcome["solved"] / outcome["trials"])
    frame = "black" if choosing.works(row, outcome) else "none"
    corner = (x - 0.45, y - 0.45)
    axes.add_patch(Rectangle(corner, 0.9, 0.9, facecolor=colour, edgecolor=frame, linewidth=1.5))
    ratio = design.ratio(make_task(row), outcome["mean"])
    text = "x" if ratio is None else f"{ratio:.2g}"
    axes.text(x, y, text, ha="center", va="center", fontsize=8, zorder=3)
