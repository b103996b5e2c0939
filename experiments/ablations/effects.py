"""Main effects and two-way interactions of departures, from cells of random combinations.

A departure's main effect is the mean solved fraction of the cells that have it, less that of those
that do not; the interaction of two is how much the effect of one differs with and without the
other. Standard errors are those of means over cells, which differ in all the other departures too.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

from lstm_jax.network.files import Document

MIN_CELLS = 2  # of every mean: with fewer there is no standard error


class Effect(NamedTuple):
    """What one departure, or two together, do to the fraction of solved trials."""

    departures: tuple[str, ...]
    """One, or the two that interact."""
    cells: int
    """How many cells have it, or both."""
    size: float
    """Difference of the solved fraction; of two, the difference of such differences."""
    error: float
    """Its standard error."""


def effects(outcomes: Sequence[Document], *, order: int = 1) -> list[Effect]:
    """Main effects (`order` 1) or two-way interactions (2), those furthest from 0 first.

    Only of departures for which all the means that they need are of at least `MIN_CELLS` cells.

    >>> def cell(recipe, solved):
    ...     return {"recipe": recipe, "solved": solved, "trials": 8}
    >>> some = [cell("paper", 0), cell("paper+h=identity", 8), cell("paper+initial-activation=0.5", 2)]
    >>> (found,) = effects([*some, cell("paper+h=identity", 4)])
    >>> found.departures, found.cells, found.size, round(found.error, 2)
    (('h=identity',), 2, 0.625, 0.28)
    """
    cells = [(set(o["recipe"].split("+")[1:]), o["solved"] / o["trials"]) for o in outcomes]
    known = sorted(set().union(*(departures for departures, _ in cells)))
    found = [_effect(cells, group) for group in itertools.combinations(known, order)]
    return sorted(filter(None, found), key=lambda e: -abs(e.size) / max(e.error, 1e-9))


def _effect(cells: list[tuple[set[str], float]], group: tuple[str, ...]) -> Effect | None:
    """The sum over all ways to have some of the group, with a minus for each that is left out."""
    size, variance, with_all = 0.0, 0.0, 0
    for had in itertools.product((True, False), repeat=len(group)):
        wanted = dict(zip(group, had, strict=True))
        some = [rate for own, rate in cells if all((d in own) == w for d, w in wanted.items())]
        if len(some) < MIN_CELLS:
            return None
        mean = sum(some) / len(some)
        scatter = sum((rate - mean) ** 2 for rate in some) / (len(some) - 1)
        size += mean * (-1) ** had.count(False)
        variance += scatter / len(some)
        with_all = len(some) if all(had) else with_all
    return Effect(group, with_all, size, math.sqrt(variance))
