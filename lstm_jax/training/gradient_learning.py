"""The paper's way to learn: weights minus a times a gradient, after every sequence."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import optax

from lstm_jax.network.layer import Gradient
from lstm_jax.network.outputs import apply, half_squared_error
from lstm_jax.network.parameters import Parameters, initialise
from lstm_jax.tasks.base import Example, Task, real_steps
from lstm_jax.training.keys import as_key
from lstm_jax.training.method import Report, over_lanes, where_running

# An error that falls by less than this factor from one chunk to the next has stopped decreasing.
STALLED = 0.95


class Model(NamedTuple):
    """What L trials have learned; the lanes are the last axis of every array."""

    parameters: Parameters
    optimiser_state: Any
    constructed: chex.Array  # [L] bool, whether the memory cells have joined the network
    last_error: chex.Array  # [L] float32, mean training error of the chunk before


@dataclasses.dataclass(frozen=True)
class GradientLearning:
    """How the LSTM learns a task: the `lstm_jax.training.method.Method` of the paper.

    Attributes:
      task: whose network, initial weights and places of the error are meant.
      optimiser: any optax transformation; the paper's is `optax.sgd(a)` with the task's rate a.
      gradient: "truncated", the paper's, or another that `unroll` knows.
    """

    task: Task
    optimiser: optax.GradientTransformation
    gradient: Gradient = "truncated"

    def init(self, keys: jax.Array) -> Model:
        """Random weights by the task's conditions, from a key for each lane, [..., L] uint32."""
        lanes = keys.shape[-1:]
        init_trial = lambda key: self.init_trial(as_key(key))
        parameters, optimiser_state = over_lanes(init_trial)(keys)
        return Model(
            parameters=parameters,
            optimiser_state=optimiser_state,
            constructed=jnp.full(lanes, not self.task.sequential_construction),
            last_error=jnp.full(lanes, jnp.inf, jnp.float32),
        )

    def init_trial(self, key: jax.Array) -> tuple[Parameters, Any]:
        """One trial's random weights and its optimiser's state, from a PRNG key."""
        conditions = self.task.conditions
        parameters = initialise(
            key,
            self.task.architecture,
            init_range=conditions.init_range,
            input_gate_bias=conditions.input_gate_bias,
            output_gate_bias=conditions.output_gate_bias,
        )
        return parameters, self.optimiser.init(parameters)

    def present(
        self, model: Model, example: Example, n: jax.Array, running: jax.Array
    ) -> tuple[Model, jax.Array]:
        """One update a lane, from its own sequence."""
        del n
        gradient, outputs = jax.grad(self._loss, has_aux=True)(
            model.parameters, model.constructed, example
        )
        updates, optimiser_state = over_lanes(self.optimiser.update)(
            gradient, model.optimiser_state, model.parameters
        )
        new = model._replace(
            parameters=jax.tree.map(jnp.add, model.parameters, updates),
            optimiser_state=optimiser_state,
        )
        return where_running(running, new, model), outputs

    def outputs(self, model: Model, example: Example) -> jax.Array:
        """[K, L], or [T, K, L] with the error at every step."""
        return self._outputs(model.parameters, model.constructed, example)

    def end_chunk(self, model: Model, report: Report, running: jax.Array) -> Model:
        """Lets the memory cells join where a chunk's error is hardly below that of the one before.

        It never quite stops decreasing: the outputs that should be 0 fall as t^(-1/2).
        """
        if not self.task.sequential_construction:
            return model
        error = report.mean_error()
        stalled = running & (error >= STALLED * model.last_error)
        last_error = jnp.where(running, error, model.last_error)
        return model._replace(constructed=model.constructed | stalled, last_error=last_error)

    def _loss(
        self, parameters: Parameters, constructed: chex.Array, example: Example
    ) -> tuple[jax.Array, jax.Array]:
        """E / 2 summed over the lanes, which share nothing, and the outputs."""
        outputs = self._outputs(parameters, constructed, example)
        at_steps = None
        if self.task.error_at == "every_step":
            at_steps = real_steps(example).astype(outputs.dtype)
        return half_squared_error(outputs, example.targets, at_steps), outputs

    def _outputs(
        self, parameters: Parameters, constructed: chex.Array, example: Example
    ) -> jax.Array:
        task = self.task
        if task.sequential_construction:  # a cell that has not joined is not seen, nor blamed
            cell = jnp.where(constructed, parameters.output.cell, 0)
            parameters = parameters._replace(output=parameters.output._replace(cell=cell))
        outputs, _ = apply(
            task.architecture,
            parameters,
            example.inputs,
            at=task.error_at,
            length=None if task.fixed_length else example.length,
            gradient=self.gradient,
        )
        return outputs
