"""Which reading of the paper's text gives its numbers: a designed experiment on all 31 rows.

    python -m experiments.readings --stages=singles,combined,confirm --rows=all
    python -m experiments.readings --show

Cells (`design`) that have their result are skipped, so that the command may be stopped and started
again; with --shard=0/2 and --shard=1/2, two processes share the rows. The stages: `singles`, every
departure alone; `combined`, combinations that were suggested; `drawn`, random ones; `choose`, those
of --recipes; `confirm`, the smallest reading that works, or else the best, or those of --recipes,
on a fresh seed with the paper's number of trials. --show writes the picture and the page.
"""

from __future__ import annotations

import pathlib
from typing import TYPE_CHECKING, Any

from absl import flags

from experiments import cli
from lstm_jax.training.runtime import configure_cpu

if TYPE_CHECKING:
    from experiments.readings.cells import Results
    from experiments.readings.design import Cell

RESULTS = pathlib.Path(__file__).parents[1] / "results" / "readings"

_OUT = flags.DEFINE_string("out", str(RESULTS), "Folder of the results, one file a row.")
_ROWS = flags.DEFINE_string("rows", "all", "'all', or rows with commas between, in this order.")
_STAGES = flags.DEFINE_list("stages", ["singles", "combined", "confirm"], "What to run, in order.")
_RECIPES = flags.DEFINE_string(
    "recipes", "", "What `choose` tries, and `confirm` runs anew, with blanks between."
)
_DRAWN = flags.DEFINE_integer("drawn", 16, "Random combinations a row.", lower_bound=1)
_SHARD = flags.DEFINE_string("shard", "0/1", "Which part of the rows, of how many.")
_SHOW = flags.DEFINE_bool("show", False, "Write the picture and the page from what there is.")


def main() -> None:
    """Runs what has no result yet, or shows what has."""
    configure_cpu()
    from experiments.readings import answer, cells, design  # JAX starts here

    folder = pathlib.Path(_OUT.value)
    folder.mkdir(parents=True, exist_ok=True)
    if _SHOW.value:
        answer.show(folder)
        return
    recipes = _RECIPES.value.split()
    stages = {
        "singles": design.singles,
        "combined": design.combined,
        "drawn": lambda row: design.drawn(row, _DRAWN.value),
        "choose": lambda row: [design.choice(row, recipe) for recipe in recipes],
        "confirm": lambda row: answer.to_confirm(cells.Results(folder, row), recipes),
    }
    unknown = [stage for stage in _STAGES.value if stage not in stages]
    if unknown:
        raise ValueError(f"--stages must be of {', '.join(stages)}, got {unknown[0]!r}")
    told = cells.about(cli.command_line())
    rows = _own(design.select(_ROWS.value))
    for stage in _STAGES.value:
        for row in rows:
            _run(stages[stage](row), cells.Results(folder, row), told)


def _run(planned: list[Cell], results: Results, told: dict[str, Any]) -> None:
    """Runs the cells of a row that have no result yet."""
    from experiments.readings import cells

    for cell in planned:
        if cell in results:
            continue
        outcome = cells.run_cell(cell)
        results.add(cell, outcome, told)
        found = f"{outcome['solved']} of {cell.trials}, mean {outcome['mean']}"
        print(f"{cell.row} {cell.key}: {found}, {outcome['seconds']} s", flush=True)


def _own(rows: list[str]) -> list[str]:
    """The rows of this shard."""
    part, _, parts = _SHARD.value.partition("/")
    if not (part.isdecimal() and parts.isdecimal() and int(part) < int(parts)):
        raise ValueError(f"--shard must be like 0/2, got {_SHARD.value!r}")
    return rows[int(part) :: int(parts)]


if __name__ == "__main__":
    cli.run(main)
