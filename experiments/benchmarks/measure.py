"""How a measurement is made: compiled ahead, warmed up, waited for; the median of the runs."""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
import resource
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from lstm_jax.network.files import Document

OURS = "lstm_jax"


@dataclasses.dataclass(frozen=True)
class Plan:
    """How thoroughly to measure.

    Attributes:
      repeats: timed runs, after one that warms up; the median counts.
      quick: whether sizes are cut down, so that everything is exercised in seconds.
      beside_xla: whether contenders that XLA's settings do not touch are measured too.
    """

    repeats: int = 10
    quick: bool = False
    beside_xla: bool = True

    def size(self, full: int, quick: int) -> int:
        """A size of a case, cut down in a quick run."""
        return quick if self.quick else full


@dataclasses.dataclass
class Measurement:
    """What was found out about one contender of a case."""

    contender: str
    unit: str  # what there are `work` of in a run, such as "sequences"
    work: float
    run_seconds: float  # median
    fastest_seconds: float
    check: str  # which answer was checked against which, and how far it was off
    compile_seconds: float | None = None  # None: nothing is compiled
    temporary_bytes: int | None = None  # XLA's own figure; None: not an XLA program
    cpu_seconds: float | None = None  # of all threads, median: steadier on a busy machine
    peak_bytes: int | None = None  # resident memory of the process while it was measured
    setting: str = ""  # of XLA; filled in by `experiments.benchmark`
    notes: Document = dataclasses.field(default_factory=dict)

    @property
    def rate(self) -> float:
        """Units of work per second."""
        return self.work / self.run_seconds

    def to_json(self) -> Document:
        """All fields and the rate."""
        return {**dataclasses.asdict(self), "rate": self.rate}

    @classmethod
    def from_json(cls, document: Document) -> Measurement:
        """Undoes `to_json`."""
        names = {field.name for field in dataclasses.fields(cls)}
        return cls(**{name: value for name, value in document.items() if name in names})


def measure_jax(
    plan: Plan,
    contender: str,
    function: Callable,
    *arguments: Any,
    work: float,
    unit: str,
    check: str,
) -> Measurement:
    """Compiles a pure function for its arguments, then times it."""
    started = time.perf_counter()
    compiled = jax.jit(function).lower(*arguments).compile()
    compile_seconds = time.perf_counter() - started
    measurement = measure_call(
        plan, contender, lambda: compiled(*arguments), work=work, unit=unit, check=check
    )
    measurement.compile_seconds = compile_seconds
    measurement.temporary_bytes = temporary_bytes(compiled)
    return measurement


def measure_call(
    plan: Plan, contender: str, call: Callable[[], Any], *, work: float, unit: str, check: str
) -> Measurement:
    """Times `call` as it is, waiting for whatever arrays it returns."""
    reset_peak()
    jax.block_until_ready(call())
    seconds, cpu_seconds = [], []
    for _ in range(plan.repeats):
        started, cpu_started = time.perf_counter(), time.process_time()
        jax.block_until_ready(call())
        seconds.append(time.perf_counter() - started)
        cpu_seconds.append(time.process_time() - cpu_started)
    print(f"  {contender}: {statistics.median(seconds) * 1e3:,.3f} ms", file=sys.stderr, flush=True)
    return Measurement(
        contender=contender,
        unit=unit,
        work=work,
        run_seconds=statistics.median(seconds),
        fastest_seconds=min(seconds),
        check=check,
        cpu_seconds=statistics.median(cpu_seconds),
        peak_bytes=peak_bytes(),
    )


def temporary_bytes(compiled: jax.stages.Compiled) -> int | None:
    """XLA's temporary memory of a compiled program, where the backend tells."""
    analysis = compiled.memory_analysis()
    return None if analysis is None else int(analysis.temp_size_in_bytes)


def reset_peak() -> None:
    """Starts the process's peak of resident memory afresh, where Linux lets it."""
    with contextlib.suppress(OSError):
        pathlib.Path("/proc/self/clear_refs").write_text("5")


def peak_bytes() -> int:
    """The process's peak of resident memory since `reset_peak`; else since its start."""
    status = pathlib.Path("/proc/self/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def check_close(what: str, actual: Any, expected: Any, tolerance: float) -> str:
    """Says how far two trees of arrays are apart, relative to the largest entry of each array.

    Raises:
      AssertionError: if by more than `tolerance`: no time is reported for a wrong answer.
    """
    worst = 0.0
    for x, y in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
        x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
        off = np.abs(x - y).max(initial=0) / max(np.abs(y).max(initial=0), 1e-30)
        worst = max(worst, float(off) if np.isfinite(off) else float("inf"))
    if worst > tolerance:
        raise AssertionError(f"{what}: off by {worst:.1e}, more than {tolerance:.0e}")
    return f"{what}: off by {worst:.0e} (limit {tolerance:.0e})"


def check_slope(what: str, loss: Callable, parameters: Any, gradient: Any) -> str:
    """Holds a gradient against the loss's slope along it, by forward mode: it is |gradient|²."""
    slope = jax.jit(lambda p, g: jax.jvp(loss, (p,), (g,))[1])(parameters, gradient)
    squares = [np.sum(np.square(np.asarray(g, np.float64))) for g in jax.tree.leaves(gradient)]
    return check_close(f"{what} against forward mode", slope, sum(squares), 1e-3)
