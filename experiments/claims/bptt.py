"""Recurrent nets that learn a task of the LSTM's by backpropagation through time."""

from __future__ import annotations

import dataclasses

import optax

from lstm_jax.baselines.fully_recurrent import RecurrentNet, bptt_gradient
from lstm_jax.baselines.update_rules import BySequence
from lstm_jax.tasks import Conditions, Task
from lstm_jax.training.trials.training_loop import Learning
from lstm_jax.training.update_rules.base import Lanes
from lstm_jax.training.recipes.recipe import chunk_of


def by_bptt(
    task: Task, net: RecurrentNet, conditions: Conditions, optimiser: optax.GradientTransformation
) -> Learning:
    """The task learned by BPTT through a recurrent net."""
    task = dataclasses.replace(task, architecture=net, conditions=conditions)
    return Learning(task, Lanes(BySequence(task, optimiser, bptt_gradient)), chunk_of(task))


def by_adam(task: Task, net: RecurrentNet, rate: float) -> Learning:
    """The same with Adam, from weights in [-1, 1]."""
    return by_bptt(task, net, Conditions(rate, init_range=1.0), optax.adam(rate))
