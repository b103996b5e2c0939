"""Which reading of the paper's text gives its numbers: a designed experiment on all 31 rows.

    python -m experiments.ablations --stages=singles,combined,confirm --rows=all
    python -m experiments.ablations --stages=singles --rows=4-100,6b
    python -m experiments.ablations --show

Cells (`design`) that have their result are skipped, and others go on from their checkpoints: the
command may be stopped and started again. Several of them at once, with one --out, share the cells.
The stages: `singles`, every departure alone, less those that an easier row rules out;
`combined`, combinations that were suggested; `drawn`, random ones; `choose`, those of --recipes;
`confirm`, the smallest reading that works, or else the best, or those of --recipes, on a fresh seed
with the paper's number of trials; `repeat`, what is confirmed, or --recipes, on a third seed with
twice as many. --show writes the pictures and the page.
"""

from __future__ import annotations

import functools
import pathlib
from collections.abc import Iterable

from absl.flags import FlagValues

from experiments.ablations import answer, cells, choosing, design
from experiments.cli.command import Command, command_line
from experiments.cli.files import make_folder
from experiments.cli.flag_set import FlagSet
from experiments.cli.machine import check_platform, configure
from lstm_jax.network.files import Document

RESULTS = pathlib.Path(__file__).parents[1] / "results" / "readings"


def define(flags: FlagSet) -> None:
    """What is run, and where its results are."""
    flags.folder(
        "out",
        "Folder of the results, one file a row; else experiments/results/ablations.",
        required=False,
    )
    flags.text("rows", "all", "'all', or rows with commas between, in this order.")
    flags.items("stages", ["singles", "combined", "confirm"], "What to run, in order.")
    told = "What `choose` tries, and `confirm` and `repeat` run anew, with blanks between."
    flags.text("recipes", "", told)
    flags.integer("drawn", 16, "Random combinations a row.", most=design.MOST_DRAWN)
    flags.switch("show", False, "Write the pictures and the page from what there is.")


def main(values: FlagValues) -> None:
    """Runs what has no result yet, or shows what has."""
    folder = values.out or RESULTS
    if values.show:
        make_folder(folder)
        answer.show(folder)
        return
    recipes = values.recipes.split()
    rows = design.select(values.rows)
    results = functools.partial(cells.Results, folder)
    gathered = functools.cache(lambda: answer.gather(folder))
    stages = {
        "singles": lambda row: choosing.singles(row, lambda name: results(name).cells()),
        "combined": design.combined,
        "drawn": lambda row: design.drawn(row, values.drawn),
        "choose": lambda row: [design.choice(row, recipe) for recipe in recipes],
        "confirm": lambda row: choosing.to_confirm(results(row), recipes),
        "repeat": lambda row: choosing.to_repeat(row, gathered()[row], recipes),
    }
    unknown = [stage for stage in values.stages if stage not in stages]
    if unknown:
        raise ValueError(f"--stages must be of {', '.join(stages)}, got {unknown[0]!r}")
    make_folder(folder)
    configure()
    check_platform()
    told = cells.about(command_line())
    for stage in values.stages:
        for row in rows:
            _run(stages[stage](row), results(row), told)


def _run(planned: Iterable[design.Cell], results: cells.Results, told: Document) -> None:
    """Runs the cells of a row that have no result yet, and that no other process runs."""
    for cell in planned:
        outcome = cells.settle(cell, results, told)
        if outcome is None:
            continue
        found = f"{outcome['solved']} of {cell.trials}, mean {outcome['mean']}"
        print(f"{cell.row} {cell.key}: {found}, {outcome['seconds']} s", flush=True)


COMMAND = Command("readings", __doc__, define, main)

if __name__ == "__main__":
    COMMAND.run()
