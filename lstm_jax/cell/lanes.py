"""Many networks side by side, and the sums over sources and over time.

The hidden layer is written for one sequence and one network, on arrays `[units]` or `[T, units]`
and weights `[sources, units]`. The code is such that further axes *behind* these, "lanes", just
come along: a lane is another network with its own sequence. `jax.vmap` works as everywhere, but
puts its axis first; lanes in the last, contiguous axis are what makes small networks fast, since
one vector instruction serves as many networks as fit into it.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp

from lstm_jax.cell.products import product

# Up to this many sources, the products of small networks are written out as multiply-adds, which
# the compiler fuses and vectorises over the lanes; above it, they are matrix products. Measured in
# BUILD_NOTES, "Speed".
FEW_SOURCES = 32


def weighted_sum(weights: jax.Array, rows: Sequence[jax.Array]) -> jax.Array:
    """Σ_m w_lm y_m over the sources m, for the units l, at one step.

    Args:
      weights: [U, n, *lanes].
      rows: arrays [U_k, *lanes] that together hold the U sources, in order.

    Returns:
      [n, *lanes].
    """
    if weights.shape[0] > FEW_SOURCES:
        return jnp.einsum("mn...,m...->n...", weights, jnp.concatenate(rows))
    sources = [source for row in rows for source in row]
    return _add_up([w * y[None] for w, y in zip(weights, sources, strict=True)])


def weighted_sum_over_time(weights: jax.Array, rows: jax.Array) -> jax.Array:
    """Σ_m w_lm y_m(t) for all steps: [U, n, *lanes] and [T, U, *lanes] to [T, n, *lanes]."""
    if rows.ndim == 2:
        return product(rows, weights)
    if not _write_out(rows):
        return jnp.einsum("mn...,tm...->tn...", weights, rows)
    return _add_up([rows[:, m, None] * weights[None, m] for m in range(weights.shape[0])])


def outer_sum_over_time(rows: jax.Array, deltas: jax.Array) -> jax.Array:
    """Σ_t y_m(t) delta_l(t): [T, U, *lanes] and [T, n, *lanes] to [U, n, *lanes]."""
    if not _write_out(rows):
        return jnp.einsum("tm...,tn...->mn...", rows, deltas)
    width = _tree_width(rows.shape[0])
    rows, deltas = _in_groups(rows, width), _in_groups(deltas, width)
    return sum_over_time(_add_up([rows[:, i, :, None] * deltas[:, i, None] for i in range(width)]))


def sum_over_time(terms: jax.Array) -> jax.Array:
    """Σ_t terms(t): [T, ...] to [...]; with lanes, as a tree of wide elementwise sums."""
    if terms.ndim < 3:
        return terms.sum(0)
    while terms.shape[0] > 1:
        width = _tree_width(terms.shape[0])
        terms = _in_groups(terms, width)
        terms = _add_up([terms[:, i] for i in range(width)])
    return terms.sum(0)


def _add_up(terms: list[jax.Array]) -> jax.Array:
    return functools.reduce(jnp.add, terms)


def _write_out(rows: jax.Array) -> bool:
    """Whether a product with [T, U, *lanes] is written out: if there are lanes to vectorise."""
    return rows.ndim > 2 and rows.shape[1] <= FEW_SOURCES


def _tree_width(length: int) -> int:
    return min(32, math.ceil(math.sqrt(length))) if length > 16 else max(length, 1)


def _in_groups(terms: jax.Array, width: int) -> jax.Array:
    """[T, ...] to [T / width, width, ...], padded with zeros."""
    padding = -terms.shape[0] % width
    terms = jnp.pad(terms, [(0, padding)] + [(0, 0)] * (terms.ndim - 1))
    return terms.reshape(-1, width, *terms.shape[1:])
