"""The table of a case: every contender, compared with the best peer."""

from __future__ import annotations

from experiments.benchmarks.measure import OURS
from lstm_jax.network.files import Document

HEAD = ("contender", "XLA", "compile s", "run ms", "CPU ms", "per s", "temp MB", "peak MB")
ROW = "  {:<34} {:<22} {:>9} {:>10} {:>10} {:>12} {:>8} {:>8} {:>9}"


def table(document: Document) -> str:
    """Return all measurements of a case, each with its ratio to the best peer.

    A quick run has other sizes than the goal's, and therefore neither goal nor ratio.
    """
    quick, measurements = document["quick"], document["measurements"]
    goal = "quick, at other sizes" if quick else f"goal: {document['goal']}"
    peers = [m["rate"] for m in measurements if not m["contender"].startswith(OURS)]
    best = None if quick else max(peers, default=None)
    lines = [f"{document['case']}. {document['title']} ({goal})"]
    lines.append(ROW.format(*HEAD, "" if best is None else "to peer"))
    for measurement in measurements:
        lines += _lines(measurement, best, quick)
    checks = dict.fromkeys(f"      {m['contender']}: {m['check']}" for m in measurements)
    return "\n".join([*lines, "    answers checked:", *checks])


def _lines(measurement: Document, best: float | None, quick: bool) -> list[str]:
    m = measurement
    line = ROW.format(
        m["contender"],
        m["setting"],
        _number(m["compile_seconds"], 1, 2),
        _number(m["run_seconds"], 1e3, 3),
        _number(m["cpu_seconds"], 1e3, 3),
        f"{m['rate']:,.1f}",
        _number(m["temporary_bytes"], 1e-6, 2),
        _number(m["peak_bytes"], 1e-6, 0),
        "" if best is None else f"{m['rate'] / best:.2f}x",
    )
    notes = {} if quick else m["notes"]
    return [line.rstrip(), *(f"      {name}: {value}" for name, value in notes.items())]


def _number(value: float | None, factor: float, digits: int) -> str:
    return "-" if value is None else f"{value * factor:,.{digits}f}"
