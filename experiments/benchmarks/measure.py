"""Measurements: compile first, warm up, wait for the result, take the median of the runs."""

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
class BenchmarkPlan:
    """Options of a benchmark.

    Attributes:
      repeats: number of timed runs, after one to warm up.
      quick: whether to use small sizes, to exercise everything in seconds.
      with_torch: whether to measure PyTorch too, which XLA's flags do not affect.
    """

    repeats: int = 10
    quick: bool = False
    with_torch: bool = True

    def size(self, full: int, quick: int) -> int:
        """Return one of two sizes."""
        return quick if self.quick else full


@dataclasses.dataclass
class Measurement:
    """The times and memory of one contender of a case."""

    contender: str
    unit: str  # of `work`, such as "sequences"
    work: float  # per run
    run_seconds: float  # median
    fastest_seconds: float
    check: str  # which answer was checked against which, and the difference
    compile_seconds: float | None = None  # None if nothing is compiled
    temporary_bytes: int | None = None  # according to XLA; None if not an XLA program
    cpu_seconds: float | None = None  # of all threads, median; steadier on a busy machine
    peak_bytes: int | None = None  # resident memory of the process
    setting: str = ""  # of XLA's flags, set by `experiments.benchmark`
    notes: Document = dataclasses.field(default_factory=dict)

    @property
    def rate(self) -> float:
        """Units of work per second."""
        return self.work / self.run_seconds

    def to_json(self) -> Document:
        """Return all fields and the rate."""
        return {**dataclasses.asdict(self), "rate": self.rate}

    @classmethod
    def from_json(cls, document: Document) -> Measurement:
        """Invert `to_json`."""
        names = {field.name for field in dataclasses.fields(cls)}
        return cls(**{name: value for name, value in document.items() if name in names})


def measure_jax(
    plan: BenchmarkPlan,
    contender: str,
    function: Callable,
    *arguments: Any,
    work: float,
    unit: str,
    check: str,
) -> Measurement:
    """Compile a pure function for its arguments, then time it."""
    started = time.perf_counter()
    compiled = jax.jit(function).lower(*arguments).compile()
    compile_seconds = time.perf_counter() - started
    call = lambda: compiled(*arguments)
    measurement = measure_call(plan, contender, call, work=work, unit=unit, check=check)
    measurement.compile_seconds = compile_seconds
    measurement.temporary_bytes = temporary_bytes(compiled)
    return measurement


def measure_call(
    plan: BenchmarkPlan,
    contender: str,
    call: Callable[[], Any],
    *,
    work: float,
    unit: str,
    check: str,
) -> Measurement:
    """Time `call`, including the wait for the arrays that it returns."""
    _reset_peak()
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
        peak_bytes=_peak_bytes(),
    )


def temporary_bytes(compiled: jax.stages.Compiled) -> int | None:
    """Return the temporary memory of a compiled program, if the backend reports it."""
    analysis = compiled.memory_analysis()
    return None if analysis is None else int(analysis.temp_size_in_bytes)


def _reset_peak() -> None:
    """Reset the process's peak of resident memory, where Linux allows it."""
    with contextlib.suppress(OSError):
        pathlib.Path("/proc/self/clear_refs").write_text("5")


def _peak_bytes() -> int:
    """Return the peak of resident memory since `_reset_peak`, or since the start of the process."""
    status = pathlib.Path("/proc/self/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def check_close(what: str, actual: Any, expected: Any, tolerance: float) -> str:
    """Describe the difference of two trees, relative to the largest entry of each array.

    Raises:
      AssertionError: if it exceeds `tolerance`. No time is reported for a wrong answer.
    """
    worst = 0.0
    for x, y in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
        x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
        off = np.abs(x - y).max(initial=0) / max(np.abs(y).max(initial=0), 1e-30)
        worst = max(worst, float(off) if np.isfinite(off) else float("inf"))
    if worst > tolerance:
        raise AssertionError(f"{what}: off by {worst:.1e}, more than {tolerance:.0e}")
    return f"{what}: off by {worst:.0e} (limit {tolerance:.0e})"


def check_gradient(what: str, loss: Callable, parameters: Any, gradient: Any) -> str:
    """Check a gradient against the loss's derivative along it in forward mode, |gradient|²."""
    derivative = jax.jit(lambda p, g: jax.jvp(loss, (p,), (g,))[1])(parameters, gradient)
    squares = [np.sum(np.square(np.asarray(g, np.float64))) for g in jax.tree.leaves(gradient)]
    return check_close(f"{what} against forward mode", derivative, sum(squares), 1e-3)
