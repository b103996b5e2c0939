"""Selection of the LSTM's update rule by a task's hyperparameters."""

from __future__ import annotations

from lstm_jax.cell.architecture import Architecture
from lstm_jax.tasks.task import Task
from lstm_jax.training.update_rules.base import AnyModel, BatchUpdateRule, Vmapped
from lstm_jax.training.update_rules.per_sequence import PerSequenceUpdate
from lstm_jax.training.update_rules.per_step import PerStepUpdate


def make_update_rule(task: Task) -> BatchUpdateRule[AnyModel]:
    """Make the LSTM's update rule for a task.

    >>> from lstm_jax.tasks import make_task
    >>> type(make_update_rule(make_task("6a"))).__name__
    'PerSequenceUpdate'

    Raises:
      ValueError: if the task's architecture is not an LSTM's, or its hyperparameters contradict
        each other.
    """
    if not isinstance(task.architecture, Architecture):
        name = type(task.architecture).__name__
        raise ValueError(f"update_rule must be given for a task whose architecture is a {name}")
    if task.hyperparameters.update_after != "step":
        return PerSequenceUpdate(task)
    if task.hyperparameters.gradient != "truncated":
        raise ValueError('update_after="step" needs gradient="truncated"')
    return Vmapped(PerStepUpdate(task))
