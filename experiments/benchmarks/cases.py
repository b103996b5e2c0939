"""The benchmark's cases: what each measures, its goal, and under which settings of XLA."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from experiments.benchmarks import (
    big_nets,
    growth,
    long_sequences,
    online_training,
    scaling,
)
from experiments.benchmarks.measure import Measurement, Plan

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DEFAULT, SMALL_LOOPS, TWO_DEVICES = "default", "small loops", "small loops, 2 devices"
MANY_DEVICES = "small loops, 64 devices"
DEVICES = {TWO_DEVICES: 2, MANY_DEVICES: 64}  # where not 1


class Case(NamedTuple):
    """One question that the benchmark answers."""

    title: str
    goal: str
    settings: tuple[str, ...]  # of XLA; all contenders run under each
    run: Callable[[Plan], list[Measurement]]
    draw: Callable[[Sequence[Measurement]], Figure] | None = None


CASES = {
    "a": Case(
        "online training, 6a, one trial",
        "20,000/s, 4x",
        (SMALL_LOOPS, DEFAULT),
        partial(online_training.run, "a"),
    ),
    "b": Case(
        "online training, 6a, 20 trials",
        "150,000/s, 3x",
        (TWO_DEVICES, DEFAULT),
        partial(online_training.run, "b"),
    ),
    "c": Case(
        "online training, 6a, 1,000 trials",
        "300,000/s",
        (TWO_DEVICES,),
        partial(online_training.run, "c"),
    ),
    "d": Case(
        "gradient, T = 200, batch 32, 64 inputs, 256 cells",
        "60 ms",
        (DEFAULT, SMALL_LOOPS),
        partial(big_nets.run, "d"),
    ),
    "e": Case(
        "gradient, T = 1,000, batch 16, 32 inputs, 128 cells",
        "70 ms",
        (DEFAULT, SMALL_LOOPS),
        partial(big_nets.run, "e"),
    ),
    "f": Case(
        "endless stream, 64 cells, errors at all steps",
        "3x forward",
        (SMALL_LOOPS, DEFAULT),
        long_sequences.run_stream,
    ),
    "g": Case(
        "2c, p = 1,000 against p = 50",
        "1.3x",
        (SMALL_LOOPS,),
        online_training.run_alphabets,
    ),
    "h": Case(
        "compilation of a gradient, T = 10 to 10,000",
        "constant, 2 s",
        (SMALL_LOOPS,),
        long_sequences.run_compilation,
    ),
    "i": Case(
        "gradient of the modern cell, sizes of d",
        "1.2x truncated, 0.95x full",
        (DEFAULT,),
        partial(big_nets.run_modern, "d"),
    ),
    "j": Case(
        "gradient of the modern cell, sizes of e",
        "1.2x truncated, 0.95x full",
        (DEFAULT,),
        partial(big_nets.run_modern, "e"),
    ),
    "scaling": Case(
        "6a on 2 devices, and on up to 64",
        "1.9x on 2",
        (TWO_DEVICES, MANY_DEVICES),
        scaling.run,
    ),
    "width": Case(
        "online training, 6a, trials side by side on one device",
        "more with every trial",
        (SMALL_LOOPS, DEFAULT),
        online_training.run_widths,
    ),
    "growth": Case(
        "time and memory against every size", "straight lines", (DEFAULT,), growth.run, growth.draw
    ),
}
SETTINGS = sorted({setting for case in CASES.values() for setting in case.settings})
