"""The answer: for each row the smallest reading that works, and how they look side by side."""

from __future__ import annotations

import collections
import pathlib

from experiments.ablations import choosing, cut_short, design, effects, picture
from experiments.ablations.cells import Results
from experiments.ablations.choosing import Outcome
from experiments.rows.collection import read_results
from lstm_jax.network.files import write_atomically
from lstm_jax.tasks import make_task

_TABLES = ("rows", "readings", "few readings", "effects", "cut short")
_PAGE = "".join(f"<!-- {name} -->\n\n<!-- end of {name} -->\n" for name in _TABLES)
_SHOWN_EFFECTS = 4  # of a row, and as many interactions


def gather(folder: pathlib.Path) -> dict[str, list[Outcome]]:
    """The outcomes of every row that choose or confirm a reading.

    First, what its experiment's own command has of `paper`.
    """
    gathered: dict[str, list[Outcome]] = {row: [] for row in design.select("all")}
    for document in read_results():
        if document["recipe"] == "paper" and document["task"] in gathered:
            summary = document["summary"]
            own = {"recipe": "paper", "seed": document["seed"], "mean": summary["mean_sequences"]}
            gathered[document["task"]].append(summary | own)
    for row, outcomes in gathered.items():
        outcomes.extend(o for o in Results(folder, row).cells() if not _is_repetition(o))
    return gathered


def repeated(folder: pathlib.Path) -> dict[str, list[Outcome]]:
    """The outcomes of every row that decide nothing: of readings run again on a third seed."""
    rows = design.select("all")
    return {row: list(filter(_is_repetition, Results(folder, row).cells())) for row in rows}


def _is_repetition(outcome: Outcome) -> bool:
    return outcome["seed"] == design.REPETITION_SEED


def table(gathered: dict[str, list[Outcome]], repeated: dict[str, list[Outcome]]) -> str:
    """For each row, `paper` and the smallest reading that works, or else the best that was found.

    Figures by which a reading was chosen, on seed 0, are in brackets. Last, what came of it on a
    third seed with twice the trials, if it was repeated.
    """
    lines = [
        "| row | published | `paper` | smallest reading | solved | mean | ratio | works | again |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row, outcomes in gathered.items():
        printed = [o for o in outcomes if o["recipe"] == "paper"]
        found = _to_show(row, outcomes)
        published = design.wanted(make_task(row)) - design.UNCOUNTED.get(row, 0)
        latest = max(printed, key=lambda o: (o["seed"], o["trials"]), default=None)
        again = _again(row, found, repeated[row])
        cells = [row, f"{published:,}", _solved(row, latest), *_reading(row, found), again]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def common(gathered: dict[str, list[Outcome]]) -> str:
    """Of readings of one departure, or confirmed on two rows: where they work, and where not."""
    lines = ["| reading | works on | does not on |", "|---|---|---|"]
    for recipe in sorted(_small(gathered) | _shared(gathered), key=picture.order):
        verdicts: dict[bool, list[str]] = {True: [], False: []}
        for row, outcomes in gathered.items():
            tried = [o for o in outcomes if o["recipe"] == recipe]
            if tried:
                latest = max(tried, key=lambda o: (choosing.is_confirmed(row, o), o["seed"]))
                told = row if choosing.is_confirmed(row, latest) else f"({row})"
                verdicts[choosing.works(row, latest)].append(told)
        cells = [f"`{recipe.removeprefix('paper+')}`", *map(", ".join, verdicts.values())]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _small(gathered: dict[str, list[Outcome]]) -> set[str]:
    """The readings of at most one departure."""
    return {
        o["recipe"] for outcomes in gathered.values() for o in outcomes if choosing.size(o) <= 1
    }


def _shared(gathered: dict[str, list[Outcome]]) -> set[str]:
    """The readings that were confirmed on two rows or more, whether they work there or not."""
    rows = collections.Counter(
        recipe
        for row, outcomes in gathered.items()
        for recipe in {o["recipe"] for o in outcomes if choosing.is_confirmed(row, o)}
    )
    return {recipe for recipe, count in rows.items() if count > 1}


def few(gathered: dict[str, list[Outcome]]) -> str:
    """Readings that together serve all rows: time and again that which serves most of the rest.

    Of those that serve as many, that which ranks better there.
    """
    ranks: dict[str, dict[str, tuple]] = collections.defaultdict(dict)
    for row, outcomes in gathered.items():
        for outcome in outcomes:
            if choosing.is_confirmed(row, outcome) and choosing.works(row, outcome):
                ranks[outcome["recipe"]][row] = choosing.rank(row, outcome)
    lines = ["| reading | rows | which |", "|---|---|---|"]
    left = set().union(*ranks.values())
    while left:
        of_rest = {
            recipe: {row: rank for row, rank in ranked.items() if row in left}
            for recipe, ranked in ranks.items()
        }
        most = min(of_rest, key=lambda name: (-len(of_rest[name]), [*of_rest[name].values()]))
        rows = of_rest[most]
        lines.append(f"| `{most.removeprefix('paper+')}` | {len(rows)} | {', '.join(rows)} |")
        left.difference_update(rows)
    return "\n".join(lines)


def effects_table(gathered: dict[str, list[Outcome]]) -> str:
    """Of each row with random combinations, the effects and interactions surest not to be 0."""
    lines = [
        "| row | random cells | departures | cells with | effect | standard error |",
        "|---|---|---|---|---|---|",
    ]
    for row, outcomes in gathered.items():
        random = choosing.drawn(row, outcomes)
        for order in (1, 2):
            for found in effects.effects(random, order=order)[:_SHOWN_EFFECTS]:
                told = " with ".join(f"`{departure}`" for departure in found.departures)
                figures = f"{found.cells} | {found.size:+.2f} | {found.error:.2f}"
                lines.append(f"| {row} | {len(random)} | {told} | {figures} |")
    return "\n".join(lines) if lines[2:] else "No row has enough of them yet."


def _to_show(row: str, outcomes: list[Outcome]) -> Outcome | None:
    """The best of all; what chose a reading says no more of it once it was run anew."""
    sure = [outcome for outcome in outcomes if choosing.is_confirmed(row, outcome)]
    known = {outcome["recipe"] for outcome in sure}
    found = [
        o for o in (*sure, *outcomes) if o["solved"] and (o in sure or o["recipe"] not in known)
    ]
    return min(found, key=lambda outcome: choosing.rank(row, outcome), default=None)


def _solved(row: str, outcome: Outcome | None) -> str:
    if outcome is None:
        return "not run"
    text = f"{outcome['solved']} of {outcome['trials']}"
    return text if choosing.is_confirmed(row, outcome) else f"({text})"


def _reading(row: str, outcome: Outcome | None) -> list[str]:
    if outcome is None:
        return ["none found", "", "", "", ""]
    task = make_task(row)
    counted = outcome["mean"] - design.UNCOUNTED.get(row, 0)
    departures = outcome["recipe"].partition("+")[2] or "paper"
    verdict = "yes" if choosing.works(row, outcome) else "no"
    return [
        f"`{departures}`",
        _solved(row, outcome),
        f"{counted:,.0f}",
        f"{design.ratio(task, outcome['mean']):.2f}",
        verdict if choosing.is_confirmed(row, outcome) else f"({verdict})",
    ]


def _again(row: str, found: Outcome | None, repeated: list[Outcome]) -> str:
    """How often the reading that was found was solved when it was repeated, and its ratio."""
    if found is None:
        return ""
    again = choosing.outcome_of(design.repetition(row, found["recipe"]), repeated)
    if again is None:
        return ""
    ratio = design.ratio(make_task(row), again["mean"])
    told = "" if ratio is None else f", {ratio:.2f}"
    return f"{again['solved']} of {again['trials']}{told}"


def _columns(gathered: dict[str, list[Outcome]]) -> tuple[set[str], set[str]]:
    """The readings of each picture: the small; and those that are a row's best, or shared."""
    chosen = [_to_show(row, outcomes) for row, outcomes in gathered.items()]
    best_of_rows = {outcome["recipe"] for outcome in chosen if outcome}
    return _small(gathered), {"paper"} | _shared(gathered) | best_of_rows


def _hopeless(gathered: dict[str, list[Outcome]]) -> set[tuple[str, str]]:
    """The rows and departures that easier rows rule out."""
    planned = [cell for row in design.EASIER for cell in design.singles(row)]
    return {
        (c.row, c.recipe)
        for c in planned
        if choosing.is_hopeless(c.row, c.recipe, gathered.__getitem__)
    }


def show(folder: pathlib.Path) -> None:
    """Writes the tables into the page, between their marks, and draws the pictures beside it."""
    page, gathered = folder / "README.md", gather(folder)
    text = page.read_text() if page.exists() else _PAGE
    rows = table(gathered, repeated(folder))
    tables = (
        rows,
        common(gathered),
        few(gathered),
        effects_table(gathered),
        cut_short.sentences(read_results()),
    )
    for name, found in zip(_TABLES, tables, strict=True):
        text = _with_table(text, name, found)
    write_atomically(page, text.encode())
    hopeless = _hopeless(gathered)
    for name, recipes in zip(("alone", "together"), _columns(gathered), strict=True):
        picture.draw(gathered, recipes, hopeless, folder / f"{name}.png")
    print(rows)


def _with_table(text: str, name: str, table: str) -> str:
    """The text with `table` between the marks of its name; the words around them stay."""
    before, begin, rest = text.partition(f"<!-- {name} -->\n")
    _, end, after = rest.partition(f"<!-- end of {name} -->")
    if not begin or not end:
        raise ValueError(f"the page must hold <!-- {name} --> and, below, <!-- end of {name} -->")
    return before + begin + table + "\n" + end + after
