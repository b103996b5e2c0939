"""The answer: for each row the smallest reading that works, and how they look side by side."""

from __future__ import annotations

import pathlib
from typing import Any

from experiments.readings import design
from experiments.readings.cells import Results
from experiments.readings.design import CHOICE_SEED, CONFIRMATION_SEED, FACTOR, Cell
from lstm_jax.tasks import make_task

Outcome = dict[str, Any]


def works(row: str, outcome: Outcome) -> bool:
    """Whether a cell is solved as often, and as fast within the factor, as published."""
    task = make_task(row)
    found = design.ratio(task, outcome["mean"])
    often = design.is_solved_often_enough(task, outcome["solved"], outcome["trials"])
    return often and found is not None and 1 / FACTOR <= found <= FACTOR


def size(outcome: Outcome) -> int:
    """How many departures its recipe has."""
    return outcome["recipe"].count("+")


def _rank(row: str, outcome: Outcome) -> tuple:
    """Smallest first for the better: works, few departures, solved often, near the mean."""
    found = design.ratio(make_task(row), outcome["mean"]) or 1e9
    is_good = works(row, outcome)
    distance = max(found, 1 / found)
    solved = outcome["solved"] / outcome["trials"]
    return (not is_good, size(outcome) if is_good else 0, -solved, distance)


def best(row: str, outcomes: list[Outcome], seed: int) -> Outcome | None:
    """The smallest reading that works on a seed, or else that which is solved most often."""
    found = [o for o in outcomes if o["seed"] == seed and o["solved"]]
    return min(found, key=lambda o: _rank(row, o), default=None)


def to_confirm(results: Results) -> list[Cell]:
    """What the trials of seed 0 make of a row, to be run anew on a fresh seed."""
    chosen = best(results.row, results.cells(), CHOICE_SEED)
    return [] if chosen is None else [design.confirmation(results.row, chosen["recipe"])]


def show(folder: pathlib.Path) -> None:
    """Prints, for each row, the best that was found and confirmed."""
    for row in design.select("all"):
        outcomes = Results(folder, row).cells()
        found = best(row, outcomes, CONFIRMATION_SEED)
        print(row, None if found is None else (found["recipe"], found["solved"], found["mean"]))
