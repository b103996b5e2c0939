"""Random weight guessing: all weights at once, until the trial is solved.

J. Schmidhuber and S. Hochreiter. Guessing can outperform many long time lag algorithms. Technical
note IDSIA-19-96, 1996; S. Hochreiter and J. Schmidhuber. LSTM can solve hard long time lag
problems. *Advances in Neural Information Processing Systems 9*, 473-479, 1997.

A guess is one draw of all weights of a `RecurrentNet`, uniform in the range of the task's
conditions. It is given up at its first wrong sequence, so that most guesses cost one or two; one
that is never wrong is kept.

There is no learning: if p is the part of the weight cube in which all sequences are right, the
number of guesses is geometric, of mean 1 / p. Tasks that are quickly guessed say little about an
algorithm that solves them.

Where this departs from the source: there a guess must get a fixed training set right, and is then
tested. Here, as for every method, each training sequence is a fresh one, and it is the task's own
rule that says when a trial is solved.
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp

from lstm_jax.baselines.fully_recurrent import Weights, initialise
from lstm_jax.baselines.update_rules import judged_outputs
from lstm_jax.tasks.task import Example, Task
from lstm_jax.training.update_rules.base import UpdateRule
from lstm_jax.training.update_rules.keys import as_key


class Guess(NamedTuple):
    """One trial: the weights of now, and how they came about."""

    key: jax.Array
    """uint32, the raw data of the trial's PRNG key."""
    weights: Weights
    guesses: jax.Array
    """int32, weight draws so far, this one included."""


@dataclasses.dataclass(frozen=True)
class Guessing(UpdateRule[Guess]):
    """Random weight guessing, for one trial.

    Attributes:
      task: whose `architecture` is a `RecurrentNet`.
    """

    task: Task

    def init(self, key: jax.Array) -> Guess:
        """The first guess."""
        return Guess(jax.random.key_data(key), self._draw(key, 0), jnp.ones((), jnp.int32))

    def train_step(self, model: Guess, example: Example, n: jax.Array) -> tuple[Guess, jax.Array]:
        """Draws other weights if these get a training sequence wrong.

        Returns:
          The trial, and the outputs of the weights that the sequence was presented to.
        """
        del n
        outputs = self.outputs(model, example)
        is_wrong = ~self.task.is_correct(outputs, example)
        drawn = self._draw(as_key(model.key), model.guesses)
        weights = jax.tree.map(lambda a, b: jnp.where(is_wrong, a, b), drawn, model.weights)
        return Guess(model.key, weights, model.guesses + is_wrong.astype(jnp.int32)), outputs

    def outputs(self, model: Guess, example: Example) -> jax.Array:
        """[K], or [T, K] with the error at every step, by the weights of now."""
        return judged_outputs(self.task, model.weights, example)

    def _draw(self, key: jax.Array, number: jax.Array | int) -> Weights:
        return initialise(
            jax.random.fold_in(key, number),
            self.task.architecture,
            init_range=self.task.hyperparameters.init_range,
        )
