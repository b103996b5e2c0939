"""The rivals' `UpdateRule`s: recurrent nets that learn by a gradient, as the LSTM does.

A task whose `architecture` is a `RecurrentNet` is learned by an update after every sequence,
`RecurrentPerSequence`, or after every step of it, `RecurrentPerStep`. `jax.vmap` lifts both to trials (`method.Vmapped`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from lstm_jax.baselines.fully_recurrent import (
    RecurrentNet,
    SupervisedSequence,
    Weights,
    apply,
    initialise,
)
from lstm_jax.baselines.stepwise import Stepwise, learn_online
from lstm_jax.cell.validation import check_tolerance
from lstm_jax.network.optimisers import check_optimiser
from lstm_jax.tasks.task import Example, Task, real_steps
from lstm_jax.training.update_rules.base import UpdateRule

# To the gradient and the outputs, as `bptt_gradient`.
SequenceGradient = Callable[[RecurrentNet, Weights, SupervisedSequence], tuple[Weights, jax.Array]]


class Model(NamedTuple):
    """What a trial has learned."""

    weights: Weights
    """Of the net."""
    optimiser_state: optax.OptState
    """As the optimiser's `init` makes it."""


def as_supervised(task: Task, example: Example, tolerance: float = 0.0) -> SupervisedSequence:
    """An example of a task, its target at the end or targets at every step, as a `SupervisedSequence`.

    The tolerance is that of every step.
    """
    counts, targets = real_steps(example), example.targets
    if task.error_at == "end":
        counts = counts & ~jnp.append(counts[1:], False)
        targets = jnp.broadcast_to(targets[None], (len(counts), len(targets)))
    at_steps = counts.astype(targets.dtype)
    at_all = jnp.full_like(at_steps, tolerance) if tolerance else None
    return SupervisedSequence(example.inputs, targets, at_steps, at_all)


def judged(task: Task, outputs: jax.Array, example: Example) -> jax.Array:
    """Of the outputs [T, K], those that the task asks for; 0 at padding, as the LSTM's."""
    if task.error_at == "end":
        return outputs[example.length - 1]
    return jnp.where(real_steps(example)[:, None], outputs, 0)


def judged_outputs(task: Task, weights: Weights, example: Example) -> jax.Array:
    """Those of the task's `RecurrentNet`: [K], or [T, K] with the error at every step."""
    return judged(task, apply(task.architecture, weights, example.inputs), example)


@dataclasses.dataclass(frozen=True)
class _RecurrentUpdate(UpdateRule[Model]):
    """What both ways to learn share.

    Attributes:
      task: whose `architecture` is a `RecurrentNet`.
      optimiser: any optax transformation.
      tolerance: an output as near to its target has no error; 0.0: every one has.

    Raises:
      ValueError: if the tolerance is negative, or the optimiser needs the error.
    """

    task: Task
    optimiser: optax.GradientTransformation
    tolerance: float = dataclasses.field(default=0.0, kw_only=True)

    def __post_init__(self) -> None:
        check_optimiser(self.optimiser)
        check_tolerance(self.tolerance)

    def init(self, key: jax.Array) -> Model:
        """Random weights by the task's conditions."""
        init_range = self.task.hyperparameters.init_range
        weights = initialise(key, self.task.architecture, init_range=init_range)
        return Model(weights, self.optimiser.init(weights))

    def outputs(self, model: Model, example: Example) -> jax.Array:
        """[K], or [T, K] with the error at every step."""
        return judged_outputs(self.task, model.weights, example)


@dataclasses.dataclass(frozen=True)
class RecurrentPerSequence(_RecurrentUpdate):
    """One update a sequence.

    Attributes:
      task, optimiser, tolerance: as in every recurrent net's learning.
      gradient: such as `bptt_gradient`.
    """

    gradient: SequenceGradient

    def train_step(self, model: Model, example: Example, n: jax.Array) -> tuple[Model, jax.Array]:
        """Weights minus a times the gradient."""
        del n
        weights, state = model
        sequence = as_supervised(self.task, example, self.tolerance)
        gradient, outputs = self.gradient(self.task.architecture, weights, sequence)
        updates, state = self.optimiser.update(gradient, state, weights)
        new = Model(jax.tree.map(jnp.add, weights, updates), state)
        return new, judged(self.task, outputs, example)


@dataclasses.dataclass(frozen=True)
class RecurrentPerStep(_RecurrentUpdate):
    """One update for every step that has an error.

    Attributes:
      task, optimiser, tolerance: as in every recurrent net's learning.
      rule: such as `RTRL`.
    """

    rule: Stepwise

    def train_step(self, model: Model, example: Example, n: jax.Array) -> tuple[Model, jax.Array]:
        """As `learn_online`, from one sequence."""
        del n
        weights, state, outputs = learn_online(
            self.rule,
            self.task.architecture,
            self.optimiser,
            *model,
            as_supervised(self.task, example, self.tolerance),
        )
        return Model(weights, state), judged(self.task, outputs, example)
