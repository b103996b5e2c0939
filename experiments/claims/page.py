"""Tables of the page of claims, which `python -m experiments.tables` writes from their files.

A line of the table of descendants has a published figure, ours and its 95 % interval.
"""

from __future__ import annotations

import pathlib
from collections.abc import Callable, Iterator, Mapping

import numpy as np

from experiments.claims import continual, counting, stopping
from experiments.rows.intervals import mean_interval, share_interval
from experiments.rows.text import markdown, replace_section
from lstm_jax.network.files import Document
from lstm_jax.training.runs.result_file import read_object

NOT_PUBLISHED = "-"
STOPPING = (
    "row",
    "recipe",
    "test",
    "stopped",
    "published",
    "sequences",
    "published",
    "wrong",
    "fit",
)


def with_tables(page: str, folder: pathlib.Path) -> str:
    """Return the page of claims with the tables of the claims that have been run."""
    for section, (claims, table) in TABLES.items():
        paths = {claim: folder / f"claim.{claim}.json" for claim in claims}
        documents = {c: read_object(p) for c, p in paths.items() if p.exists()}
        if documents:
            page = replace_section(page, section, f"\n{table(documents)}\n")
    return page


def descendants(documents: Mapping[str, Document]) -> str:
    """Return the table of the published experiments with forget gates and peepholes."""
    lines = []
    for claim, lines_of in LINES.items():
        if claim in documents:
            lines += lines_of(documents[claim])
    return markdown(("experiment", "figure", "published", "ours", "95 % interval"), lines)


def _continual_lines(document: Document) -> Iterator[list[str]]:
    trials = document["trials"]
    for label, found in document["variants"].items():
        published = continual.PUBLISHED.get(label, (None, None))
        for name, percent in zip(continual.TESTED, published, strict=True):
            yield [
                f"continual Reber, {label}",
                f"{name}, of {trials}",
                NOT_PUBLISHED if percent is None else f"{percent} %",
                *_share(found[name], trials),
            ]


def _counting_lines(document: Document) -> Iterator[list[str]]:
    trials = document["trials"]
    for label, found in document["variants"].items():
        letters = 2 if "c^n" not in label else 3
        is_published = found["trained_n"] == 10 and "no peepholes" not in label
        mean, best, strings = counting.PUBLISHED[letters] if is_published else (None,) * 3
        learned = [n for n in found["learned"] if n]
        yield [label, f"learned, of {trials}", NOT_PUBLISHED, *_share(len(learned), trials)]
        if learned:
            yield [label, "strings until it is", _number(strings), *_mean(learned)]
        for budget, furthest in found["furthest"].items():
            if is_published or budget == [*found["furthest"]][-1]:
                figure = f"largest n, mean after {int(budget):,} strings"
                yield [label, figure, _number(mean), *_mean(furthest)]
        yield [label, f"largest n, best of {trials}", _number(best), f"{max(furthest):,}", ""]


def _timing_lines(document: Document) -> Iterator[list[str]]:
    trials = document["trials"]
    figure = f"pass a test of {document['tested']:,} spikes or periods, of {trials}"
    for label, found in document["variants"].items():
        published = NOT_PUBLISHED
        if label.startswith("generating"):
            published = "none" if "no peepholes" in label else "learned"
        yield [label, figure, published, *_share(found["solved"], trials)]


def _share(count: int, of: int) -> tuple[str, str]:
    low, high = share_interval(count, of)
    return f"{100 * count / of:.0f} %", f"{100 * low:.0f} to {100 * high:.0f} %"


def _mean(values: list[int]) -> tuple[str, str]:
    interval = mean_interval(values)
    spread = "" if interval is None else f"{interval[0]:,.0f} to {interval[1]:,.0f}"
    return f"{np.mean(values):,.0f}", spread


def _number(value: int | None) -> str:
    return NOT_PUBLISHED if value is None else f"{value:,}"


def stopping_rules(documents: Mapping[str, Document]) -> str:
    """Return the table of the stopping rules that fit best."""
    return markdown(STOPPING, stopping.table(documents["stopping"]))


def persistence(documents: Mapping[str, Document]) -> str:
    """Return the table of how task 1's solved networks last."""
    titles = ("variant", "solved", "95 % interval", "mean", "published")
    lines = []
    for label, found in documents["persistence"]["variants"].items():
        solved = [n for n in found["solved"] if n]
        later = [w for w in found["later"] if w is not None]
        wrong = f"{np.median(later):.0f}, {max(later)}" if later else ""
        lines.append(
            [
                label,
                f"{len(solved)} of {len(found['solved'])}",
                _share(len(solved), len(found["solved"]))[1],
                f"{np.mean(solved):,.0f}" if solved else "",
                f"{found['published']:,.0f}",
                f"{found['still_right']} of {len(later)}",
                wrong,
            ]
        )
    return markdown((*titles, "still right", "wrong of 512: median, most"), lines)


LINES: Mapping[str, Callable[[Document], Iterator[list[str]]]] = {
    "continual": _continual_lines,
    "counting": _counting_lines,
    "timing": _timing_lines,
}
# By section of the page: the claims that it needs, and its table.
TABLES: Mapping[str, tuple[tuple[str, ...], Callable[[Mapping[str, Document]], str]]] = {
    "descendants": (tuple(LINES), descendants),
    "stopping": (("stopping",), stopping_rules),
    "persistence": (("persistence",), persistence),
}
