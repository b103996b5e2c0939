"""The random numbers of trials: one generator, whatever JAX's settings say, and whole numbers.

A trial's numbers come from its own key, `fold_in(root_key(seed), index)`. JAX's settings name
another generator for keys that do not name theirs (`jax_default_prng_impl`), and another order of
its numbers (`jax_threefry_partitionable`); neither reaches a trial. "rbg", which some clusters set,
would even let a lane's numbers depend on the lanes beside it.
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
    """The key that all keys of a run are folded from.

    Raises:
      ValueError: if the seed is no whole number in [0, 2^32): JAX would take it for another one.
    """
    return jax.random.key(as_integer("seed", seed, 0, 2**32), impl=GENERATOR)


def as_key(key_data: jax.Array) -> jax.Array:
    """The PRNG key whose raw data, uint32, is given."""
    return jax.random.wrap_key_data(key_data, impl=GENERATOR)


def with_fixed_prng(fun: Callable[P, R]) -> Callable[P, R]:
    """Lets a function draw, or be traced to draw, the same numbers under all settings of JAX."""

    @functools.wraps(fun)
    def settled(*args: P.args, **kwargs: P.kwargs) -> R:
        with jax.threefry_partitionable(True):
            return fun(*args, **kwargs)

    return settled
