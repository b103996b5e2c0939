"""Learning from a stream of the continual Reber grammar, an update after every step.

A training stream goes on until a prediction is wrong; the next one then begins with a new string,
from the state and the traces of before any string, and with the weights as they are. Within a
stream nothing is reset. `lstm_jax.network.online` does the learning: eqs. 25-28, with traces that
fade with the states.
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from experiments.claims.continual_reber import START, follow, is_right
from lstm_jax.cell.architecture import Architecture
from lstm_jax.cell.parameters import initialise
from lstm_jax.network import online
from lstm_jax.network.losses import HALF_SQUARED, Loss
from lstm_jax.tasks.hyperparameters import Hyperparameters


class Progress(NamedTuple):
    """Where one trial stands in its streams."""

    learner: online.Learner
    """The network and what it knows."""
    symbol: jax.Array
    """int32, the one that is seen next."""
    node: jax.Array
    """int32, the grammar's behind it."""
    streams: jax.Array
    """int32, streams that have ended."""
    right: jax.Array
    """int32, predictions of this stream, all of them right."""
    longest: jax.Array
    """int32, the most of any stream."""


@dataclasses.dataclass(frozen=True)
class ContinualTraining:
    """How one trial learns; lift it with `jax.vmap`."""

    architecture: Architecture
    """The network."""
    hyperparameters: Hyperparameters
    """The initial weights and the rate a."""
    error: Loss = HALF_SQUARED
    """Of the output units at every step."""
    reset: bool = False
    """Whether state and traces are reset before every string, from outside."""

    def init(self, key: jax.Array) -> Progress:
        """Before the first string."""
        own = self.hyperparameters
        parameters = initialise(
            key,
            self.architecture,
            init_range=own.init_range,
            input_gate_bias=own.input_gate_bias,
            output_gate_bias=own.output_gate_bias,
            forget_gate_bias=own.forget_gate_bias,
        )
        learner = online.init_learner(self.architecture, parameters, self._descent)
        symbol, node = follow(jnp.int32(START), jnp.int32(0))
        return Progress(learner, symbol, node, *(jnp.int32(0),) * 3)

    def learn(self, trial: Progress, bits: jax.Array) -> Progress:
        """Learns from as many symbols as there are random bits, [T] int32."""
        return jax.lax.scan(lambda trial, bit: (self._step(trial, bit), None), trial, bits)[0]

    @property
    def _descent(self) -> optax.GradientTransformation:
        return optax.sgd(self.hyperparameters.learning_rate)

    def _step(self, trial: Progress, bit: jax.Array) -> Progress:
        symbol, node = follow(trial.node, bit)
        target = jax.nn.one_hot(symbol, self.architecture.num_outputs)
        outputs, learner = online.learn(
            self.architecture, trial.learner, trial.symbol, target, loss=self.error
        )
        learner = online.update(self._descent, learner)
        is_wrong = ~is_right(outputs, trial.node)
        first_symbol, first_node = follow(jnp.int32(START), bit)
        starts = is_wrong | (trial.node == START) if self.reset else is_wrong
        fresh = online.start_sequence(self.architecture, learner)
        return Progress(
            learner=jax.tree.map(lambda a, b: jnp.where(starts, a, b), fresh, learner),
            symbol=jnp.where(is_wrong, first_symbol, symbol),
            node=jnp.where(is_wrong, first_node, node),
            streams=trial.streams + is_wrong.astype(jnp.int32),
            right=jnp.where(is_wrong, 0, trial.right + 1),
            longest=jnp.where(is_wrong, trial.longest, jnp.maximum(trial.longest, trial.right + 1)),
        )
