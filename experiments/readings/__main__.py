"""Which reading of the paper's text gives its numbers: a designed experiment on all 31 rows.

    python -m experiments.readings --stages=singles,combined,confirm --rows=all
    python -m experiments.readings --stages=singles --rows=4-100,6b --shard=0/2
    python -m experiments.readings --show

Cells (`design`) that have their result are skipped, and others go on from their checkpoints: the
command may be stopped and started again. With --shard=0/2 and --shard=1/2, two processes share the
rows. The stages: `singles`, every departure alone, less those that an easier row rules out;
`combined`, combinations that were suggested; `drawn`, random ones; `choose`, those of --recipes;
`confirm`, the smallest reading that works, or else the best, or those of --recipes, on a fresh seed
with the paper's number of trials. --show writes the pictures and the page.
"""

from __future__ import annotations

import functools
import pathlib
from collections.abc import Iterable

from absl.flags import FlagValues

from experiments.common.command import Command, command_line
from experiments.common.files import make_folder
from experiments.common.flag_set import FlagSet
from experiments.common.machine import check_platform, configure
from experiments.readings import answer, cells, choosing, design
from lstm_jax.training.results import Document

RESULTS = pathlib.Path(__file__).parents[1] / "results" / "readings"


def define(flags: FlagSet) -> None:
    """What is run, and where its results are."""
    flags.folder(
        "out",
        "Folder of the results, one file a row; else experiments/results/readings.",
        required=False,
    )
    flags.text("rows", "all", "'all', or rows with commas between, in this order.")
    flags.items("stages", ["singles", "combined", "confirm"], "What to run, in order.")
    told = "What `choose` tries, and `confirm` runs anew, with blanks between."
    flags.text("recipes", "", told)
    flags.integer("drawn", 16, "Random combinations a row.")
    flags.text("shard", "0/1", "Which part of the rows, of how many.")
    flags.switch("show", False, "Write the pictures and the page from what there is.")


def main(values: FlagValues) -> None:
    """Runs what has no result yet, or shows what has."""
    folder = values.out or RESULTS
    if values.show:
        make_folder(folder)
        answer.show(folder)
        return
    recipes = values.recipes.split()
    rows = _own(design.select(values.rows), values.shard)
    results = functools.partial(cells.Results, folder)
    stages = {
        "singles": lambda row: choosing.singles(row, lambda name: results(name).cells()),
        "combined": design.combined,
        "drawn": lambda row: design.drawn(row, values.drawn),
        "choose": lambda row: [design.choice(row, recipe) for recipe in recipes],
        "confirm": lambda row: choosing.to_confirm(results(row), recipes),
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
            _run(stages[stage](row), folder, results(row), told)


def _run(
    planned: Iterable[design.Cell], folder: pathlib.Path, results: cells.Results, told: Document
) -> None:
    """Runs the cells of a row that have no result yet."""
    for cell in planned:
        if cell in results:
            continue
        outcome = cells.run_cell(cell, folder)
        results.add(cell, outcome, told)
        found = f"{outcome['solved']} of {cell.trials}, mean {outcome['mean']}"
        print(f"{cell.row} {cell.key}: {found}, {outcome['seconds']} s", flush=True)


def _own(rows: list[str], shard: str) -> list[str]:
    """The rows of this shard."""
    part, _, parts = shard.partition("/")
    if not (part.isdecimal() and parts.isdecimal() and int(part) < int(parts)):
        raise ValueError(f"--shard must be like 0/2, got {shard!r}")
    return rows[int(part) :: int(parts)]


COMMAND = Command("readings", __doc__, define, main)

if __name__ == "__main__":
    COMMAND.run()
