"""Measurements: the median time of several runs, after compilation and a run to warm up."""

from __future__ import annotations

import dataclasses
import statistics
import sys
import time
from collections.abc import Callable

import jax
import numpy as np

from lstm_jax.network.files import Document

OURS = "lstm_jax"


@dataclasses.dataclass
class Measurement:
    """The times and memory of one contender of a case."""

    contender: str
    unit: str  # of `work`, such as "sequences"
    work: float  # per run
    run_seconds: float  # median
    check: str  # which answer was checked against which, and the difference
    compile_seconds: float | None = None  # None if nothing is compiled
    temporary_bytes: int | None = None  # according to XLA; None if not an XLA program
    setting: str = ""  # of XLA's flags
    notes: Document = dataclasses.field(default_factory=dict)

    @property
    def rate(self) -> float:
        """Units of work per second."""
        return self.work / self.run_seconds

    def to_json(self) -> Document:
        """Return all fields and the rate."""
        return {**dataclasses.asdict(self), "rate": self.rate}


@dataclasses.dataclass(frozen=True)
class BenchmarkPlan:
    """Options of a benchmark, and the measurements under them."""

    repeats: int = 10  # timed runs, after one to warm up
    quick: bool = False  # small sizes, to exercise everything in seconds
    with_torch: bool = True  # XLA's flags do not affect PyTorch
    setting: str = ""  # of XLA's flags

    def size(self, full: int, quick: int) -> int:
        """Return one of two sizes."""
        return quick if self.quick else full

    def measure(
        self,
        contender: str,
        function: Callable,
        *arguments: object,
        check: str,
        work: float = 1,
        unit: str = "gradients",
        jit: bool = True,
    ) -> Measurement:
        """Time a function, compiled if `jit`, including the wait for the arrays that it returns."""
        function, costs = compile_for(function, *arguments) if jit else (function, {})
        jax.block_until_ready(function(*arguments))
        seconds = []
        for _ in range(self.repeats):
            started = time.perf_counter()
            jax.block_until_ready(function(*arguments))
            seconds.append(time.perf_counter() - started)
        median = statistics.median(seconds)
        print(f"  {contender}: {median * 1e3:,.3f} ms", file=sys.stderr, flush=True)
        return Measurement(contender, unit, work, median, check, setting=self.setting, **costs)


def compile_for(function: Callable, *arguments: object) -> tuple[Callable, Document]:
    """Compile a function for its arguments; return it with `compile_seconds`, `temporary_bytes`."""
    lowered = jax.jit(function).lower(*arguments)
    started = time.perf_counter()
    compiled = lowered.compile()
    seconds, memory = time.perf_counter() - started, compiled.memory_analysis()
    size = None if memory is None else int(memory.temp_size_in_bytes)
    return compiled, {"compile_seconds": seconds, "temporary_bytes": size}


def check_close(what: str, actual: object, expected: object, tolerance: float) -> str:
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


def check_gradient(loss: Callable, parameters: object) -> str:
    """Check a loss's gradient g against its derivative along g in forward mode, |g|²."""
    gradient = jax.jit(jax.grad(loss))(parameters)
    derivative = jax.jit(lambda p, g: jax.jvp(loss, (p,), (g,))[1])(parameters, gradient)
    squares = [np.sum(np.square(np.asarray(g, np.float64))) for g in jax.tree.leaves(gradient)]
    return check_close("gradient against forward mode", derivative, sum(squares), 1e-3)
