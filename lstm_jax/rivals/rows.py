"""The rows of the paper's tables that belong to its rivals: which net, how it learns, what came.

A row's name is that of its task, a dot, its method and what tells it from others: `2a-4.rtrl-10`
is task 2a with delay p = 4, RTRL, learning rate 10. The task, its sequences, its stopping rule and
its tests are those of the LSTM's row.

The paper gives no initial weights for its rivals. In task 1 they have the LSTM's range, 0.2; in 2a
1.0, picked because RTRL at p = 4 and a = 1 never succeeded with 0.2 (BUILD_NOTES). Of a range of
rates that led nowhere they have the slowest, and Elman's net, for which there is no rate at all,
has 0.1. RTRL and Elman's procedure make an update after every step, as their authors do, BPTT one
after every sequence.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import optax

from lstm_jax.method import Lanes, TrialMethod
from lstm_jax.rivals.elman import ELMAN
from lstm_jax.rivals.fully_recurrent import RecurrentNet, bptt_gradient
from lstm_jax.rivals.learning import BySequence, ByStep
from lstm_jax.rivals.rtrl import RTRL
from lstm_jax.tasks import Conditions, Published, Task, make_task, noise_free
from lstm_jax.training import Learning


def _sgd(task: Task) -> optax.GradientTransformation:
    return optax.sgd(task.conditions.learning_rate)


# How a row's trials learn.
METHODS: dict[str, Callable[[Task], TrialMethod]] = {
    "RTRL": lambda task: ByStep(task, _sgd(task), RTRL),
    "BPTT": lambda task: BySequence(task, _sgd(task), bptt_gradient),
    "Elman's procedure": lambda task: ByStep(task, _sgd(task), ELMAN),
}


@dataclasses.dataclass(frozen=True)
class Row:
    """One rival's row.

    Attributes:
      task: makes the LSTM's task.
      title: a few words for tables and pictures.
      method: a key of `METHODS`.
      net: the rival's.
      learning_rate: a.
      init_range: weights are uniform in [-init_range, init_range].
      max_sequences: a trial's budget.
      success_rate: published, in percent; None where the paper says "some fraction".
      mean_sequences: published; None where nothing was learned.
      chunk: training sequences between two words to the host.
    """

    task: Callable[[], Task]
    title: str
    method: str
    net: RecurrentNet
    learning_rate: float
    init_range: float
    max_sequences: int
    success_rate: float | None
    mean_sequences: float | None
    chunk: int


def _delayed(
    method: str, delay: int, rate: float, success_rate: float, mean_sequences: float | None = None
) -> Row:
    """Task 2a's: one self-recurrent hidden unit, every layer sees all layers below (Table 2)."""
    return Row(
        task=lambda: noise_free.make("2a", delay),
        title=f"noise-free, delay {delay}, {method}, a = {rate:g}",
        method=method,
        net=RecurrentNet(delay + 1, 1, delay + 1, "layered"),
        learning_rate=rate,
        init_range=1.0,
        max_sequences=5_000_000,
        success_rate=success_rate,
        mean_sequences=mean_sequences,
        chunk=1000 if delay > 10 else 10_000,  # a second or less for most
    )


def _reber(
    method: str,
    net: RecurrentNet,
    rate: float,
    max_sequences: int,
    success_rate: float | None,
    mean_sequences: float | None,
) -> Row:
    """Task 1's (Table 1); the chunk is the interval between tests."""
    return Row(
        task=lambda: make_task("1-1"),
        title=f"embedded Reber grammar, {net.num_hidden} hidden units, {method}, a = {rate:g}",
        method=method,
        net=net,
        learning_rate=rate,
        init_range=0.2,
        max_sequences=max_sequences,
        success_rate=success_rate,
        mean_sequences=mean_sequences,
        chunk=500,
    )


_ELMAN = "Elman's procedure"
ROWS = {
    "1.rtrl-3": _reber("RTRL", RecurrentNet(7, 3, 7, "full"), 0.05, 1_730_000, None, 173_000),
    "1.rtrl-12": _reber("RTRL", RecurrentNet(7, 12, 7, "full"), 0.1, 250_000, None, 25_000),
    "1.elman-15": _reber(_ELMAN, RecurrentNet(7, 15, 7, "simple"), 0.1, 200_000, 0.0, None),
    "2a-4.rtrl-1": _delayed("RTRL", 4, 1.0, 78.0, 1_043_000),
    "2a-4.rtrl-4": _delayed("RTRL", 4, 4.0, 56.0, 892_000),
    "2a-4.rtrl-10": _delayed("RTRL", 4, 10.0, 22.0, 254_000),
    "2a-10.rtrl": _delayed("RTRL", 10, 1.0, 0.0),
    "2a-100.rtrl": _delayed("RTRL", 100, 1.0, 0.0),
    "2a-100.bptt": _delayed("BPTT", 100, 1.0, 0.0),
}


def row_names() -> tuple[str, ...]:
    """The names of all rivals' rows, in the paper's order."""
    return tuple(ROWS)


def make_rival_task(name: str) -> Task:
    """The task of a rival's row: the LSTM's, with the rival's net, conditions and numbers.

    >>> make_rival_task("2a-100.bptt").architecture.num_weights
    10404

    Raises:
      ValueError: if there is no such row.
    """
    row = _find(name)
    task = row.task()
    return dataclasses.replace(
        task,
        name=name,
        title=row.title,
        architecture=row.net,
        conditions=Conditions(row.learning_rate, row.init_range),
        max_sequences=row.max_sequences,
        published=Published(task.published.table, row.success_rate, row.mean_sequences),
        sequential_construction=False,
    )


def make_learning(name: str) -> Learning:
    """How the trials of a rival's row learn.

    >>> make_learning("2a-4.rtrl-10").task.conditions.learning_rate
    10.0

    Raises:
      ValueError: if there is no such row.
    """
    task, row = make_rival_task(name), _find(name)
    return Learning(task, Lanes(METHODS[row.method](task)), row.chunk)


def _find(name: str) -> Row:
    if name not in ROWS:
        raise ValueError(f"row must be one of {', '.join(ROWS)}, got {name!r}")
    return ROWS[name]
