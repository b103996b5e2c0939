"""Rows by departures: how often each reading is solved, and how fast next to the published mean."""

from __future__ import annotations

import pathlib
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import patches
from matplotlib import pyplot as plt

from experiments.readings import design
from experiments.readings.cells import Results
from lstm_jax.tasks import make_task


def draw(folder: pathlib.Path, path: pathlib.Path) -> None:
    """Draws all readings that were tried on two rows or more, the printed conditions first."""
    rows = design.select("all")
    shown = {row: _by_recipe(Results(folder, row).cells()) for row in rows}
    tried = [recipe for outcomes in shown.values() for recipe in outcomes]
    recipes = sorted({r for r in tried if r == "paper" or tried.count(r) > 1}, key=_order)
    size = (2.5 + 0.55 * max(len(recipes), 1), 3.5 + 0.3 * len(rows))
    figure, axes = plt.subplots(figsize=size, layout="constrained")
    for y, row in enumerate(rows):
        for x, recipe in enumerate(recipes):
            if recipe in shown[row]:
                _draw_cell(axes, x, y, row, shown[row][recipe])
    axes.set(xlim=(-0.5, len(recipes) - 0.5), ylim=(len(rows) - 0.5, -0.5))
    axes.set_xticks(range(len(recipes)), [recipe.removeprefix("paper+") for recipe in recipes])
    axes.tick_params(axis="x", rotation=90)
    axes.set_yticks(range(len(rows)), rows)
    axes.set_title("solved (the darker, the more often); mean sequences / published", fontsize=9)
    figure.savefig(path, dpi=100)
    plt.close(figure)


def _order(recipe: str) -> tuple[int, str]:
    return recipe.count("+"), recipe


def _by_recipe(outcomes: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The outcome of each recipe: that of the fresh seed, where there are two."""
    return {o["recipe"]: o for o in sorted(outcomes, key=lambda o: o["seed"])}


def _draw_cell(axes: Any, x: int, y: int, row: str, outcome: dict[str, Any]) -> None:
    share = outcome["solved"] / outcome["trials"]
    axes.add_patch(
        patches.Rectangle((x - 0.5, y - 0.5), 1, 1, color=plt.get_cmap("Greens")(0.8 * share))
    )
    ratio = design.ratio(make_task(row), outcome["mean"])
    text = "x" if ratio is None else f"{ratio:.2g}"
    axes.text(x, y, text, ha="center", va="center", fontsize=7)
