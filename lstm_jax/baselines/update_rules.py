"""Update rules of recurrent nets that learn by a gradient.

`RecurrentPerSequence` updates the weights after every sequence, `RecurrentPerStep` after every step
that has a target, both for tasks whose `architecture` is a `RecurrentNet`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import optax

from lstm_jax.baselines.fully_recurrent import (
    RecurrentNet,
    SupervisedSequence,
    Weights,
    apply,
    as_vectors,
    initialise,
)
from lstm_jax.cell.validation import check_tolerance
from lstm_jax.network.optimisers import check_optimiser
from lstm_jax.tasks.task import Example, Task, real_steps
from lstm_jax.training.update_rules.base import UpdateRule

CarriedT = TypeVar("CarriedT")

# (net, weights, sequence) -> the gradient of the sequence's E / 2 and the outputs [T, K].
SequenceGradient = Callable[[RecurrentNet, Weights, SupervisedSequence], tuple[Weights, jax.Array]]


class StepGradient(NamedTuple, Generic[CarriedT]):
    """A gradient that is known step by step, forward in time."""

    init: Callable[[Weights], CarriedT]
    """(weights) -> the state before a sequence's first step."""
    step: Callable[
        [RecurrentNet, Weights, CarriedT, SupervisedSequence], tuple[CarriedT, Weights, jax.Array]
    ]
    """(net, weights, state, sequence_t) -> the state, the gradient of this step's E / 2, and the
    outputs [K]."""


class Model(NamedTuple):
    """A trial's recurrent net."""

    weights: Weights
    """The weights."""
    optimiser_state: optax.OptState
    """The state of the optimiser."""


@dataclasses.dataclass(frozen=True)
class _RecurrentUpdate(UpdateRule[Model]):
    task: Task
    """The task; its `architecture` is a `RecurrentNet`."""
    optimiser: optax.GradientTransformation
    """Any optax transformation that needs only a gradient."""
    tolerance: float = dataclasses.field(default=0.0, kw_only=True)
    """The distance within which an output counts as equal to its target; not negative."""

    def __post_init__(self) -> None:
        check_optimiser(self.optimiser)
        check_tolerance(self.tolerance)

    def init(self, key: jax.Array) -> Model:
        """Draw the initial weights."""
        init_range = self.task.hyperparameters.init_range
        weights = initialise(key, self.task.architecture, init_range=init_range)
        return Model(weights, self.optimiser.init(weights))

    def outputs(self, model: Model, example: Example) -> jax.Array:
        """Return the outputs at the targets, [K] or [T, K]."""
        return task_outputs(self.task, model.weights, example)

    def _supervised(self, example: Example) -> SupervisedSequence:
        has_target, targets = real_steps(example), example.targets
        if self.task.error_at == "end":
            has_target = has_target & ~jnp.append(has_target[1:], False)
            targets = jnp.broadcast_to(targets[None], (len(has_target), len(targets)))
        at_steps = has_target.astype(targets.dtype)
        tolerance = jnp.full_like(at_steps, self.tolerance) if self.tolerance else None
        return SupervisedSequence(example.inputs, targets, at_steps, tolerance)


@dataclasses.dataclass(frozen=True)
class RecurrentPerSequence(_RecurrentUpdate):
    """One update per sequence.

    Raises:
      ValueError: if the tolerance is negative, or the optimiser needs more than a gradient.
    """

    gradient: SequenceGradient
    """The gradient of a sequence, such as `bptt_gradient`."""

    def train_step(self, model: Model, example: Example, n: jax.Array) -> tuple[Model, jax.Array]:
        """Update the weights by the gradient of a sequence."""
        del n
        weights, state = model
        sequence = self._supervised(example)
        gradient, outputs = self.gradient(self.task.architecture, weights, sequence)
        updates, state = self.optimiser.update(gradient, state, weights)
        new = Model(jax.tree.map(jnp.add, weights, updates), state)
        return new, _at_targets(self.task, outputs, example)


@dataclasses.dataclass(frozen=True)
class RecurrentPerStep(_RecurrentUpdate):
    """One update per step that has a target.

    Raises:
      ValueError: if the tolerance is negative, or the optimiser needs more than a gradient.
    """

    gradient: StepGradient
    """The gradient of a step, such as `RTRL`."""

    def train_step(self, model: Model, example: Example, n: jax.Array) -> tuple[Model, jax.Array]:
        """Update the weights step by step along a sequence."""
        del n
        sequence = self._supervised(example)
        model, outputs = learn_online(
            self.gradient, self.task.architecture, self.optimiser, model, sequence
        )
        return model, _at_targets(self.task, outputs, example)


def learn_online(
    gradient: StepGradient,
    net: RecurrentNet,
    optimiser: optax.GradientTransformation,
    model: Model,
    sequence: SupervisedSequence,
) -> tuple[Model, jax.Array]:
    """Update the weights after every step whose loss counts.

    The state of `gradient` comes from the weights of earlier steps; this approximation of online
    learning is good while weights change slowly (Williams & Zipser 1989). Steps after the last one
    that counts are skipped: most sequences of task 1 are far shorter than the longest one.

    Returns:
      The model, and the outputs [T, K], before each step's update; 0 for skipped steps.
    """
    targets, at_steps = sequence.targets, sequence.at_steps
    steps = jnp.arange(1, len(targets) + 1, dtype=jnp.int32)
    stop = jnp.where(at_steps != 0, steps, 0).max()
    inputs = as_vectors(net, sequence.inputs, at_steps.dtype)
    sequence = jax.tree.map(jnp.asarray, sequence._replace(inputs=inputs))

    def body(carry: tuple) -> tuple:
        t, carried, model, all_outputs = carry
        sequence_t = jax.tree.map(lambda a: a[t], sequence)
        carried, gradient_t, outputs = gradient.step(net, model.weights, carried, sequence_t)
        updates, state = optimiser.update(gradient_t, model.optimiser_state, model.weights)
        changed = Model(jax.tree.map(jnp.add, model.weights, updates), state)
        counts = sequence_t.at_steps != 0
        model = jax.tree.map(lambda a, b: jnp.where(counts, a, b), changed, model)
        all_outputs = jax.lax.dynamic_update_index_in_dim(all_outputs, outputs, t, 0)
        return t + 1, carried, model, all_outputs

    no_outputs = jnp.zeros(targets.shape, at_steps.dtype)
    start = (jnp.int32(0), gradient.init(model.weights), model, no_outputs)
    _, _, model, outputs = jax.lax.while_loop(lambda carry: carry[0] < stop, body, start)
    return model, outputs


def task_outputs(task: Task, weights: Weights, example: Example) -> jax.Array:
    """Return the outputs of the task's `RecurrentNet` at the targets, [K] or [T, K]."""
    return _at_targets(task, apply(task.architecture, weights, example.inputs), example)


def _at_targets(task: Task, outputs: jax.Array, example: Example) -> jax.Array:
    """Return the outputs [K] of the last step, or [T, K] with 0 at the padding."""
    if task.error_at == "end":
        return outputs[example.length - 1]
    return jnp.where(real_steps(example)[:, None], outputs, 0)
