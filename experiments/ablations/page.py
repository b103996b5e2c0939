"""The page of the ablation study: tables and two pictures of every row's outcomes."""

from __future__ import annotations

import collections
import itertools
import math
import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from experiments.ablations import cells, design
from experiments.ablations.design import Outcome, fits, is_confirmed
from experiments.ablations.estimate import estimate, verdict
from experiments.rows.collection import read_results
from experiments.rows.text import markdown, replace_section
from lstm_jax import make_task, row_names
from lstm_jax.network.files import Document
from lstm_jax.network.writing import write_atomically
from lstm_jax.plots import style

Gathered = Mapping[str, list[Outcome]]  # of each row

FULL_BUDGET = 10  # times the published mean, for runs of `paper`
MIN_CELLS = 2  # of every mean: a standard error needs two
DISPLAYED_EFFECTS = 4  # per row, and as many interactions
MIN_ERRORS = 2  # standard errors by which a displayed effect differs from 0


def gather(folder: pathlib.Path) -> tuple[Gathered, Gathered]:
    """Return each row's outcomes, first that of its own file of `paper`, and those of other seeds.

    The others neither chose nor confirmed an interpretation: repetitions and estimates.
    """
    gathered: dict[str, list[Outcome]] = {row: [] for row in row_names()}
    others: dict[str, list[Outcome]] = {}
    seeds = (design.REPETITION_SEED, design.ESTIMATION_SEED)
    for document in read_results():
        if document["recipe"] == "paper" and document["task"] in gathered:
            summary = document["summary"]
            about = {"recipe": "paper", "seed": document["seed"], "mean": summary["mean_sequences"]}
            gathered[document["task"]].append(summary | about)
    for row, known in gathered.items():
        found = cells.Results(folder, row).cells()
        others[row] = [o for o in found if o["seed"] in seeds]
        known += [o for o in found if o["seed"] not in seeds]
    return gathered, others


def write_page(folder: pathlib.Path) -> str:
    """Write the tables into README.md, between their markers, and draw the pictures beside it.

    Return the table of rows; raise ValueError if the page lacks a marker.
    """
    gathered, others = gather(folder)
    tables = {
        "estimates": estimates_table(others),
        "rows": rows_table(gathered, others),
        "interpretations": shared_table(gathered),
        "effects": effects_table(gathered),
        "cut short": cut_short_table(read_results()),
    }
    page = folder / "README.md"
    marks = "".join(f"<!-- {name} -->\n\n<!-- end of {name} -->\n" for name in tables)
    text = page.read_text() if page.exists() else marks
    for name, table in tables.items():
        text = replace_section(text, name, table)
    write_atomically(page, text.encode())
    alone = {o["recipe"] for o in itertools.chain(*gathered.values()) if o["recipe"].count("+") < 2}
    displayed = filter(None, itertools.starmap(best_known, gathered.items()))
    together = {o["recipe"] for o in displayed} | shared_recipes(gathered) | {"paper"}
    draw(gathered, alone, folder / "alone.png")
    draw(gathered, together, folder / "together.png")
    return tables["rows"]


# Tables ------------------------------------------------------------------------------------------


def estimates_table(others: Gathered) -> str:
    """Return the table of the estimates on a seed that decided nothing."""
    lines = [
        _estimate_line(row, outcome)
        for row, outcomes in others.items()
        for outcome in outcomes
        if outcome["seed"] == design.ESTIMATION_SEED
    ]
    titles = ("row", "interpretation", "solved", "published", "ratio", "wrong", "published")
    return markdown((*titles, "verdict"), lines)


def _estimate_line(row: str, outcome: Outcome) -> list[str]:
    published, found = make_task(row).published, estimate(row, outcome)
    wrong = [w for w, n in zip(outcome["wrong"], outcome["sequences"], strict=True) if n]
    low, high = (f"{100 * share:.1f}" for share in found.success_interval)
    wrong_in_print = published.test_wrong
    if published.test_fraction is not None:
        wrong_in_print = published.test_fraction * outcome["test_size"]
    ratio = ""
    if found.ratio_interval is not None:
        least, most = found.ratio_interval
        ratio = f"{found.ratio:.2f} ({least:.2f} to {most:.2f})"
    return [
        row,
        _code(outcome["recipe"]),
        f"{_solved(outcome)} ({low} to {high} %)",
        f"{100 if published.success_rate is None else published.success_rate:g} %",
        ratio,
        f"{np.mean(wrong):.1f}" if wrong else "",
        "" if wrong_in_print is None else f"{wrong_in_print:.3g}",
        verdict(row, found),
    ]


def rows_table(gathered: Gathered, others: Gathered) -> str:
    """Return the table of `paper` and the smallest interpretation that fits, or the best, per row.

    Figures of seed 0, by which interpretations are chosen, are in brackets.
    """
    titles = ("row", "published", "`paper`", "smallest interpretation", "solved", "mean", "ratio")
    lines = []
    for row, outcomes in gathered.items():
        uncounted = design.UNCOUNTED.get(row, 0)
        by_paper = _latest(outcomes).get("paper")
        printed = _bracketed(row, by_paper, _solved(by_paper)) if by_paper else "not run"
        line = [row, f"{design.published_sequences(row) - uncounted:,}", printed]
        found = best_known(row, outcomes)
        if found is None:
            lines.append([*line, "none found", *[""] * 5])
            continue
        cell = design.make_cell(row, found["recipe"], design.REPETITION_SEED)
        again = design.find(cell, others[row])
        line += [
            _code(found["recipe"]),
            _bracketed(row, found, _solved(found)),
            f"{found['mean'] - uncounted:,.0f}",
            f"{design.ratio(row, found['mean']):.2f}",
            _bracketed(row, found, "yes" if fits(row, found) else "no"),
            _solved(again) if again else "",
        ]
        if again and again["solved"]:
            line[-1] += f", {design.ratio(row, again['mean']):.2f}"
        lines.append(line)
    return markdown((*titles, "fits", "repeated"), lines)


def best_known(row: str, outcomes: Iterable[Outcome]) -> Outcome | None:
    """Return a row's best outcome, of seed 0 only where the recipe was not confirmed."""
    known = {o["recipe"] for o in outcomes if is_confirmed(row, o)}
    latest = [o for o in outcomes if is_confirmed(row, o) or o["recipe"] not in known]
    return design.best(row, latest)


def shared_table(gathered: Gathered) -> str:
    """Return the table of the rows that shared interpretations fit, or do not."""
    lines = []
    for recipe in sorted(shared_recipes(gathered), key=_by_size):
        verdicts: dict[bool, list[str]] = {True: [], False: []}
        for row, outcomes in gathered.items():
            tried = [o for o in outcomes if o["recipe"] == recipe]
            if tried:
                latest = max(tried, key=lambda o: (is_confirmed(row, o), o["seed"]))
                verdicts[fits(row, latest)].append(_bracketed(row, latest, row))
        lines.append([_code(recipe), *map(", ".join, verdicts.values())])
    return markdown(("interpretation", "fits", "does not fit"), lines)


def shared_recipes(gathered: Gathered) -> set[str]:
    """Return the recipes that were confirmed on two or more rows, whether they fit or not."""
    counts = collections.Counter()  # of rows
    for row, outcomes in gathered.items():
        counts.update({o["recipe"] for o in outcomes if is_confirmed(row, o)})
    return {recipe for recipe, count in counts.items() if count > 1}


class Effect(NamedTuple):
    """The effect of an override, or the interaction of two, on the fraction of solved trials."""

    overrides: tuple[str, ...]
    cells: int  # that have all of the overrides
    size: float  # a difference of mean fractions, or of two a difference of such differences
    error: float  # standard error of the size, from the scatter of the cells about their means


def effects(outcomes: Sequence[Outcome], order: int) -> list[Effect]:
    """Estimate main effects (`order` 1) or interactions (2), those most surely not 0 first.

    An effect is estimated if each mean that it needs is over at least `MIN_CELLS` cells.
    """
    rates = [({*o["recipe"].split("+")[1:]}, o["solved"] / o["trials"]) for o in outcomes]
    known = sorted(set().union(*(overrides for overrides, _ in rates)))
    found = [_effect(rates, group) for group in itertools.combinations(known, order)]
    return sorted(filter(None, found), key=lambda e: -abs(e.size) / max(e.error, 1e-9))


def _effect(rates: list[tuple[set[str], float]], group: tuple[str, ...]) -> Effect | None:
    """Sum the mean rates of all subsets of the group, with a minus for each override left out."""
    size, variance, some = 0.0, 0.0, []
    for present in itertools.product((False, True), repeat=len(group)):
        wanted = {*itertools.compress(group, present)}
        some = [rate for overrides, rate in rates if overrides.intersection(group) == wanted]
        if len(some) < MIN_CELLS:
            return None
        size += float(np.mean(some)) * (-1) ** present.count(False)
        variance += float(np.var(some, ddof=1)) / len(some)
    return Effect(group, len(some), size, math.sqrt(variance))  # the last subset is the group


def effects_table(gathered: Gathered) -> str:
    """Return the table of the surest effects and interactions in each row's random cells."""
    lines = []
    for row, outcomes in gathered.items():
        random = design.drawn_outcomes(row, outcomes)
        found = [e for order in (1, 2) for e in effects(random, order)[:DISPLAYED_EFFECTS]]
        for effect in (e for e in found if abs(e.size) > MIN_ERRORS * e.error):
            names = " with ".join(f"`{override}`" for override in effect.overrides)
            figures = str(effect.cells), f"{effect.size:+.2f}", f"{effect.error:.2f}"
            lines.append([row, str(len(random)), names, *figures])
    titles = ("row", "random cells", "overrides", "cells with", "effect", "standard error")
    return markdown(titles, lines) if lines else "No row has enough of them yet.\n"


def cut_short_table(documents: Sequence[Document]) -> str:
    """Return the table of the runs of `paper` that ended, unsolved, before ten published means."""
    lines = []
    for document in documents:
        row, budget = document["task"], document["max_sequences"]
        if document["recipe"] != "paper" or row not in row_names():
            continue
        share = budget / design.published_sequences(row)
        curves = [[p[1] for p in t["curve"]] for t in document["trials"] if not t["solved"]]
        if share >= FULL_BUDGET or not curves:
            continue
        errors = *np.mean([cells.tenths(c) for c in curves], axis=0), min(map(min, curves))
        counts = len(curves), sum(map(cells.is_at_chance, curves))
        figures = [*map(str, counts), *(f"{error:.4f}" for error in errors)]
        lines.append([row, f"{budget:,}", f"{share:.2g}", *figures])
    titles = ("row", "sequences", "ratio", "unsolved trials", "at chance")
    return markdown((*titles, "error, first tenth", "last tenth", "lowest"), lines)


def _latest(outcomes: Iterable[Outcome]) -> dict[str, Outcome]:
    """Return the outcome of the latest seed and the most trials of each recipe."""
    return {o["recipe"]: o for o in sorted(outcomes, key=lambda o: (o["seed"], o["trials"]))}


def _by_size(recipe: str) -> tuple[int, str]:
    return recipe.count("+"), recipe


def _solved(outcome: Outcome) -> str:
    cut = ", cut" if outcome.get("cut") else ""
    return f"{outcome['solved']} of {outcome['trials']}{cut}"


def _bracketed(row: str, outcome: Outcome, text: str) -> str:
    return text if is_confirmed(row, outcome) else f"({text})"


def _code(recipe: str) -> str:
    return f"`{recipe.removeprefix('paper+')}`"


# Pictures ----------------------------------------------------------------------------------------


def draw(gathered: Gathered, recipes: set[str], path: pathlib.Path) -> None:
    """Draw the rows against recipes, from the fewest overrides to the most."""
    from matplotlib import colormaps
    from matplotlib.patches import Rectangle

    columns, rows = sorted(recipes, key=_by_size), list(gathered)
    width, height = 2.5 + 0.45 * max(len(columns), 12), 4 + 0.27 * len(rows)
    figure, (axes,) = style.new_figure(width, height)
    for (y, row), (x, recipe) in itertools.product(enumerate(rows), enumerate(columns)):
        outcome = _latest(gathered[row]).get(recipe)
        if outcome is not None:
            colour = colormaps["Blues"](0.6 * outcome["solved"] / outcome["trials"])
            edge = "black" if fits(row, outcome) else "none"
            look: Document = {"facecolor": colour, "edgecolor": edge, "linewidth": 1.5}
            axes.add_patch(Rectangle((x - 0.45, y - 0.45), 0.9, 0.9, **look))
            ratio = design.ratio(row, outcome["mean"])
            without = "cut" if outcome.get("cut") else "x"
            text = without if ratio is None else f"{ratio:.2g}"
            axes.text(x, y, text, ha="center", va="center", fontsize=8, zorder=3)
        elif design.is_ruled_out(row, recipe, gathered.__getitem__):
            axes.text(x, y, "·", ha="center", va="center", color="gray", fontsize=16)
    labels = [recipe.removeprefix("paper+").replace("+", "\n+ ") for recipe in columns]
    axes.grid(False)
    axes.set(xlim=(-0.6, len(columns) - 0.4), ylim=(len(rows) - 0.4, -0.6))
    axes.xaxis.tick_top()
    axes.set_xticks(range(len(columns)), labels, rotation=90, fontsize=8)
    axes.set_yticks(range(len(rows)), rows, fontsize=9)
    legend = "mean sequences / published; the darker, the more trials solved; framed: as published"
    legend += "\nx: none solved; cut: none by the published mean; ·: not run"
    axes.set_xlabel(legend, fontsize=9)
    pairs = enumerate(itertools.pairwise(rows))
    borders = [y + 0.5 for y, (above, below) in pairs if above[0] != below[0]]
    axes.hlines(borders, *axes.get_xlim(), color="gray", linewidth=0.6)
    style.save(figure, path)
