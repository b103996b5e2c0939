"""Recurrent nets on any task, with the LSTM's sequences, criterion, stopping rule and tests."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Literal, get_args

import optax

from lstm_jax.baselines.elman import ELMAN
from lstm_jax.baselines.fully_recurrent import Connections, RecurrentNet, bptt_gradient
from lstm_jax.baselines.rtrl import RTRL
from lstm_jax.baselines.update_rules import RecurrentPerSequence, RecurrentPerStep
from lstm_jax.cell.validation import check_choice, check_type
from lstm_jax.tasks.hyperparameters import Hyperparameters
from lstm_jax.tasks.task import Published, Task
from lstm_jax.training.trials.training_loop import TrainingLoop
from lstm_jax.training.update_rules.base import Vmapped

BaselineMethod = Literal["BPTT", "RTRL", "Elman's procedure"]

# (task, optimiser, tolerance=) -> the update rule.
BY_GRADIENT: dict[str, Callable[..., RecurrentPerSequence | RecurrentPerStep]] = {
    "BPTT": functools.partial(RecurrentPerSequence, gradient=bptt_gradient),
    "RTRL": functools.partial(RecurrentPerStep, gradient=RTRL),
    "Elman's procedure": functools.partial(RecurrentPerStep, gradient=ELMAN),
}
_SUFFIXES = {"BPTT": "bptt", "RTRL": "rtrl", "Elman's procedure": "elman"}


def training_loop(
    task: Task,
    method: BaselineMethod = "BPTT",
    *,
    num_hidden: int = 4,
    connections: Connections = "simple",
    bias: bool = True,
    learning_rate: float | None = None,
    init_range: float | None = None,
    optimiser: optax.GradientTransformation | None = None,
    tolerance: float = 0.0,
) -> TrainingLoop:
    """Return the training loop of a recurrent net without memory cells, for `TrialRunner`.

    >>> from lstm_jax.tasks import make_task
    >>> loop = training_loop(make_task("6a"), "RTRL", num_hidden=10, learning_rate=0.5)
    >>> loop.task.name, loop.task.architecture.num_weights
    ('6a.rtrl', 230)

    Args:
      task: the LSTM's task, with targets in [0, 1].
      method: "BPTT", the exact gradient with one update per sequence; "RTRL", the same gradient
        forward in time, or "Elman's procedure", through one step, with one update per step.
      num_hidden: the number of recurrent units that are not outputs, at least 1; at least 0 if
        `connections` is "full".
      connections: where the outputs are; see `lstm_jax.baselines.fully_recurrent`.
      bias: whether units that see the inputs have a bias; the paper's baselines have none.
      learning_rate: of gradient descent, not negative; None: the task's.
      init_range: weights are uniform in [-init_range, init_range]; None: the task's.
      optimiser: any optax transformation in place of gradient descent.
      tolerance: the distance within which an output counts as equal to its target.

    Returns:
      The loop; its task is named after the method, such as "own.bptt".

    Raises:
      ValueError: if a number is out of its range, a choice is unknown, `learning_rate` and
        `optimiser` are both given, or the task's output units are not logistic.
    """
    check_type("task", task, Task)
    check_choice("method", method, get_args(BaselineMethod))
    if optimiser is not None and learning_rate is not None:
        raise ValueError(f"give learning_rate or optimiser, not both, got {learning_rate!r}")
    output = getattr(task.architecture, "output", "logistic")
    if output != "logistic":
        raise ValueError(f"output units must be logistic, but those of the task are {output}")
    if learning_rate is None:
        learning_rate = task.hyperparameters.learning_rate
    if init_range is None:
        init_range = task.hyperparameters.init_range
    inputs, outputs = task.architecture.num_inputs, task.architecture.num_outputs
    baseline = dataclasses.replace(
        task,
        name=f"{task.name}.{_SUFFIXES[method]}",
        title=f"{task.title}, {method}",
        architecture=RecurrentNet(inputs, num_hidden, outputs, connections, bias=bias),
        hyperparameters=Hyperparameters(learning_rate, init_range),
        published=Published(),
        sequential_construction=False,
    )
    descent = optax.sgd(learning_rate) if optimiser is None else optimiser
    rule = BY_GRADIENT[method](baseline, descent, tolerance=tolerance)
    return TrainingLoop(baseline, Vmapped(rule))
