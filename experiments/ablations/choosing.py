"""What is chosen from the results: a row's best reading, what to run next, what is hopeless."""

from __future__ import annotations

from collections.abc import Callable

from experiments.ablations import design
from experiments.ablations.cells import Results
from experiments.ablations.design import CHOICE_SEED, CONFIRMATION_SEED, FACTOR, Cell
from lstm_jax.network.files import Document
from lstm_jax.tasks import make_task

Outcome = Document


def works(row: str, outcome: Outcome) -> bool:
    """Whether a cell is solved as often, and as fast within the factor, as published."""
    task = make_task(row)
    found = design.ratio(task, outcome["mean"])
    often = design.is_solved_often_enough(task, outcome["solved"], outcome["trials"])
    return often and found is not None and 1 / FACTOR <= found <= FACTOR


def size(outcome: Outcome) -> int:
    """How many departures its recipe has."""
    return outcome["recipe"].count("+")


def rank(row: str, outcome: Outcome) -> tuple:
    """Smallest first for the better: works, few departures, sure, solved often, near the mean."""
    found = design.ratio(make_task(row), outcome["mean"]) or 1e9
    is_good = works(row, outcome)
    distance = max(found, 1 / found)
    solved = outcome["solved"] / outcome["trials"]
    departures = size(outcome) if is_good else 0
    return (not is_good, departures, not is_confirmed(row, outcome), -solved, distance)


def is_confirmed(row: str, outcome: Outcome) -> bool:
    """Whether no trial of these chose the reading: a fresh seed's, or `paper`'s own in full."""
    in_full = outcome["trials"] == make_task(row).trials
    return outcome["seed"] == CONFIRMATION_SEED or (outcome["recipe"] == "paper" and in_full)


def best(row: str, outcomes: list[Outcome], *, confirmed: bool) -> Outcome | None:
    """The smallest reading that works, or else that which is solved most often.

    Args:
      row: whose outcomes they are.
      outcomes: of all its cells.
      confirmed: whether of those that are confirmed, or of those of seed 0.
    """
    wanted = (lambda o: is_confirmed(row, o)) if confirmed else (lambda o: o["seed"] == CHOICE_SEED)
    found = [outcome for outcome in outcomes if outcome["solved"] and wanted(outcome)]
    return min(found, key=lambda outcome: rank(row, outcome), default=None)


def to_confirm(results: Results, recipes: list[str]) -> list[Cell]:
    """What the trials of seed 0 make of a row, or `recipes`, to be run anew on a fresh seed."""
    if recipes:
        return [design.confirmation(results.row, recipe) for recipe in recipes]
    chosen = best(results.row, results.cells(), confirmed=False)
    return [] if chosen is None else [design.confirmation(results.row, chosen["recipe"])]


def to_repeat(row: str, outcomes: list[Outcome], recipes: list[str]) -> list[Cell]:
    """What is confirmed and best of a row, or `recipes`, to be run once more on a third seed."""
    if recipes:
        return [design.repetition(row, recipe) for recipe in recipes]
    confirmed = best(row, outcomes, confirmed=True)
    return [] if confirmed is None else [design.repetition(row, confirmed["recipe"])]


def singles(row: str, outcomes_of: Callable[[str], list[Outcome]]) -> list[Cell]:
    """Every departure by itself, less those that an easier row rules out."""
    cells = design.singles(row)
    return [cell for cell in cells if not is_hopeless(row, cell.recipe, outcomes_of)]


def is_hopeless(row: str, recipe: str, outcomes_of: Callable[[str], list[Outcome]]) -> bool:
    """Whether what chooses solved no trial of the nearest easier row that it was run on.

    Args:
      row: that is asked about.
      recipe: likewise.
      outcomes_of: gives what came of the cells of a row.
    """
    easier = design.EASIER.get(row)
    if easier is None:
        return False
    known = outcome_of(design.choice(easier, recipe), outcomes_of(easier))
    return is_hopeless(easier, recipe, outcomes_of) if known is None else not known["solved"]


def drawn(row: str, outcomes: list[Outcome]) -> list[Outcome]:
    """Of the row's random combinations, in the order drawn, all before the first not yet run."""
    found: list[Outcome] = []
    for cell in design.drawn(row, design.MOST_DRAWN):
        outcome = outcome_of(cell, outcomes)
        if outcome is None:
            break
        found.append(outcome)
    return found


def outcome_of(cell: Cell, outcomes: list[Outcome]) -> Outcome | None:
    """What came of a cell, if it was run."""
    like_it = {"recipe": cell.recipe, "seed": cell.seed, "trials": cell.trials}
    return next((outcome for outcome in outcomes if like_it.items() <= outcome.items()), None)
