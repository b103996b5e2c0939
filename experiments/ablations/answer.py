"""The page: every row's outcomes, gathered into tables and two pictures."""

from __future__ import annotations

import pathlib

from experiments.ablations import choosing, design, picture, tables
from experiments.ablations.cells import Results
from experiments.ablations.choosing import Outcome
from experiments.rows.collection import read_results
from lstm_jax.network.files import write_atomically
from lstm_jax.tasks import row_names

TABLES = ("rows", "interpretations", "few interpretations", "effects", "cut short")


def gather(folder: pathlib.Path) -> dict[str, list[Outcome]]:
    """Return each row's outcomes but the repetitions, first that of its own file of `paper`."""
    gathered: dict[str, list[Outcome]] = {row: [] for row in row_names()}
    for document in read_results():
        if document["recipe"] == "paper" and document["task"] in gathered:
            summary = document["summary"]
            about = {"recipe": "paper", "seed": document["seed"], "mean": summary["mean_sequences"]}
            gathered[document["task"]].append(summary | about)
    for row, outcomes in gathered.items():
        outcomes.extend(o for o in Results(folder, row).cells() if not _is_repetition(o))
    return gathered


def repeated(folder: pathlib.Path) -> dict[str, list[Outcome]]:
    """Return each row's repetitions, which neither choose nor confirm."""
    return {row: [*filter(_is_repetition, Results(folder, row).cells())] for row in row_names()}


def _is_repetition(outcome: Outcome) -> bool:
    return outcome["seed"] == design.REPETITION_SEED


def write_page(folder: pathlib.Path) -> str:
    """Write the tables into README.md, between their marks, and draw the pictures beside it.

    Returns:
      The table of rows.

    Raises:
      ValueError: if the page lacks a mark.
    """
    page, gathered = folder / "README.md", gather(folder)
    rows = tables.rows(gathered, repeated(folder))
    contents = (
        rows,
        tables.shared(gathered),
        tables.cover(gathered),
        tables.effects_table(gathered),
        tables.cut_short(read_results()),
    )
    text = page.read_text() if page.exists() else empty_page()
    for name, content in zip(TABLES, contents, strict=True):
        text = _replace(text, name, content)
    write_atomically(page, text.encode())
    planned = [cell for row in design.EASIER for cell in design.singles(row)]
    ruled_out = {
        (cell.row, cell.recipe)
        for cell in planned
        if choosing.is_ruled_out(cell.row, cell.recipe, gathered.__getitem__)
    }
    best = [tables.best_known(row, outcomes) for row, outcomes in gathered.items()]
    together = {outcome["recipe"] for outcome in best if outcome} | {"paper"}
    together |= tables.shared_recipes(gathered)
    picture.draw(gathered, tables.small_recipes(gathered), ruled_out, folder / "alone.png")
    picture.draw(gathered, together, ruled_out, folder / "together.png")
    return rows


def empty_page() -> str:
    """Return a page of nothing but the marks of its tables."""
    return "".join(f"<!-- {name} -->\n\n<!-- end of {name} -->\n" for name in TABLES)


def _replace(text: str, name: str, content: str) -> str:
    """Return the text with other content between the marks of a table."""
    before, begin, rest = text.partition(f"<!-- {name} -->\n")
    _, end, after = rest.partition(f"<!-- end of {name} -->")
    if not begin or not end:
        raise ValueError(f"the page must hold <!-- {name} --> and, below, <!-- end of {name} -->")
    return before + begin + content + "\n" + end + after
