"""The rows of the paper's tables that belong to its rivals: which net, how it learns, what came.

A row's name is that of its task, a dot, its method and what tells it from others: `2a-4.rtrl-10`
is task 2a with delay p = 4, RTRL, learning rate 10. The task, its sequences, its stopping rule and
its tests are those of the LSTM's row; cascade correlation alone sees its training set in turn.

The paper gives no initial weights for its rivals. In task 1 they have the LSTM's range, 0.2; in 2a
and 2b 1.0, picked because RTRL at p = 4 and a = 1 never succeeded with 0.2 (BUILD_NOTES). Of a
range of rates that led nowhere they have the slowest, and Elman's net, for which there is no rate
at all, has 0.1. RTRL, the chunker and Elman's procedure make an update after every step, as their
authors do, BPTT one after every sequence. Cascade correlation has pools of 24 units and a patience
of 20 passes, picked because with 8 and 8 none of 30 trials succeeded. Guessed weights are from
[-100, 100].
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

import optax

from lstm_jax.baselines.any_task import BY_GRADIENT
from lstm_jax.baselines.cascade_correlation import CascadeCorrelation
from lstm_jax.baselines.chunker import Chunker
from lstm_jax.baselines.fully_recurrent import RecurrentNet
from lstm_jax.baselines.guessing import Guessing
from lstm_jax.tasks import Hyperparameters, Published, Task, make_task, noise_free, reber
from lstm_jax.training.trials.training_loop import TrainingLoop
from lstm_jax.training.update_rules.base import AnyModel, UpdateRule, Vmapped

_VARIANTS = {"2a": "noise-free", "2b": "random middle"}


def _sgd(task: Task) -> optax.GradientTransformation:
    return optax.sgd(task.hyperparameters.learning_rate)


def _chunker(task: Task) -> Chunker:
    hyperparameters = task.hyperparameters
    return Chunker(
        task.architecture.num_inputs, hyperparameters.learning_rate, hyperparameters.init_range
    )


# How a row's trials learn.
METHODS: dict[str, Callable[[Task], UpdateRule[AnyModel]]] = {
    "RTRL": lambda task: BY_GRADIENT["RTRL"](task, _sgd(task)),
    "BPTT": lambda task: BY_GRADIENT["BPTT"](task, _sgd(task)),
    "Elman's procedure": lambda task: BY_GRADIENT["Elman's procedure"](task, _sgd(task)),
    "cascade correlation": lambda task: task.architecture,
    "chunker": _chunker,
    "guessing": Guessing,
}


@dataclasses.dataclass(frozen=True)
class Row:
    """One rival's row: what it changes of an LSTM's, and how it learns."""

    task: Callable[[], Task]
    """Makes the LSTM's task."""
    method: str
    """A key of `METHODS`."""
    chunk: int
    """Training sequences between two words to the host."""
    changes: Mapping[str, object]
    """Fields of the task that are the rival's own: `title`, `architecture`, of the chunker the net
    that is judged, `hyperparameters` and `max_sequences`."""
    published: Published
    """The paper's numbers; the table is that of the LSTM's task."""


def _reber(
    method: str,
    net: RecurrentNet,
    rate: float,
    max_sequences: int,
    success_rate: float | None,
    mean_sequences: float | None,
) -> Row:
    """Task 1's (Table 1); the chunk is the interval between tests."""
    title = f"embedded Reber grammar, {net.num_hidden} hidden units, {method}, a = {rate:g}"
    changes = {
        "title": title,
        "architecture": net,
        "hyperparameters": Hyperparameters(rate, init_range=0.2),
        "max_sequences": max_sequences,
    }
    published = Published(success_rate=success_rate, mean_sequences=mean_sequences)
    return Row(lambda: make_task("1-1"), method, 500, changes, published)


def _cascade() -> Row:
    """Task 1's by a net that grows to nine hidden units (Table 1)."""
    net = CascadeCorrelation(
        7, 7, epoch=reber.SET_SIZE, max_units=9, num_candidates=24, patience=20, max_epochs=200
    )
    changes = {
        "title": "embedded Reber grammar, up to 9 hidden units, recurrent cascade correlation",
        "architecture": net,
        "hyperparameters": Hyperparameters(0.0, net.init_range),
        "max_sequences": 400_000,
        "training_set": reber.training_set,
    }
    published = Published(success_rate=50.0, mean_sequences=182_000)
    return Row(lambda: make_task("1-1"), "cascade correlation", 500, changes, published)


def _delayed(
    variant: str,
    method: str,
    delay: int,
    rate: float,
    success_rate: float,
    mean_sequences: float | None = None,
) -> Row:
    """Task 2a's or 2b's: one self-recurrent hidden unit, every layer sees all below (Table 2)."""
    further = method == "chunker"  # a further output predicts the other net's hidden unit
    changes = {
        "title": f"{_VARIANTS[variant]}, delay {delay}, {method}, a = {rate:g}",
        "architecture": RecurrentNet(delay + 1, 1, delay + 1 + further, "layered"),
        "hyperparameters": Hyperparameters(rate, init_range=1.0),
        "max_sequences": 5_000_000,
    }
    published = Published(success_rate=success_rate, mean_sequences=mean_sequences)
    chunk = 1000 if delay > 10 else 10_000  # a second or less for most
    return Row(lambda: noise_free.make(variant, delay), method, chunk, changes, published)


def _guessed(name: str) -> Row:
    """Task 3's, with a net of 8 weights; the chunk is the interval between tests."""
    net = RecurrentNet(1, 1, 1, "full", bias=True)
    changes = {
        "title": f"two-sequence problem {name}, guessing of {net.num_weights} weights",
        "architecture": net,
        "hyperparameters": Hyperparameters(0.0, init_range=100.0),
        "max_sequences": 1_000_000,
    }
    return Row(lambda: make_task(name), "guessing", 1000, changes, Published())


_ELMAN = "Elman's procedure"
ROWS = {
    "1.rtrl-3": _reber("RTRL", RecurrentNet(7, 3, 7, "full"), 0.05, 1_730_000, None, 173_000),
    "1.rtrl-12": _reber("RTRL", RecurrentNet(7, 12, 7, "full"), 0.1, 250_000, None, 25_000),
    "1.elman-15": _reber(_ELMAN, RecurrentNet(7, 15, 7, "simple"), 0.1, 200_000, 0.0, None),
    "1.rcc": _cascade(),
    "2a-4.rtrl-1": _delayed("2a", "RTRL", 4, 1.0, 78.0, 1_043_000),
    "2a-4.rtrl-4": _delayed("2a", "RTRL", 4, 4.0, 56.0, 892_000),
    "2a-4.rtrl-10": _delayed("2a", "RTRL", 4, 10.0, 22.0, 254_000),
    "2a-10.rtrl": _delayed("2a", "RTRL", 10, 1.0, 0.0),
    "2a-100.rtrl": _delayed("2a", "RTRL", 100, 1.0, 0.0),
    "2a-100.bptt": _delayed("2a", "BPTT", 100, 1.0, 0.0),
    "2a-100.chunker": _delayed("2a", "chunker", 100, 1.0, 33.0, 32_400),
    "2b-100.rtrl": _delayed("2b", "RTRL", 100, 1.0, 0.0),
    "2b-100.bptt": _delayed("2b", "BPTT", 100, 1.0, 0.0),
    "2b-100.chunker": _delayed("2b", "chunker", 100, 1.0, 0.0),
    "3a-100-3.guessing": _guessed("3a-100-3"),
    "3a-100-1.guessing": _guessed("3a-100-1"),
    "3c-100-3.guessing": _guessed("3c-100-3"),
}


def row_names() -> tuple[str, ...]:
    """The names of all rivals' rows, in the paper's order.

    >>> row_names()[:2]
    ('1.rtrl-3', '1.rtrl-12')
    """
    return tuple(ROWS)


def make_baseline_task(name: str) -> Task:
    """The task of a rival's row: the LSTM's, with the rival's net, conditions and numbers.

    >>> make_baseline_task("2a-100.bptt").architecture.num_weights
    10404

    Args:
      name: one of `row_names`.

    Raises:
      ValueError: if there is no such row.
    """
    row = _find(name)
    task = row.task()
    published = dataclasses.replace(row.published, table=task.published.table)
    fields = dict(row.changes) | {"sequential_construction": False}
    return dataclasses.replace(task, name=name, published=published, **fields)


def make_training_loop(name: str) -> TrainingLoop:
    """How the trials of a rival's row learn.

    >>> make_training_loop("2a-4.rtrl-10").task.hyperparameters.learning_rate
    10.0

    Args:
      name: one of `row_names`.

    Raises:
      ValueError: if there is no such row.
    """
    task, row = make_baseline_task(name), _find(name)
    return TrainingLoop(task, Vmapped(METHODS[row.method](task)), row.chunk)


def _find(name: str) -> Row:
    if name not in ROWS:
        raise ValueError(f"row must be one of {', '.join(ROWS)}, got {name!r}")
    return ROWS[name]
