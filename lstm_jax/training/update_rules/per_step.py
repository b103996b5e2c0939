"""An update after every step that has a loss, by the truncated gradient in forward mode."""

from __future__ import annotations

import dataclasses
from typing import cast

import jax
import jax.numpy as jnp
import optax
from optax.tree_utils import tree_where

from lstm_jax.cell.architecture import Architecture
from lstm_jax.cell.parameters import Parameters
from lstm_jax.network import online
from lstm_jax.tasks.task import Example, Task, real_steps
from lstm_jax.training.update_rules.base import Metrics, UpdateRule
from lstm_jax.training.update_rules.construction import joined
from lstm_jax.training.update_rules.per_sequence import (
    Model,
    PerSequenceUpdate,
    after_chunk,
    initial_blocks,
)


@dataclasses.dataclass(frozen=True)
class PerStepUpdate(UpdateRule[Model]):
    """The `UpdateRule` of the LSTM that updates the weights at every step (`lstm_jax.online`).

    The traces of eqs. 25 and 27 are kept when the weights change under them, as in all real-time
    learning (Williams & Zipser 1989): at small rates it makes no difference.

    Raises:
      ValueError: as `PerSequenceUpdate`.
    """

    task: Task[Architecture]
    """The task, whose hyperparameters decide how the network starts and is trained."""
    optimiser: optax.GradientTransformation = cast("optax.GradientTransformation", None)
    """Any optax transformation; None: the optimiser of the hyperparameters."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "optimiser", self._per_sequence.optimiser)

    def init(self, key: jax.Array) -> Model:
        """Draws initial weights."""
        parameters, optimiser_state = self._per_sequence.init_trial(key)
        constructed = jnp.int32(initial_blocks(self.task))
        return Model(parameters, optimiser_state, constructed, jnp.float32(jnp.inf))

    def train_step(self, model: Model, example: Example, n: jax.Array) -> tuple[Model, jax.Array]:
        """Makes one update for each step of the sequence that has a loss."""
        del n
        learner = online.init_learner(self.task.architecture, model.parameters, self.optimiser)
        learner = learner._replace(optimiser_state=model.optimiser_state)

        def body(learner: online.Learner, at: tuple) -> tuple[online.Learner, jax.Array]:
            return self._step(learner, model.constructed, *at)

        has_loss, targets = self._targets(example)
        learner, outputs = jax.lax.scan(body, learner, (example.inputs, targets, has_loss))
        model = model._replace(
            parameters=learner.parameters, optimiser_state=learner.optimiser_state
        )
        if self.task.error_at == "end":
            return model, outputs[example.length - 1]
        return model, jnp.where(real_steps(example)[:, None], outputs, 0)

    def outputs(self, model: Model, example: Example) -> jax.Array:
        """Returns the outputs [K], or [T, K] with a target at every step."""
        return self._per_sequence.outputs(model, example)

    def end_chunk(self, model: Model, metrics: Metrics) -> Model:
        """Adds a memory block where the chunk's error has hardly fallen."""
        return after_chunk(self.task, model, metrics)

    @property
    def _per_sequence(self) -> PerSequenceUpdate:
        return PerSequenceUpdate(self.task, self.optimiser)

    def _targets(self, example: Example) -> tuple[jax.Array, jax.Array]:
        """Returns which steps have a loss, [T] bool, and the targets of all steps, [T, K]."""
        has_loss, targets = real_steps(example), example.targets
        if self.task.error_at == "end":
            has_loss = has_loss & ~jnp.append(has_loss[1:], False)
            targets = jnp.broadcast_to(targets[None], (len(has_loss), len(targets)))
        return has_loss, targets

    def _step(
        self,
        learner: online.Learner,
        constructed: jax.Array,
        x_t: jax.Array,
        target: jax.Array,
        has_loss: jax.Array,
    ) -> tuple[online.Learner, jax.Array]:
        """Learns from one step."""

        def without_missing_blocks(parameters: Parameters) -> Parameters:
            if not self.task.sequential_construction:
                return parameters
            return joined(self.task.architecture, parameters, constructed)

        seen = learner._replace(parameters=without_missing_blocks(learner.parameters))
        outputs, seen = online.learn(
            self.task.architecture,
            seen,
            x_t,
            target,
            weight=has_loss.astype(jnp.float32),
            loss=self.task.hyperparameters.loss,
        )
        seen = seen._replace(
            parameters=learner.parameters, gradient=without_missing_blocks(seen.gradient)
        )
        return tree_where(has_loss, online.update(self.optimiser, seen), seen), outputs
