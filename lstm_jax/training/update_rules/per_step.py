"""The LSTM's update rule with an update at every step that has a loss."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
from optax.tree_utils import tree_where

from lstm_jax.network import online
from lstm_jax.tasks.task import Example, at_targets, targets_by_step
from lstm_jax.training.update_rules.base import vmap_trials
from lstm_jax.training.update_rules.per_sequence import Model, PerSequenceUpdate


@dataclasses.dataclass(frozen=True)
class PerStepUpdate(PerSequenceUpdate):
    """The `BatchUpdateRule` of the LSTM that updates the weights at every step that has a loss.

    It uses forward-mode gradients (`lstm_jax.online`). The traces of eqs. 25 and 27 are not
    recomputed when the weights change, as in all real-time learning (Williams & Zipser 1989). At
    small learning rates the difference is negligible.
    """

    def train_step(
        self, model: Model, example: Example, n: jax.Array, running: jax.Array
    ) -> tuple[Model, jax.Array]:
        """Make one update for each step of the sequence that has a loss."""
        new, outputs = vmap_trials(self.train_trial)(model, example)
        return tree_where(running, new, model), outputs

    def outputs(self, model: Model, example: Example) -> jax.Array:
        """Return the outputs."""
        return vmap_trials(super().outputs)(model, example)

    def train_trial(self, model: Model, example: Example) -> tuple[Model, jax.Array]:
        """Train one trial on its sequence, as `train_step`."""
        learner = online.init_learner(self.task.architecture, model.parameters, self.optimiser)
        learner = learner._replace(optimiser_state=model.optimiser_state)
        targets, has_loss = targets_by_step(self.task, example)

        def step(learner: online.Learner, at: tuple) -> tuple[online.Learner, jax.Array]:
            x_t, target, has_loss = at
            outputs, new = online.learn(
                self.task.architecture,
                learner._replace(parameters=self._mask(learner.parameters, model.num_blocks)),
                x_t,
                target,
                weight=has_loss.astype(jnp.float32),
                loss=self.task.hyperparameters.loss,
            )
            gradient = self._mask(new.gradient, model.num_blocks)
            new = new._replace(parameters=learner.parameters, gradient=gradient)
            return tree_where(has_loss, online.update(self.optimiser, new), new), outputs

        learner, outputs = jax.lax.scan(step, learner, (example.inputs, targets, has_loss))
        state = learner.optimiser_state
        model = model._replace(parameters=learner.parameters, optimiser_state=state)
        return model, at_targets(self.task, outputs, example)
