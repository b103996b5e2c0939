"""Rows whose `paper` run ended before ten times the published mean: is there hope in their curves?

A trial is at chance if its mean error in the last tenth of its run is not below `STILL_AT_CHANCE`
of that in the first tenth, by the same rule by which cells are cut off.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from experiments.ablations import cells, design
from lstm_jax.network.files import Document
from lstm_jax.tasks import make_task

FULL_BUDGET = 10  # times the published mean


def sentences(documents: Sequence[Document]) -> str:
    """A line for every row of `paper` that was cut short with trials unsolved.

    Args:
      documents: result files of rows, of any recipes.
    """
    printed = [d for d in documents if d["recipe"] == "paper" and d["task"] in _ROWS]
    return "\n".join(filter(None, map(_sentence, printed)))


_ROWS = frozenset(design.select("all"))


def _sentence(document: Document) -> str | None:
    row, budget = document["task"], document["max_sequences"]
    share = budget / design.wanted(make_task(row))
    curves = [np.array(t["curve"])[:, 1] for t in document["trials"] if not t["solved"]]
    if share >= FULL_BUDGET or not curves:
        return None
    first, last = np.mean([cells.tenths(curve.tolist()) for curve in curves], axis=0)
    stuck = sum(cells.is_at_chance(curve.tolist()) for curve in curves)
    lowest = min(curve.min() for curve in curves)
    return (
        f"- **{row}**, {budget:,} sequences, {share:.2g} times the published mean: of "
        f"{len(curves)} unsolved trials {stuck} at chance; mean error {first:.4f} in the first "
        f"tenth, {last:.4f} in the last, lowest {lowest:.4f}."
    )
