"""Runs an ablation study: which interpretation of the paper's text gives its numbers, row by row?

    python -m experiments.ablations --stages=singles,combined,confirm --rows=all
    python -m experiments.ablations --stages=singles --rows=4-100,6b
    python -m experiments.ablations --show

Cells that have their result are skipped, and others go on from their checkpoints, so the command
may be stopped and started again. Several processes with one --out share the cells. Stages:
`singles`: every override alone, less those that an easier row rules out.
`combined`: suggested combinations. `drawn`: random combinations. `choose`: those of --recipes.
`confirm`: the smallest interpretation that works, or otherwise the best, or those of --recipes, on
a fresh seed with the paper's number of trials.
`repeat`: the confirmed interpretation, or --recipes, on a third seed with twice as many trials.
--show writes the page and its pictures.
"""

from __future__ import annotations

import functools
import pathlib

from absl.flags import FlagValues

from experiments.ablations import answer, cells, choosing, design
from experiments.ablations.choosing import best_recipe
from experiments.cli.command import Command, command_line
from experiments.cli.files import make_folder
from experiments.cli.flag_set import FlagSet
from experiments.cli.machine import check_platform, configure
from lstm_jax.tasks import make_task, row_names
from lstm_jax.training.runs.result_file import about_run

RESULTS = pathlib.Path(__file__).parents[1] / "results" / "ablations"


def define(flags: FlagSet) -> None:
    """Define the flags."""
    folder = "Folder of the results, one file per row (default: experiments/results/ablations)."
    flags.folder("out", folder, required=False)
    flags.text("rows", "all", "'all', or rows separated by commas, run in this order.")
    flags.items("stages", ["singles", "combined", "confirm"], "The stages to run, in order.")
    recipes = "Recipes for `choose`, `confirm` and `repeat`, separated by blanks."
    flags.text("recipes", "", recipes)
    flags.integer("drawn", 16, "Random combinations per row.", most=design.MOST_DRAWN)
    flags.switch("show", False, "Write the page and its pictures from the results.")


def main(values: FlagValues) -> None:
    """Run the cells that have no result yet, or write the page."""
    folder = values.out or RESULTS
    if values.show:
        make_folder(folder)
        print(answer.write_page(folder))
        return
    recipes = values.recipes.split()
    rows = list(row_names()) if values.rows == "all" else values.rows.split(",")
    for row in rows:
        make_task(row)  # raises ValueError for an unknown one
    results = functools.partial(cells.Results, folder)
    gathered = functools.cache(lambda: answer.gather(folder))
    stages = {
        "singles": lambda row: choosing.singles(row, lambda name: results(name).cells()),
        "combined": design.combined,
        "drawn": lambda row: design.drawn(row, values.drawn),
        "choose": lambda row: [design.choice(row, recipe) for recipe in recipes],
        "confirm": lambda row: [
            design.confirmation(row, recipe)
            for recipe in recipes or best_recipe(row, results(row).cells(), confirmed=False)
        ],
        "repeat": lambda row: [
            design.repetition(row, recipe)
            for recipe in recipes or best_recipe(row, gathered()[row], confirmed=True)
        ],
    }
    unknown = [stage for stage in values.stages if stage not in stages]
    if unknown:
        raise ValueError(f"--stages must be of {', '.join(stages)}, got {unknown[0]!r}")
    make_folder(folder)
    configure()
    check_platform()
    about = about_run(0, command_line())
    del about["seed"]  # each cell has its own
    for stage in values.stages:
        for row in rows:
            for cell in stages[stage](row):
                outcome = cells.run_once(cell, results(row), about)
                if outcome is not None:
                    found = f"{outcome['solved']} of {cell.trials}, mean {outcome['mean']}"
                    print(f"{row} {cell.key}: {found}, {outcome['seconds']} s", flush=True)


COMMAND = Command("ablations", __doc__, define, main)

if __name__ == "__main__":
    COMMAND.run()
