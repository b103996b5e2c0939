"""The compiled programs of runners, which runners of equal training loops share."""

from __future__ import annotations

import dataclasses
import functools

import jax

from lstm_jax.tasks.checks import check_functions, check_values
from lstm_jax.tasks.hyperparameters import TrialHyperparameters
from lstm_jax.tasks.task import Task
from lstm_jax.training.host.devices import Program
from lstm_jax.training.trials import records
from lstm_jax.training.trials.training_loop import TrainingLoop
from lstm_jax.training.update_rules.base import FROM_TASK
from lstm_jax.training.update_rules.per_sequence import PerSequenceUpdate
from lstm_jax.training.update_rules.per_step import PerStepUpdate
from lstm_jax.training.update_rules.random_search import RandomSearchUpdate

# The update rules that read their `TrialHyperparameters` where trials start, and nowhere else.
# A class of a user that inherits from one of them may read them in a step.
TAKE_ARGUMENTS = (PerSequenceUpdate, PerStepUpdate, RandomSearchUpdate)
# The loops whose programs stay in memory, those used last.
MAX_LOOPS = 16


class Programs:
    """The compiled programs of a training loop, for batches of one size."""

    def __init__(self, loop: TrainingLoop) -> None:
        check_functions(loop.task)
        check_values(loop.task)
        loop.check_update_rule()
        self.init = Program(lambda *args: records.init_train_state(loop.init_trials(*args)))
        self.run_chunk = Program(loop.run_chunk)
        # Separate, so that it cannot change how the chunk is compiled.
        self.update_best = Program(records.update_best)
        self.final_test = Program(loop.final_test)


def programs_of(loop: TrainingLoop, batch_size: int) -> Programs:
    """Return the programs of a loop; equal loops share them under equal settings of JAX.

    So do loops that differ in the `arguments_of` their trials alone.
    """
    rule = _rule_with_arguments(loop)
    if rule is not None:
        loop = _without_arguments(loop, rule)
    try:
        hash(loop)
    except TypeError:  # a user's function or update rule that is not hashable
        return Programs(loop)
    return _shared_programs(loop, batch_size, _settings())


def arguments_of(loop: TrainingLoop) -> tuple[TrialHyperparameters, ...]:
    """Return the further arguments of the programs' `init`: of the LSTM, its initial values."""
    rule = _rule_with_arguments(loop)
    return () if rule is None else (rule.task.hyperparameters.of_trial(),)


def _rule_with_arguments(loop: TrainingLoop) -> PerSequenceUpdate | None:
    rule = loop.update_rule
    is_known = type(loop) is TrainingLoop and type(rule) in TAKE_ARGUMENTS
    return rule if is_known and isinstance(rule, PerSequenceUpdate) else None


def _without_arguments(loop: TrainingLoop, rule: PerSequenceUpdate) -> TrainingLoop:
    """Return the same loop for all values of its programs' arguments."""
    optimiser = FROM_TASK if rule.has_task_optimiser else rule.optimiser
    rule = dataclasses.replace(rule, task=_without_values(rule.task), optimiser=optimiser)
    return dataclasses.replace(loop, task=_without_values(loop.task), update_rule=rule)


def _without_values(task: Task) -> Task:
    return dataclasses.replace(task, hyperparameters=task.hyperparameters.without_values())


@functools.lru_cache(maxsize=MAX_LOOPS)
def _shared_programs(loop: TrainingLoop, batch_size: int, settings: tuple) -> Programs:
    del batch_size, settings
    return Programs(loop)


forget_programs = _shared_programs.cache_clear


def _settings() -> tuple:
    """Return all settings of JAX, some of which change how a function is traced or compiled."""
    return tuple(getattr(jax.config, name, None) for name in jax.config.values)
