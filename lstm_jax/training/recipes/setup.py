"""How a task is learned, as plain data: what recipes change before anything is made of it."""

from __future__ import annotations

import dataclasses
from typing import Literal

import jax
import jax.numpy as jnp
import optax

from lstm_jax.cell.architecture import Architecture
from lstm_jax.network.losses import Error
from lstm_jax.network.layer import Gradient
from lstm_jax.tasks.task import Task

Optimiser = Literal["sgd", "steady-adam", "falling-adam"]
UpdateAfter = Literal["sequence", "step", "next-first-step"]

# Adam's rate is half its first one after three times as many updates, and falls with their root.
ADAM_UPDATES = 5000.0


@dataclasses.dataclass(frozen=True)
class Setup:
    """A task and how it is learned: all that a departure can change."""

    task: Task[Architecture]
    """The row, or what departures have made of it."""
    error: Error = dataclasses.field(default_factory=Error)
    """The error at the output units."""
    gradient: Gradient = "truncated"
    """As in `unroll`."""
    optimiser: Optimiser = "sgd"
    """What an update makes of a gradient."""
    update: UpdateAfter = "sequence"
    """When an update is made."""

    def with_task(self, **fields: object) -> Setup:
        """With other fields of the task."""
        return dataclasses.replace(self, task=dataclasses.replace(self.task, **fields))

    def with_architecture(self, **fields: object) -> Setup:
        """With other fields of the task's architecture."""
        architecture = dataclasses.replace(self.task.architecture, **fields)
        return self.with_task(architecture=architecture)

    def with_conditions(self, **fields: object) -> Setup:
        """With other fields of the task's conditions."""
        return self.with_task(conditions=dataclasses.replace(self.task.conditions, **fields))

    def with_error(self, **fields: object) -> Setup:
        """With other fields of the error."""
        return dataclasses.replace(self, error=dataclasses.replace(self.error, **fields))

    def make_optimiser(self) -> optax.GradientTransformation:
        """The optimiser, at the task's own rate a."""
        rate = self.task.conditions.learning_rate
        if self.optimiser == "sgd":
            return optax.sgd(rate)
        if self.optimiser == "steady-adam":  # Kingma & Ba 2015
            return optax.adam(rate)

        def falling(n: jax.typing.ArrayLike) -> jax.Array:
            return rate / jnp.sqrt(1 + jnp.asarray(n, jnp.float32) / ADAM_UPDATES)

        return optax.adam(falling)
