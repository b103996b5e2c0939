"""Varying types inside `jax.shard_map`: which arrays differ from device to device."""

from __future__ import annotations

from typing import TypeVar

import jax

T = TypeVar("T")


def vary_alike(tree: T) -> T:
    """Mark all arrays as varying over every `shard_map` axis that one of them varies over.

    A loop's carry must vary like what is added to it, and the error on weights that all devices
    share is summed over the devices. Outside of `shard_map` this does nothing.
    """
    axes = frozenset().union(*(_varying_axes(leaf) for leaf in jax.tree.leaves(tree)))

    def vary(leaf: jax.Array) -> jax.Array:
        return jax.lax.pcast(leaf, tuple(axes - _varying_axes(leaf)), to="varying")

    return jax.tree.map(vary, tree) if axes else tree


def _varying_axes(array: jax.Array) -> frozenset[str]:
    return jax.typeof(array).manual_axis_type.varying
