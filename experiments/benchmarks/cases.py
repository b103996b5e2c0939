"""The benchmark's cases: titles, goals, and the settings of XLA's flags."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from experiments.benchmarks import big_nets, growth, long_sequences, online_training
from experiments.benchmarks.measure import BenchmarkPlan, Measurement
from lstm_jax.network.files import Document

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DEFAULT, SMALL_LOOPS, TWO_DEVICES = "default", "small loops", "small loops, 2 devices"
DEVICES = {TWO_DEVICES: 2}  # default: 1


class Case(NamedTuple):
    """One question that the benchmark answers."""

    title: str
    goal: str
    settings: tuple[str, ...]  # every contender runs under each
    run: Callable[[BenchmarkPlan], list[Measurement]]
    draw: Callable[[Sequence[Document]], Figure] | None = None


_CASES = (
    ("a", "online training, 6a, one trial", "20,000/s, 4x", SMALL_LOOPS, DEFAULT),
    ("b", "online training, 6a, 20 trials", "150,000/s, 3x", TWO_DEVICES, DEFAULT),
    ("c", "online training, 6a, 1,000 trials", "300,000/s", TWO_DEVICES),
    ("d", "gradient, T = 200, batch 32, 64 inputs, 256 cells", "60 ms", DEFAULT, SMALL_LOOPS),
    ("e", "gradient, T = 1,000, batch 16, 32 inputs, 128 cells", "70 ms", DEFAULT, SMALL_LOOPS),
    ("f", "endless stream, 64 cells, loss at all steps", "3x forward", SMALL_LOOPS, DEFAULT),
    ("g", "2c, p = 1,000 against p = 50", "1.3x", SMALL_LOOPS),
    ("h", "compilation of a gradient, T = 10 to 10,000", "constant, 2 s", SMALL_LOOPS),
    ("i", "gradient of the modern cell, sizes of d", "1.2x truncated, 0.95x full", DEFAULT),
    ("j", "gradient of the modern cell, sizes of e", "1.2x truncated, 0.95x full", DEFAULT),
    ("scaling", "6a on one device and on two", "1.9x", TWO_DEVICES),
    ("width", "6a, trials side by side on one device", "more per trial", SMALL_LOOPS, DEFAULT),
    ("growth", "time and memory against every size", "linear", DEFAULT),
)
_RUN = {name: partial(online_training.run, name) for name in "abc"}
_RUN |= {name: partial(big_nets.run, name) for name in "deij"}
_RUN |= {"f": long_sequences.run_stream, "h": long_sequences.run_compilation}
_RUN |= {"g": online_training.run_alphabets, "width": online_training.run_batch_sizes}
_RUN |= {"scaling": online_training.run_scaling, "growth": growth.run}

CASES = {
    name: Case(title, goal, tuple(settings), _RUN[name], growth.draw if name == "growth" else None)
    for name, title, goal, *settings in _CASES
}
SETTINGS = sorted({setting for case in CASES.values() for setting in case.settings})
