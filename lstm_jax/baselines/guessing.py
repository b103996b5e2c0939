"""Random weight guessing for recurrent nets.

References:
  J. Schmidhuber and S. Hochreiter. Guessing can outperform many long time lag algorithms. Technical
  note IDSIA-19-96, 1996.
  S. Hochreiter and J. Schmidhuber. LSTM can solve hard long time lag problems. NIPS 9:473-479,
  1997.
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
from optax.tree_utils import tree_where

from lstm_jax.baselines.fully_recurrent import Weights, initialise
from lstm_jax.baselines.gradient_descent import task_outputs
from lstm_jax.tasks.task import Example, Task
from lstm_jax.training.update_rules.base import UpdateRule, as_key


class GuessedModel(NamedTuple):
    """A trial's current guess."""

    key: jax.Array  # uint32, the raw data of the trial's PRNG key
    weights: Weights
    guesses: jax.Array  # int32, the number of guesses so far, at least 1


@dataclasses.dataclass(frozen=True)
class Guessing(UpdateRule[GuessedModel]):
    """Random weight guessing: draw all weights at once, until the trial is solved.

    Weights are uniform in the range of the task's hyperparameters. A guess is discarded at its
    first wrong sequence, so that most cost one or two sequences. If p is the fraction of the weight
    cube in which all sequences are right, the number of guesses is geometric with mean 1 / p.

    In the source a guess must be right on a fixed training set and is then tested. Here, as for
    every update rule, each training sequence is a new one, and the task's stopping rule decides.
    """

    task: Task

    def init(self, key: jax.Array) -> GuessedModel:
        """Draw the first guess."""
        return GuessedModel(jax.random.key_data(key), self._draw(key, 0), jnp.ones((), jnp.int32))

    def train_step(
        self, model: GuessedModel, example: Example, n: jax.Array
    ) -> tuple[GuessedModel, jax.Array]:
        """Draw new weights if the outputs are wrong; return also the outputs of the old ones."""
        del n
        outputs = self.outputs(model, example)
        is_wrong = ~self.task.is_correct(outputs, example)
        drawn = self._draw(as_key(model.key), model.guesses)
        weights = tree_where(is_wrong, drawn, model.weights)
        return GuessedModel(model.key, weights, model.guesses + is_wrong.astype(jnp.int32)), outputs

    def outputs(self, model: GuessedModel, example: Example) -> jax.Array:
        """Return the outputs at the targets, [K] or [T, K]."""
        return task_outputs(self.task, model.weights, example)

    def _draw(self, key: jax.Array, number: jax.Array | int) -> Weights:
        key, init_range = jax.random.fold_in(key, number), self.task.hyperparameters.init_range
        return initialise(key, self.task.architecture, init_range=init_range)
