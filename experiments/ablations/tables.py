"""The tables of the page: rows, interpretations, effects of overrides, and runs cut short."""

from __future__ import annotations

import collections
import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from experiments.ablations import cells, choosing, design
from experiments.ablations.choosing import Outcome
from lstm_jax.network.files import Document
from lstm_jax.tasks import make_task, row_names

Gathered = Mapping[str, list[Outcome]]  # of each row

FULL_BUDGET = 10  # times the published mean, for runs of `paper`
MIN_CELLS = 2  # of every mean: with fewer there is no standard error
DISPLAYED_EFFECTS = 4  # per row, and as many interactions
MIN_ERRORS = 2  # standard errors by which a displayed effect differs from 0


def rows(gathered: Gathered, repeated: Gathered) -> str:
    """Return the table of `paper` and the smallest interpretation that works, or the best, per row.

    Figures of seed 0, by which interpretations are chosen, are in brackets. The last column has the
    repetition of the interpretation.
    """
    titles = ("row", "published", "`paper`", "smallest interpretation")
    lines = []
    for row, outcomes in gathered.items():
        printed = [o for o in outcomes if o["recipe"] == "paper"]
        latest = max(printed, key=lambda o: (o["seed"], o["trials"]), default=None)
        published = design.published_sequences(make_task(row)) - design.UNCOUNTED.get(row, 0)
        found = best_known(row, outcomes)
        again = found and choosing.find(design.repetition(row, found["recipe"]), repeated[row])
        lines.append(
            [
                *(row, f"{published:,}", _solved(row, latest) if latest else "not run"),
                *(_interpretation(row, found) if found else ["none found", "", "", "", ""]),
                _repetition(row, again) if again else "",
            ]
        )
    return _markdown((*titles, "solved", "mean", "ratio", "works", "repeated"), lines)


def best_known(row: str, outcomes: list[Outcome]) -> Outcome | None:
    """Return a row's best outcome, of seed 0 only where the recipe was not confirmed."""
    sure = [outcome for outcome in outcomes if choosing.is_confirmed(row, outcome)]
    known = {outcome["recipe"] for outcome in sure}
    found = sure + [o for o in outcomes if o["recipe"] not in known]
    found = [outcome for outcome in found if outcome["solved"]]
    return min(found, key=lambda outcome: choosing.rank(row, outcome), default=None)


def _solved(row: str, outcome: Outcome) -> str:
    return _bracketed(row, outcome, f"{outcome['solved']} of {outcome['trials']}")


def _bracketed(row: str, outcome: Outcome, text: str) -> str:
    return text if choosing.is_confirmed(row, outcome) else f"({text})"


def _interpretation(row: str, outcome: Outcome) -> list[str]:
    counted = outcome["mean"] - design.UNCOUNTED.get(row, 0)
    return [
        _code(outcome["recipe"]),
        _solved(row, outcome),
        f"{counted:,.0f}",
        f"{design.ratio(make_task(row), outcome['mean']):.2f}",
        _bracketed(row, outcome, "yes" if choosing.works(row, outcome) else "no"),
    ]


def _repetition(row: str, outcome: Outcome) -> str:
    ratio = design.ratio(make_task(row), outcome["mean"])
    suffix = "" if ratio is None else f", {ratio:.2f}"
    return f"{outcome['solved']} of {outcome['trials']}{suffix}"


def shared(gathered: Gathered) -> str:
    """Return the table of the rows on which shared interpretations work, or do not."""
    lines = []
    for recipe in sorted(shared_recipes(gathered), key=by_size):
        verdicts: dict[bool, list[str]] = {True: [], False: []}
        for row, outcomes in gathered.items():
            tried = [o for o in outcomes if o["recipe"] == recipe]
            if tried:
                latest = max(tried, key=lambda o: (choosing.is_confirmed(row, o), o["seed"]))
                verdicts[choosing.works(row, latest)].append(_bracketed(row, latest, row))
        lines.append([_code(recipe), *map(", ".join, verdicts.values())])
    return _markdown(("interpretation", "works on", "does not work on"), lines)


def small_recipes(gathered: Gathered) -> set[str]:
    """Return the recipes of at most one override."""
    recipes = {outcome["recipe"] for outcomes in gathered.values() for outcome in outcomes}
    return {recipe for recipe in recipes if choosing.num_overrides(recipe) <= 1}


def shared_recipes(gathered: Gathered) -> set[str]:
    """Return the recipes that were confirmed on two or more rows, whether they work or not."""
    counts = collections.Counter(
        recipe
        for row, outcomes in gathered.items()
        for recipe in {o["recipe"] for o in outcomes if choosing.is_confirmed(row, o)}
    )
    return {recipe for recipe, count in counts.items() if count > 1}


def by_size(recipe: str) -> tuple[int, str]:
    """Return the sort key of recipes in tables and pictures."""
    return choosing.num_overrides(recipe), recipe


def cover(gathered: Gathered) -> str:
    """Return the table of a few interpretations that together serve all rows.

    The next one is always that which serves most of the remaining rows, or of several such, that
    which ranks best there.
    """
    ranks: dict[str, dict[str, tuple]] = collections.defaultdict(dict)
    for row, outcomes in gathered.items():
        for outcome in outcomes:
            if choosing.is_confirmed(row, outcome) and choosing.works(row, outcome):
                ranks[outcome["recipe"]][row] = choosing.rank(row, outcome)
    lines = []
    remaining = set().union(*ranks.values())
    while remaining:
        served = {
            recipe: {row: rank for row, rank in ranked.items() if row in remaining}
            for recipe, ranked in ranks.items()
        }
        most = min(served, key=lambda name: (-len(served[name]), [*served[name].values()]))
        lines.append([_code(most), str(len(served[most])), ", ".join(served[most])])
        remaining.difference_update(served[most])
    return _markdown(("interpretation", "number of rows", "rows"), lines)


# Effects -----------------------------------------------------------------------------------------


class Effect(NamedTuple):
    """The effect of an override, or the interaction of two, on the fraction of solved trials."""

    overrides: tuple[str, ...]
    cells: int  # that have all of the overrides
    size: float  # a difference of mean fractions, or of two a difference of such differences
    error: float  # standard error of the size, from the scatter of the cells about their means


def effects(outcomes: Sequence[Document], *, order: int = 1) -> list[Effect]:
    """Estimate main effects (`order` 1) or interactions (2), those most surely not 0 first.

    An effect is estimated if each mean that it needs is over at least `MIN_CELLS` cells.

    >>> def cell(recipe, solved):
    ...     return {"recipe": recipe, "solved": solved, "trials": 8}
    >>> recipes = {"paper": 0, "paper+h=identity": 8, "paper+initial-activation=0.5": 2}
    >>> some = [cell(*item) for item in recipes.items()]
    >>> (found,) = effects([*some, cell("paper+h=identity", 4)])
    >>> found.overrides, found.cells, found.size, round(found.error, 2)
    (('h=identity',), 2, 0.625, 0.28)
    """
    rates = [({*o["recipe"].split("+")[1:]}, o["solved"] / o["trials"]) for o in outcomes]
    known = sorted(set().union(*(overrides for overrides, _ in rates)))
    found = [_effect(rates, group) for group in itertools.combinations(known, order)]
    return sorted(filter(None, found), key=lambda e: -abs(e.size) / max(e.error, 1e-9))


def _effect(rates: list[tuple[set[str], float]], group: tuple[str, ...]) -> Effect | None:
    """Sum the mean rates of all subsets of the group, with a minus for each override left out."""
    size, variance, with_all = 0.0, 0.0, 0
    for present in itertools.product((True, False), repeat=len(group)):
        wanted = {override for override, is_in in zip(group, present, strict=True) if is_in}
        some = [rate for overrides, rate in rates if overrides.intersection(group) == wanted]
        if len(some) < MIN_CELLS:
            return None
        mean = sum(some) / len(some)
        size += mean * (-1) ** present.count(False)
        variance += sum((rate - mean) ** 2 for rate in some) / (len(some) - 1) / len(some)
        with_all = len(some) if all(present) else with_all
    return Effect(group, with_all, size, math.sqrt(variance))


def effects_table(gathered: Gathered) -> str:
    """Return the table of the surest effects and interactions in each row's random cells."""
    lines = []
    for row, outcomes in gathered.items():
        random = choosing.drawn(row, outcomes)
        found = [e for order in (1, 2) for e in effects(random, order=order)[:DISPLAYED_EFFECTS]]
        for effect in (e for e in found if abs(e.size) > MIN_ERRORS * e.error):
            names = " with ".join(f"`{override}`" for override in effect.overrides)
            figures = str(effect.cells), f"{effect.size:+.2f}", f"{effect.error:.2f}"
            lines.append([row, str(len(random)), names, *figures])
    titles = ("row", "random cells", "overrides", "cells with", "effect", "standard error")
    return _markdown(titles, lines) if lines else "No row has enough of them yet."


# Runs cut short ----------------------------------------------------------------------------------


def cut_short(documents: Sequence[Document]) -> str:
    """Return the table of the runs of `paper` that ended, unsolved, before ten published means.

    Args:
      documents: result files of rows, of any recipes.
    """
    lines = []
    for document in documents:
        row, budget = document["task"], document["max_sequences"]
        if document["recipe"] != "paper" or row not in row_names():
            continue
        share = budget / design.published_sequences(make_task(row))
        curves = [[p[1] for p in t["curve"]] for t in document["trials"] if not t["solved"]]
        if share >= FULL_BUDGET or not curves:
            continue
        errors = *np.mean([cells.tenths(c) for c in curves], axis=0), min(map(min, curves))
        counts = len(curves), sum(map(cells.is_at_chance, curves))
        figures = [*map(str, counts), *(f"{error:.4f}" for error in errors)]
        lines.append([row, f"{budget:,}", f"{share:.2g}", *figures])
    titles = ("row", "sequences", "ratio", "unsolved trials", "at chance")
    return _markdown((*titles, "error, first tenth", "last tenth", "lowest"), lines)


def _code(recipe: str) -> str:
    return f"`{recipe.removeprefix('paper+')}`"


def _markdown(titles: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    rule = ["---"] * len(titles)
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (titles, rule, *lines))
