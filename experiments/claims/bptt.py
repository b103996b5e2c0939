"""Recurrent nets trained by backpropagation through time on a task of the LSTM."""

from __future__ import annotations

import dataclasses

import optax

from lstm_jax.baselines.fully_recurrent import RecurrentNet, bptt_gradient
from lstm_jax.baselines.update_rules import RecurrentUpdate
from lstm_jax.tasks import Hyperparameters, Task
from lstm_jax.training.trials.training_loop import TrainingLoop
from lstm_jax.training.update_rules.base import Vmapped


def with_bptt(
    task: Task,
    net: RecurrentNet,
    hyperparameters: Hyperparameters,
    optimiser: optax.GradientTransformation,
) -> TrainingLoop:
    """Return the training loop of a recurrent net with BPTT."""
    task = dataclasses.replace(task, architecture=net, hyperparameters=hyperparameters)
    return TrainingLoop(task, Vmapped(RecurrentUpdate(task, optimiser, bptt_gradient)))


def with_adam(task: Task, net: RecurrentNet, learning_rate: float) -> TrainingLoop:
    """Return the training loop with BPTT and Adam, from weights in [-1, 1]."""
    hyperparameters = Hyperparameters(learning_rate, init_range=1.0)
    return with_bptt(task, net, hyperparameters, optax.adam(learning_rate))
