"""The baselines' rows of the paper's tables.

A row is named after its task, its algorithm and what distinguishes it from other rows:
`2a-4.rtrl-10` is task 2a with delay p = 4, RTRL, learning rate 10. Sequences, stopping rule and
tests are those of the LSTM's row; only cascade correlation goes through its training set in turn.

The paper prints no initial weights for its baselines. In task 1 they have the LSTM's range, 0.2; in
2a and 2b 1.0, as RTRL at p = 4 and a = 1 never succeeded with 0.2. Where the paper
names a range of learning rates without success, the row has the lowest; Elman's net, for which it
names none, has 0.1. RTRL, the chunker and Elman's procedure update after every step, as in their
sources, BPTT after every sequence. Cascade correlation has pools of 24 units and a patience of 20
passes, as none of 30 trials succeeded with 8 and 8. Guessed weights are from [-100, 100].
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

from lstm_jax.baselines.cascade_correlation import CascadeCorrelation
from lstm_jax.baselines.chunker import Chunker
from lstm_jax.baselines.fully_recurrent import RecurrentNet
from lstm_jax.baselines.gradient_descent import GRADIENTS, RecurrentUpdate
from lstm_jax.baselines.guessing import Guessing
from lstm_jax.network.optimisers import make_optimiser
from lstm_jax.tasks import Hyperparameters, Published, Task, make_task, noise_free, reber
from lstm_jax.training.trials.training_loop import TrainingLoop
from lstm_jax.training.update_rules.base import AnyModel, UpdateRule, Vmapped


def _by_gradient(method: str) -> Callable[[Task], RecurrentUpdate]:
    descent = lambda task: make_optimiser("sgd", task.hyperparameters.learning_rate)
    return lambda task: RecurrentUpdate(task, descent(task), GRADIENTS[method])


def _chunker(task: Task) -> Chunker:
    rate, init_range = task.hyperparameters.learning_rate, task.hyperparameters.init_range
    return Chunker(task.architecture.num_inputs, rate, init_range)


# The update rule of each method, from a row's task.
METHODS: dict[str, Callable[[Task], UpdateRule[AnyModel]]] = {
    **{method: _by_gradient(method) for method in GRADIENTS},
    "cascade correlation": lambda task: task.architecture,
    "chunker": _chunker,
    "guessing": Guessing,
}


class Row(NamedTuple):
    """A baseline's row: its method, and what differs from the LSTM's task."""

    method: str  # a key of `METHODS`
    lstm_task: Callable[[], Task]  # makes the LSTM's task
    title: str
    architecture: RecurrentNet | CascadeCorrelation
    hyperparameters: Hyperparameters
    max_sequences: int
    published: tuple[float | None, ...] = ()  # success rate, mean number of sequences
    chunk: int | None = None  # training sequences per chunk; None: the loop's default


def _reber(
    method: str, net: RecurrentNet, rate: float, max_sequences: int, *published: float | None
) -> Row:
    title = f"embedded Reber grammar, {net.num_hidden} hidden units, {method}, a = {rate:g}"
    hyperparameters = Hyperparameters(rate, init_range=0.2)
    return Row(
        method, lambda: make_task("1-1"), title, net, hyperparameters, max_sequences, published
    )


def _delayed(variant: str, method: str, delay: int, rate: float, *published: float | None) -> Row:
    """Return a row of task 2a or 2b (Table 2), with one self-recurrent hidden unit."""
    middle = {"2a": "noise-free", "2b": "random middle"}[variant]
    further = method == "chunker"  # an output that is trained to equal C's hidden unit
    return Row(
        method,
        lambda: noise_free.make(variant, delay),
        f"{middle}, delay {delay}, {method}, a = {rate:g}",
        RecurrentNet(delay + 1, 1, delay + 1 + further, "layered"),
        Hyperparameters(rate, init_range=1.0),
        5_000_000,
        published,
        chunk=None if delay > 10 else 10_000,  # a second or less for most
    )


def _guessed(name: str) -> Row:
    net = RecurrentNet(1, 1, 1, "full", bias=True)
    title = f"two-sequence problem {name}, guessing of {net.num_weights} weights"
    hyperparameters = Hyperparameters(0.0, init_range=100.0)
    return Row("guessing", lambda: make_task(name), title, net, hyperparameters, 1_000_000)


_CASCADE = CascadeCorrelation(
    7, 7, epoch=reber.SET_SIZE, max_units=9, num_candidates=24, patience=20, max_epochs=200
)
_ELMAN = "Elman's procedure"
ROWS = {
    "1.rtrl-3": _reber("RTRL", RecurrentNet(7, 3, 7, "full"), 0.05, 1_730_000, None, 173_000),
    "1.rtrl-12": _reber("RTRL", RecurrentNet(7, 12, 7, "full"), 0.1, 250_000, None, 25_000),
    "1.elman-15": _reber(_ELMAN, RecurrentNet(7, 15, 7, "simple"), 0.1, 200_000, 0.0, None),
    "1.rcc": Row(
        "cascade correlation",
        lambda: dataclasses.replace(make_task("1-1"), training_set=reber.training_set),
        "embedded Reber grammar, up to 9 hidden units, recurrent cascade correlation",
        _CASCADE,
        Hyperparameters(0.0, _CASCADE.init_range),
        400_000,
        (50.0, 182_000),
    ),
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
    """Return the names of the baselines' rows, in the paper's order.

    >>> row_names()[:2]
    ('1.rtrl-3', '1.rtrl-12')
    """
    return tuple(ROWS)


def make_baseline_task(name: str) -> Task:
    """Return the task of a baseline's row, with the baseline's network and hyperparameters.

    >>> make_baseline_task("2a-100.bptt").architecture.num_weights
    10404

    Args:
      name: one of `row_names`.

    Raises:
      ValueError: if `name` is not a row of a baseline.
    """
    if name not in ROWS:
        raise ValueError(f"row must be one of {', '.join(ROWS)}, got {name!r}")
    row = ROWS[name]
    task = row.lstm_task()
    return dataclasses.replace(
        task,
        name=name,
        title=row.title,
        architecture=row.architecture,
        hyperparameters=row.hyperparameters,
        max_sequences=row.max_sequences,
        published=Published(task.published.table, *row.published),
        sequential_construction=False,
    )


def make_training_loop(name: str) -> TrainingLoop:
    """Return the training loop of a baseline's row.

    >>> make_training_loop("2a-4.rtrl-10").task.hyperparameters.learning_rate
    10.0

    Args:
      name: one of `row_names`.

    Raises:
      ValueError: if `name` is not a row of a baseline.
    """
    task, row = make_baseline_task(name), ROWS[name]
    chunk = {} if row.chunk is None else {"chunk": row.chunk}
    return TrainingLoop(task, Vmapped(METHODS[row.method](task)), **chunk)
