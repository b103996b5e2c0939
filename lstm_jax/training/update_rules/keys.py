"""PRNG keys of trials, with one generator under all settings of JAX.

The random numbers of a trial come from its key, `fold_in(root_key(seed), index)`. Two settings of
JAX would change them: `jax_default_prng_impl`, the generator of keys that do not name one, and
`jax_threefry_partitionable`, the order of its numbers. With the generator "rbg", which some
clusters set, a trial's numbers would even depend on the other trials of its batch.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import jax

from lstm_jax.cell.validation import as_integer

GENERATOR = "threefry2x32"

P = ParamSpec("P")
R = TypeVar("R")


def root_key(seed: int) -> jax.Array:
    """Return the key that all keys of a run are folded from.

    Raises:
      ValueError: if the seed is not an integer in [0, 2^32); JAX would wrap it around.
    """
    return jax.random.key(as_integer("seed", seed, 0, 2**32), impl=GENERATOR)


def as_key(key_data: jax.Array) -> jax.Array:
    """Return the PRNG key with this raw data, uint32."""
    return jax.random.wrap_key_data(key_data, impl=GENERATOR)


def with_fixed_prng(fun: Callable[P, R]) -> Callable[P, R]:
    """Make a function draw the same random numbers, also when traced, under all settings of JAX."""

    @functools.wraps(fun)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        with jax.threefry_partitionable(True):
            return fun(*args, **kwargs)

    return wrapped
