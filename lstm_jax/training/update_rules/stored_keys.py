"""PRNG keys in models, optimiser states and data.

Outside of compiled programs they are stored as arrays that NumPy and files can hold.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Hashable
from typing import TypeVar

import chex
import jax
import jax.numpy as jnp

T = TypeVar("T")


@functools.partial(
    jax.tree_util.register_dataclass, data_fields=("data",), meta_fields=("generator",)
)
@dataclasses.dataclass(frozen=True)
class StoredKey:
    """A PRNG key as its raw data; in a batch of B trials, the batch axis is last.

    Attributes:
      data: [n] uint32, or [n, B].
      generator: the generator, from `jax.random.key_impl`.
    """

    data: chex.Array
    generator: Hashable


def is_key(leaf: object) -> bool:
    """Return whether a leaf of a pytree is a typed PRNG key, or an array of them."""
    return isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def store_keys(tree: T, batch_axes: int = 0) -> T:
    """Replace typed keys by their raw data; the last `batch_axes` axes of arrays are batches."""

    def store(leaf: object) -> object:
        if not (isinstance(leaf, jax.Array) and is_key(leaf)):
            return leaf
        data = jax.random.key_data(leaf)
        return StoredKey(jnp.moveaxis(data, -1, -1 - batch_axes), jax.random.key_impl(leaf))

    return jax.tree.map(store, tree)


def restore_keys(tree: T, batch_axes: int = 0) -> T:
    """Undo `store_keys`."""

    def restore(leaf: object) -> object:
        if not isinstance(leaf, StoredKey):
            return leaf
        data = jnp.moveaxis(jnp.asarray(leaf.data), -1 - batch_axes, -1)
        return jax.random.wrap_key_data(data, impl=leaf.generator)

    return jax.tree.map(restore, tree, is_leaf=lambda leaf: isinstance(leaf, StoredKey))


def fold_into_keys(tree: T, key: jax.Array) -> T:
    """Fold a PRNG key into all typed keys of a pytree, such as those of `optax.noisy_sgd`."""
    number = jax.random.bits(key, (), jnp.uint32)
    return jax.tree.map(lambda a: jax.random.fold_in(a, number) if is_key(a) else a, tree)
