"""What a method of learning is: all that a trial does but draw sequences and be judged.

`Learning` draws the sequences of a task, judges a method's outputs on them and says when a trial
is solved. The method, be it the LSTM's or a rival's, is a `Method`: pure functions of a model, any
pytree, for L trials that lie side by side, the lanes being the last axis of every array. What is
written for one trial, a `TrialMethod`, becomes one by `Lanes`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from lstm_jax.tasks.task import Example
from lstm_jax.training.update_rules.keys import as_key

# What trials have learned, in the way of a method: a pytree that the method alone knows. Where it
# is of any method, it is of any type.
ModelT = TypeVar("ModelT")
AnyModel = Any


class Report(NamedTuple):
    """What is known of a chunk: sums over each trial's training sequences in it."""

    sequences: jax.Array | np.ndarray
    """[L] int32, how many there were."""
    error: jax.Array | np.ndarray
    """[L] float32, of the mean absolute error of an output."""
    wrong: jax.Array | np.ndarray
    """[L] int32, of those that were not correct."""

    def mean_error(self) -> jax.Array:
        """Mean over the chunk's sequences, [L]; 0 where there were none."""
        return jnp.asarray(self.error) / jnp.maximum(self.sequences, 1).astype(jnp.float32)


class Method(Protocol[ModelT]):
    """How L trials learn, side by side."""

    def init(self, keys: jax.Array) -> ModelT:
        """The models before their first sequence.

        Args:
          keys: [2, L] uint32, the raw data of a PRNG key for each trial, which is the method's:
            nothing else draws from it.
        """
        ...

    def present(
        self, model: ModelT, example: Example, n: jax.Array, running: jax.Array
    ) -> tuple[ModelT, jax.Array]:
        """Learns from one training sequence a trial.

        Args:
          model: of all lanes.
          example: one sequence a lane.
          n: int32, the number of the sequence, from 0.
          running: [L] bool; the models of other lanes stay as they are.

        Returns:
          The models, and the outputs from which the sequence is judged, as `outputs`. They are
          those of before the sequence's update, where a sequence has one.
        """
        ...

    def outputs(self, model: ModelT, example: Example) -> jax.Array:
        """[K, L], or [T, K, L] with the error at every step; nothing is learned."""
        ...

    def end_chunk(self, model: ModelT, report: Report, running: jax.Array) -> ModelT:
        """What is decided between chunks; the models of lanes not `running` [L] stay."""
        ...


class TrialMethod(Protocol[ModelT]):
    """How one trial learns; as `Method`, without lanes. To be subclassed."""

    def init(self, key: jax.Array) -> ModelT:
        """The model before its first sequence, from a PRNG key."""
        ...

    def present(self, model: ModelT, example: Example, n: jax.Array) -> tuple[ModelT, jax.Array]:
        """Learns from training sequence number n; returns the model and the outputs."""
        ...

    def outputs(self, model: ModelT, example: Example) -> jax.Array:
        """[K], or [T, K] with the error at every step."""
        ...

    def end_chunk(self, model: ModelT, report: Report) -> ModelT:
        """What is decided between chunks; nothing, unless a method says what."""
        del report
        return model


@dataclasses.dataclass(frozen=True)
class Lanes:
    """A method for one trial as a `Method`: lifted by `jax.vmap`, the lanes last."""

    method: TrialMethod[AnyModel]
    """How one trial learns."""

    def init(self, keys: jax.Array) -> AnyModel:
        """As `Method`."""
        return over_lanes(lambda key: self.method.init(as_key(key)))(keys)

    def present(
        self, model: AnyModel, example: Example, n: jax.Array, running: jax.Array
    ) -> tuple[AnyModel, jax.Array]:
        """As `Method`."""
        present = over_lanes(lambda model, example: self.method.present(model, example, n))
        new, outputs = present(model, example)
        return where_running(running, new, model), outputs

    def outputs(self, model: AnyModel, example: Example) -> jax.Array:
        """As `Method`."""
        return over_lanes(self.method.outputs)(model, example)

    def end_chunk(self, model: AnyModel, report: Report, running: jax.Array) -> AnyModel:
        """As `Method`."""
        return where_running(running, over_lanes(self.method.end_chunk)(model, report), model)


def over_lanes(fun: Callable) -> Callable:
    """Lifts a function of one trial to trials as lanes: the last axis of everything."""
    return jax.vmap(fun, in_axes=-1, out_axes=-1)


def where_running(running: jax.Array, new: ModelT, old: ModelT) -> ModelT:
    """The lanes `running` [L] of `new`, and the others of `old`."""
    return jax.tree.map(lambda a, b: jnp.where(running, a, b), new, old)
