"""An ablation study: which interpretation of the paper's text gives its numbers, row by row?

    python -m experiments.ablations --stages=singles,confirm --rows=all
    python -m experiments.ablations --stages=choose --rows=6b --recipes=paper+tolerance=0.2
    python -m experiments.ablations --show

A cell is one row run by one recipe. Cells that have a result are skipped, and interrupted ones
continue from their checkpoints. Several processes with the same --out share the cells. Stages:

    singles   every override alone, except those that fail on an easier row of the task
    drawn     random combinations of overrides
    choose    the recipes of --recipes
    confirm   the smallest interpretation that fits, otherwise the best, or those of --recipes, on
              a second seed with the paper's number of trials
    repeat    the confirmed interpretation, or --recipes, on a third seed with twice as many trials
    estimate  the same on a seed that decided nothing, with four times as many trials (twice in rows
              that take hours)

An interpretation fits a row if it is solved as often as published, less one trial, in half to twice
the published number of sequences. --show writes README.md and its pictures from the results.
"""

from __future__ import annotations

import itertools
import pathlib
from collections.abc import Iterator

from absl.flags import FlagValues

from experiments.ablations import cells, design, page
from experiments.cli.command import Command, FlagSet, check_platform, command_line, configure
from experiments.cli.files import make_folder
from lstm_jax import make_recipe, make_task, row_names
from lstm_jax.training.runs.result_file import about_run

RESULTS = pathlib.Path(__file__).parents[1] / "results" / "ablations"
STAGES = ("singles", "drawn", "choose", "confirm", "repeat", "estimate")


def define(flags: FlagSet) -> None:
    """Define the flags."""
    help = "Folder of the results, one file per row (default: experiments/results/ablations)."
    flags.folder("out", help, required=False)
    flags.text("rows", "all", "'all', or rows separated by commas, run in this order.")
    flags.items("stages", ["singles", "confirm"], "The stages to run, in order.", STAGES)
    help = "Recipes for all stages but the first two, separated by blanks."
    flags.text("recipes", "", help)
    flags.integer("drawn", 16, "Random combinations per row for `drawn`.", most=design.MOST_DRAWN)
    flags.switch("show", False, "Run nothing; write README.md and its pictures from the results.")


def main(values: FlagValues) -> None:
    """Run the cells that have no result yet, or write the page."""
    folder = values.out or RESULTS
    if values.show:
        make_folder(folder)
        print(page.write_page(folder))
        return
    rows = list(row_names()) if values.rows == "all" else values.rows.split(",")
    _check(rows, folder, values)
    make_folder(folder)
    configure()
    check_platform()
    about = about_run(0, command_line())
    del about["seed"]  # each cell has its own
    for stage in values.stages:
        for cell in _planned(stage, rows, folder, values):
            outcome = cells.run_once(cell, cells.Results(folder, cell.row), about)
            if outcome is not None:
                found = f"{outcome['solved']} of {cell.trials}, mean {outcome['mean']}"
                print(f"{cell.row} {cell.key}: {found}, {outcome['seconds']} s", flush=True)


def _check(rows: list[str], folder: pathlib.Path, values: FlagValues) -> None:
    """Raise ValueError for what would be found only after cells have run."""
    for row in rows:
        make_task(row)
        cells.Results(folder, row).cells()
    if len(set(rows)) < len(rows):
        raise ValueError(f"--rows must be distinct, got {','.join(rows)}")
    recipes = values.recipes.split()
    for row, recipe in itertools.product(rows, recipes):
        make_recipe(recipe).apply(make_task(row))
    if ("choose" in values.stages) > bool(recipes):
        raise ValueError("--stages=choose needs --recipes, got none")
    if recipes and not {"choose", "confirm", "repeat"}.intersection(values.stages):
        raise ValueError(
            f"--recipes needs --stages=choose, confirm or repeat, got {values.recipes}"
        )


def _planned(
    stage: str, rows: list[str], folder: pathlib.Path, values: FlagValues
) -> Iterator[design.Cell]:
    """Yield the cells of a stage, row by row, chosen by the results so far."""
    outcomes_of = lambda row: cells.Results(folder, row).cells()
    follows = stage in ("repeat", "estimate")
    gathered = page.gather(folder)[0] if follows else {}
    seeds = {
        "confirm": design.CONFIRMATION_SEED,
        "repeat": design.REPETITION_SEED,
        "estimate": design.ESTIMATION_SEED,
    }
    for row in rows:
        if stage == "singles":
            is_open = lambda cell: not design.is_ruled_out(cell.row, cell.recipe, outcomes_of)
            yield from filter(is_open, design.singles(row))
        elif stage == "drawn":
            yield from design.drawn(row, values.drawn)
        else:
            recipes, outcomes = values.recipes.split(), []
            if stage == "confirm":
                outcomes = [o for o in outcomes_of(row) if o["seed"] == design.CHOICE_SEED]
            elif follows:
                outcomes = [o for o in gathered[row] if design.is_confirmed(row, o)]
            if not recipes and (found := design.best(row, outcomes)):
                recipes = [found["recipe"]]
            for recipe in recipes:
                yield design.make_cell(row, recipe, seeds.get(stage, design.CHOICE_SEED))


COMMAND = Command("ablations", __doc__, define, main)

if __name__ == "__main__":
    COMMAND.run()
