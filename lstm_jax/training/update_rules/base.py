"""Interface of update rules, for one trial and for a batch of trials.

A `TrainingLoop` draws the sequences of a task, evaluates the outputs and decides when a trial is
solved. The update rule, the LSTM's or a baseline's, turns a sequence into new weights. An
`UpdateRule` is written for one trial; `Vmapped` lifts it to the `BatchUpdateRule` that the loop
calls. A batch has B trials, and the batch axis is the last axis of every array.

Settings of JAX would change a trial's numbers: double precision, the type promotion, the precision
of products, the default generator, and the order of its random numbers. `with_fixed_settings` gives
them the same values in every trial. With the generator "rbg", a trial's numbers would even depend
on the other trials of its batch.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple, ParamSpec, Protocol, TypeVar

import chex
import jax
import jax.numpy as jnp
import numpy as np
from optax.tree_utils import tree_where

from lstm_jax.cell.validation import as_integer
from lstm_jax.tasks.task import Example

# The trained model: a pytree whose structure only the update rule knows.
ModelT = TypeVar("ModelT")
AnyModel = Any

# Default of a dataclass field that `__post_init__` derives from the task.
FROM_TASK: AnyModel = None

GENERATOR = "threefry2x32"

# Folded into the key of the initial weights, from which the weights use only small numbers.
NOISE = 2**32 - 2  # of an optimiser

# The error before there is one, above all others: infinity would be refused by `jax_debug_infs`.
NO_ERROR = float(np.finfo(np.float32).max)

P = ParamSpec("P")
R = TypeVar("R")


class Metrics(NamedTuple):
    """Sums over the training sequences of a chunk, for a batch of trials.

    Attributes:
      sequences: [B] int32, the number of training sequences.
      error: [B] float32, the sum of the sequences' mean absolute output errors.
      wrong: [B] int32, the number of incorrect sequences.
    """

    sequences: jax.Array | np.ndarray
    error: jax.Array | np.ndarray
    wrong: jax.Array | np.ndarray

    def mean_error(self) -> jax.Array:
        """Return the mean error of the chunk's sequences, [B]; 0 where there were none."""
        return jnp.asarray(self.error) / jnp.maximum(self.sequences, 1).astype(jnp.float32)


class UpdateRule(Protocol[ModelT]):
    """An update rule for one trial; subclass it to train a model of your own."""

    def init(self, key: jax.Array) -> ModelT:
        """Return the untrained model, from a PRNG key that nothing else draws from."""
        ...

    def train_step(self, model: ModelT, example: Example, n: jax.Array) -> tuple[ModelT, jax.Array]:
        """Train on sequence number n, from 0; return the model and its `outputs` before that."""
        ...

    def outputs(self, model: ModelT, example: Example) -> jax.Array:
        """Return the outputs at the targets, [K] or [T, K]."""
        ...

    def end_chunk(self, model: ModelT, metrics: Metrics) -> ModelT:
        """Change the model between chunks; by default, return it unchanged."""
        return model


class BatchUpdateRule(Protocol[ModelT]):
    """An update rule for a batch of B trials; the batch axis is last."""

    def init(self, keys: jax.Array) -> ModelT:
        """Return the untrained models, from the raw data of a PRNG key per trial, [2, B] uint32."""
        ...

    def train_step(
        self, model: ModelT, example: Example, n: jax.Array, running: jax.Array
    ) -> tuple[ModelT, jax.Array]:
        """Train each running trial, [B] bool, on its sequence number n, as `UpdateRule` does.

        The models of other trials are returned unchanged.
        """
        ...

    def outputs(self, model: ModelT, example: Example) -> jax.Array:
        """Return the outputs at the targets, [K, B] or [T, K, B]."""
        ...

    def end_chunk(self, model: ModelT, metrics: Metrics, running: jax.Array) -> ModelT:
        """Change the models of running trials, [B] bool, between chunks."""
        ...


@dataclasses.dataclass(frozen=True)
class Vmapped:
    """A `BatchUpdateRule` that is an `UpdateRule` lifted by `jax.vmap`.

    Attributes:
      rule: the update rule of one trial.
    """

    rule: UpdateRule[AnyModel]

    def init(self, keys: jax.Array) -> AnyModel:
        """Return the untrained models."""
        return vmap_trials(lambda key: self.rule.init(as_key(key)))(keys)

    def train_step(
        self, model: AnyModel, example: Example, n: jax.Array, running: jax.Array
    ) -> tuple[AnyModel, jax.Array]:
        """Train each running trial on its sequence."""
        train_step = vmap_trials(lambda model, example: self.rule.train_step(model, example, n))
        new, outputs = train_step(model, example)
        return tree_where(running, new, model), outputs

    def outputs(self, model: AnyModel, example: Example) -> jax.Array:
        """Return the outputs."""
        return vmap_trials(self.rule.outputs)(model, example)

    def end_chunk(self, model: AnyModel, metrics: Metrics, running: jax.Array) -> AnyModel:
        """Change the models of running trials."""
        return tree_where(running, vmap_trials(self.rule.end_chunk)(model, metrics), model)


def vmap_trials(fun: Callable) -> Callable:
    """Lift a function of one trial to a batch of trials, on the last axis of every array."""
    return jax.vmap(fun, in_axes=-1, out_axes=-1)


def root_key(seed: int) -> jax.Array:
    """Return the key that all keys of a run are folded from; its seed is in [0, 2^32)."""
    # As `jax.random.key`, which would add `jax_random_seed_offset`.
    return as_key(jnp.asarray([0, as_integer("seed", seed, 0, 2**32)], jnp.uint32))


def as_key(key_data: jax.Array) -> jax.Array:
    """Return the PRNG key with this raw data, uint32."""
    return jax.random.wrap_key_data(key_data, impl=GENERATOR)


def subkey(key_data: jax.Array, *uses: jax.Array | int) -> jax.Array:
    """Return a trial's PRNG key for one of its uses, from the raw data of its key."""
    return functools.reduce(jax.random.fold_in, uses, as_key(key_data))


def subkeys(keys: chex.Array, *uses: jax.Array | int) -> jax.Array:
    """Return the raw data of all trials' keys for one of their uses, [2, B]."""
    return vmap_trials(lambda key: jax.random.key_data(subkey(key, *uses)))(keys)


def with_fixed_settings(fun: Callable[P, R]) -> Callable[P, R]:
    """Make a function, traced or not, compute the same numbers under all settings of JAX."""

    @functools.wraps(fun)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        with (
            jax.enable_x64(False),
            jax.numpy_dtype_promotion("standard"),
            jax.numpy_rank_promotion("allow"),
            jax.default_matmul_precision(None),
            jax.default_prng_impl(GENERATOR),
            jax.threefry_partitionable(True),
        ):
            return fun(*args, **kwargs)

    return wrapped
