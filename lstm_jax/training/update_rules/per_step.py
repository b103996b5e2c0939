"""Update rule with one update after every step that has a loss, by forward-mode gradients."""

from __future__ import annotations

import dataclasses
import functools

import jax
import jax.numpy as jnp
import optax
from optax.tree_utils import tree_where

from lstm_jax.cell.architecture import Architecture
from lstm_jax.cell.parameters import Parameters
from lstm_jax.network import online
from lstm_jax.tasks.task import Example, Task, real_steps
from lstm_jax.training.update_rules.base import FROM_TASK, Metrics, UpdateRule
from lstm_jax.training.update_rules.per_sequence import (
    Model,
    PerSequenceUpdate,
    after_chunk,
    initial_model,
    mask_blocks,
)


@dataclasses.dataclass(frozen=True)
class PerStepUpdate(UpdateRule[Model]):
    """The `UpdateRule` of the LSTM that updates the weights at every step (`lstm_jax.online`).

    The traces of eqs. 25 and 27 are not recomputed when the weights change, as in all real-time
    learning (Williams & Zipser 1989). At small learning rates the difference is negligible.
    Arguments and errors as in `PerSequenceUpdate`.
    """

    task: Task[Architecture]
    optimiser: optax.GradientTransformation = FROM_TASK

    def __post_init__(self) -> None:
        object.__setattr__(self, "optimiser", self._per_sequence.optimiser)

    def init(self, key: jax.Array) -> Model:
        """Draw initial weights."""
        return initial_model(self.task, *self._per_sequence.init_trial(key))

    def train_step(self, model: Model, example: Example, n: jax.Array) -> tuple[Model, jax.Array]:
        """Make one update for each step of the sequence that has a loss."""
        del n
        learner = online.init_learner(self.task.architecture, model.parameters, self.optimiser)
        learner = learner._replace(optimiser_state=model.optimiser_state)
        has_loss, targets = real_steps(example), example.targets
        if self.task.error_at == "end":
            has_loss = has_loss & ~jnp.append(has_loss[1:], False)
            targets = jnp.broadcast_to(targets[None], (len(has_loss), len(targets)))
        step = functools.partial(self._step, model.num_blocks)
        learner, outputs = jax.lax.scan(step, learner, (example.inputs, targets, has_loss))
        model = model._replace(
            parameters=learner.parameters, optimiser_state=learner.optimiser_state
        )
        if self.task.error_at == "end":
            return model, outputs[example.length - 1]
        return model, jnp.where(real_steps(example)[:, None], outputs, 0)

    def outputs(self, model: Model, example: Example) -> jax.Array:
        """Return the outputs [K], or [T, K] for a task with a target at every step."""
        return self._per_sequence.outputs(model, example)

    def end_chunk(self, model: Model, metrics: Metrics) -> Model:
        """Add a memory block if the chunk's error has hardly decreased."""
        return after_chunk(self.task, model, metrics)

    @property
    def _per_sequence(self) -> PerSequenceUpdate:
        return PerSequenceUpdate(self.task, self.optimiser)

    def _step(
        self,
        num_blocks: jax.Array,
        learner: online.Learner,
        at: tuple[jax.Array, jax.Array, jax.Array],
    ) -> tuple[online.Learner, jax.Array]:
        """Run one step and update the weights if it has a loss."""
        x_t, target, has_loss = at

        def mask(parameters: Parameters) -> Parameters:
            if not self.task.sequential_construction:
                return parameters
            return mask_blocks(self.task.architecture, parameters, num_blocks)

        outputs, new = online.learn(
            self.task.architecture,
            learner._replace(parameters=mask(learner.parameters)),
            x_t,
            target,
            weight=has_loss.astype(jnp.float32),
            loss=self.task.hyperparameters.loss,
        )
        new = new._replace(parameters=learner.parameters, gradient=mask(new.gradient))
        return tree_where(has_loss, online.update(self.optimiser, new), new), outputs
