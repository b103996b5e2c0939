"""Rows by departures: how often each reading is solved, and how fast next to the published mean."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import patches
from matplotlib import pyplot as plt

from experiments.readings import design
from lstm_jax.tasks import make_task


def draw(gathered: Mapping[str, Sequence[dict[str, Any]]], path: pathlib.Path) -> None:
    """Draws every reading that was tried, from the printed conditions to many departures.

    Args:
      gathered: for each row, the outcomes of its cells.
      path: of the picture.
    """
    shown = {row: _by_recipe(outcomes) for row, outcomes in gathered.items()}
    recipes = sorted({recipe for outcomes in shown.values() for recipe in outcomes}, key=_order)
    size = (2.5 + 0.45 * max(len(recipes), 4), 5 + 0.25 * len(shown))
    figure, axes = plt.subplots(figsize=size, layout="constrained")
    for y, (row, outcomes) in enumerate(shown.items()):
        for recipe, outcome in outcomes.items():
            _draw_cell(axes, recipes.index(recipe), y, row, outcome)
    labels = [recipe.removeprefix("paper+").replace("+", "\n+ ") for recipe in recipes]
    axes.set(xlim=(-0.5, len(recipes) - 0.5), ylim=(len(shown) - 0.5, -0.5))
    axes.set_xticks(range(len(recipes)), labels, rotation=90, fontsize=6)
    axes.set_yticks(range(len(shown)), list(shown), fontsize=8)
    axes.set_title("the greener, the more trials solved; mean sequences / published", fontsize=9)
    axes.grid(alpha=0.2)
    figure.savefig(path, dpi=100)
    plt.close(figure)


def _order(recipe: str) -> tuple[int, str]:
    return recipe.count("+"), recipe


def _by_recipe(outcomes: Sequence[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The outcome of each recipe: that of the fresh seed and of most trials."""
    ordered = sorted(outcomes, key=lambda o: (o["seed"], o["trials"]))
    return {outcome["recipe"]: outcome for outcome in ordered}


def _draw_cell(axes: Any, x: int, y: int, row: str, outcome: dict[str, Any]) -> None:
    """Coloured by the trials solved; "x" where none was."""
    share = outcome["solved"] / outcome["trials"]
    axes.add_patch(
        patches.Rectangle((x - 0.5, y - 0.5), 1, 1, color=plt.get_cmap("Greens")(0.8 * share))
    )
    ratio = design.ratio(make_task(row), outcome["mean"])
    text = "x" if ratio is None else f"{ratio:.2g}"
    axes.text(x, y, text, ha="center", va="center", fontsize=7)
