"""A rival on a task of your own: the same trial loop, criterion and tests as for the LSTM."""

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
from lstm_jax.tasks.task import Published, Task, TestRule
from lstm_jax.training.trials.training_loop import TrainingLoop
from lstm_jax.training.update_rules.base import Vmapped

BaselineMethod = Literal["BPTT", "RTRL", "Elman's procedure"]

# How recurrent nets learn, from the task and the optimiser.
BY_GRADIENT: dict[str, Callable[..., RecurrentPerSequence | RecurrentPerStep]] = {
    "BPTT": functools.partial(RecurrentPerSequence, gradient=bptt_gradient),
    "RTRL": functools.partial(RecurrentPerStep, rule=RTRL),
    "Elman's procedure": functools.partial(RecurrentPerStep, rule=ELMAN),
}
_WORDS = {"BPTT": "bptt", "RTRL": "rtrl", "Elman's procedure": "elman"}  # in names

CHUNK = 1000  # training sequences between two words to the host, where the rule does not say


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
    """How a recurrent net without memory cells learns a task; `TrialRunner` runs its trials.

    The sequences, the criterion, the stopping rule and the tests are those of the task; only the
    net and the way it learns are the rival's.

    >>> from lstm_jax.tasks import make_task
    >>> loop = training_loop(make_task("6a"), "RTRL", num_hidden=10, learning_rate=0.5)
    >>> loop.task.name, loop.task.architecture.num_weights
    ('6a.rtrl', 230)

    Args:
      task: what the LSTM learns, its targets in [0, 1].
      method: "BPTT", the exact gradient and one update a sequence; "RTRL", the same forward in
        time, and "Elman's procedure", through one step alone, with an update after every step.
      num_hidden: recurrent units that are no outputs, at least 1; 0 will do if "full".
      connections: where the outputs are, see `lstm_jax.baselines.fully_recurrent`.
      bias: whether all units that see the inputs have a bias; the paper's rivals have none.
      learning_rate: of gradient descent, not negative; None: the task's.
      init_range: weights are uniform in [-init_range, init_range]; None: the task's.
      optimiser: any optax transformation instead of gradient descent.
      tolerance: an output as near to its target has no error; 0.0: every one has.

    Returns:
      What a `TrialRunner` takes; its `task` is called by the method, such as "own.bptt".

    Raises:
      ValueError: if a number is out of its range, the method is unknown, both a rate and an
        optimiser are given, or the task's output units are not logistic, as those of the nets are.
    """
    check_type("task", task, Task)
    check_choice("method", method, get_args(BaselineMethod))
    if optimiser is not None and learning_rate is not None:
        raise ValueError(f"give learning_rate or optimiser, not both, got {learning_rate!r}")
    output = getattr(task.architecture, "output", "logistic")
    if output != "logistic":
        raise ValueError(f"a rival's output units are logistic, but those of the task are {output}")
    net = RecurrentNet(
        task.architecture.num_inputs,
        num_hidden,
        task.architecture.num_outputs,
        connections,
        bias=bias,
    )
    hyperparameters = Hyperparameters(
        task.hyperparameters.learning_rate if learning_rate is None else learning_rate,
        task.hyperparameters.init_range if init_range is None else init_range,
    )
    baseline = _task_of(task, method, net, hyperparameters)
    descent = optax.sgd(hyperparameters.learning_rate) if optimiser is None else optimiser
    learner = BY_GRADIENT[method](baseline, descent, tolerance=tolerance)
    chunk = task.rule.interval if isinstance(task.rule, TestRule) else CHUNK
    return TrainingLoop(baseline, Vmapped(learner), chunk)


def _task_of(task: Task, method: str, net: RecurrentNet, hyperparameters: Hyperparameters) -> Task:
    """The LSTM's task with another net; no number is published of it."""
    return dataclasses.replace(
        task,
        name=f"{task.name}.{_WORDS[method]}",
        title=f"{task.title}, {method}",
        architecture=net,
        hyperparameters=hyperparameters,
        published=Published(),
        sequential_construction=False,
    )
