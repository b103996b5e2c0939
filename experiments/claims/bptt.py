"""Recurrent nets that learn a task of the LSTM's by backpropagation through time."""

from __future__ import annotations

import dataclasses

import optax

from lstm_jax.baselines.fully_recurrent import RecurrentNet, bptt_gradient
from lstm_jax.baselines.update_rules import RecurrentPerSequence
from lstm_jax.tasks import Hyperparameters, Task
from lstm_jax.training.trials.training_loop import TrainingLoop
from lstm_jax.training.update_rules.base import Vmapped


def by_bptt(
    task: Task,
    net: RecurrentNet,
    hyperparameters: Hyperparameters,
    optimiser: optax.GradientTransformation,
) -> TrainingLoop:
    """The task learned by BPTT through a recurrent net."""
    task = dataclasses.replace(task, architecture=net, hyperparameters=hyperparameters)
    return TrainingLoop(task, Vmapped(RecurrentPerSequence(task, optimiser, bptt_gradient)))


def by_adam(task: Task, net: RecurrentNet, rate: float) -> TrainingLoop:
    """The same with Adam, from weights in [-1, 1]."""
    return by_bptt(task, net, Hyperparameters(rate, init_range=1.0), optax.adam(rate))
