"""Choices between interpretations: which works, which to run next, and which are ruled out.

An interpretation *works* on a row if it is solved as often as published, less one trial, and the
mean number of training sequences is within a factor of 2 of the published mean.
"""

from __future__ import annotations

from collections.abc import Callable

from experiments.ablations import design
from experiments.ablations.design import CHOICE_SEED, CONFIRMATION_SEED, FACTOR, Cell
from lstm_jax.network.files import Document
from lstm_jax.tasks import make_task

Outcome = Document


def works(row: str, outcome: Outcome) -> bool:
    """Return whether a cell is solved as often and as fast as published, within the tolerances."""
    ratio = design.ratio(make_task(row), outcome["mean"])
    if ratio is None or not 1 / FACTOR <= ratio <= FACTOR:
        return False
    rate = make_task(row).published.success_rate
    return outcome["solved"] >= (100.0 if rate is None else rate) / 100 * outcome["trials"] - 1


def is_confirmed(row: str, outcome: Outcome) -> bool:
    """Return whether the trials did not choose the interpretation.

    They are those of a fresh seed, or those of `paper`, which was not chosen, in full number.
    """
    in_full = outcome["trials"] == make_task(row).trials
    return outcome["seed"] == CONFIRMATION_SEED or (outcome["recipe"] == "paper" and in_full)


def num_overrides(recipe: str) -> int:
    """Return the number of overrides of a recipe."""
    return recipe.count("+")


def rank(row: str, outcome: Outcome) -> tuple:
    """Return the sort key of outcomes, the best first.

    In this order: it works, has few overrides, is confirmed, is solved often, is near the mean.
    """
    ratio = design.ratio(make_task(row), outcome["mean"]) or 1e9
    is_good = works(row, outcome)
    overrides = num_overrides(outcome["recipe"]) if is_good else 0
    share = outcome["solved"] / outcome["trials"]
    return not is_good, overrides, not is_confirmed(row, outcome), -share, max(ratio, 1 / ratio)


def best(row: str, outcomes: list[Outcome], *, confirmed: bool) -> Outcome | None:
    """Return the smallest interpretation that works, or otherwise the one solved most often.

    Args:
      row: the row.
      outcomes: the outcomes of all its cells.
      confirmed: whether to choose from the confirmed outcomes, or from those of seed 0.
    """
    counts = lambda o: is_confirmed(row, o) if confirmed else o["seed"] == CHOICE_SEED
    found = [outcome for outcome in outcomes if outcome["solved"] and counts(outcome)]
    return min(found, key=lambda outcome: rank(row, outcome), default=None)


def best_recipe(row: str, outcomes: list[Outcome], *, confirmed: bool) -> list[str]:
    """Return the recipe of the `best` outcome, in a list that is empty if there is none."""
    found = best(row, outcomes, confirmed=confirmed)
    return [] if found is None else [found["recipe"]]


def singles(row: str, outcomes_of: Callable[[str], list[Outcome]]) -> list[Cell]:
    """Return the cells of each override alone, less those that an easier row rules out."""
    cells = design.singles(row)
    return [cell for cell in cells if not is_ruled_out(row, cell.recipe, outcomes_of)]


def is_ruled_out(row: str, recipe: str, outcomes_of: Callable[[str], list[Outcome]]) -> bool:
    """Return whether a recipe solved no trial of the nearest easier row that it was run on.

    Args:
      row: the row on which it would be run.
      recipe: the recipe's name.
      outcomes_of: returns the outcomes of the cells of a row.
    """
    easier = design.EASIER.get(row)
    if easier is None:
        return False
    known = find(design.choice(easier, recipe), outcomes_of(easier))
    return is_ruled_out(easier, recipe, outcomes_of) if known is None else not known["solved"]


def drawn(row: str, outcomes: list[Outcome]) -> list[Outcome]:
    """Return the outcomes of the row's random combinations up to the first that was not run."""
    found: list[Outcome] = []
    for cell in design.drawn(row, design.MOST_DRAWN):
        outcome = find(cell, outcomes)
        if outcome is None:
            break
        found.append(outcome)
    return found


def find(cell: Cell, outcomes: list[Outcome]) -> Outcome | None:
    """Return the outcome of a cell, if it was run."""
    wanted = {"recipe": cell.recipe, "seed": cell.seed, "trials": cell.trials}
    return next((outcome for outcome in outcomes if wanted.items() <= outcome.items()), None)
