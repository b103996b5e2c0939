"""Sums over sources and over time, for one network or for many side by side in "lanes".

The hidden layer is written for one sequence and one network, on arrays `[units]` or `[T, units]`
and weights `[sources, units]`. The same code accepts further axes after these, the lanes: each is
another network with its own sequence. `jax.vmap` works too, but puts its axis first. In the last,
contiguous axis, one vector instruction serves many small networks.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import TypeVar

import jax
import jax.numpy as jnp
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

T = TypeVar("T")

# Up to this many sources, the products of small networks are written out as multiply-adds, which
# the compiler fuses and vectorises over the lanes; above it, they are matrix products.
FEW_SOURCES = 32


def weighted_sum(weights: jax.Array, rows: Sequence[jax.Array]) -> jax.Array:
    """Return Σ_m w_lm y_m at one step: [U, n, *lanes] and rows [U_k, *lanes] to [n, *lanes].

    The rows together hold the U sources, in order.
    """
    if weights.shape[0] > FEW_SOURCES:
        return jnp.einsum("mn...,m...->n...", weights, jnp.concatenate(rows))
    sources = [source for row in rows for source in row]
    products = [w * y[None] for w, y in zip(weights, sources, strict=True)]
    return functools.reduce(jnp.add, products)


def weighted_sum_over_time(weights: jax.Array, rows: jax.Array) -> jax.Array:
    """Return Σ_m w_lm y_m(t): [U, n, *lanes] and [T, U, *lanes] to [T, n, *lanes]."""
    if rows.ndim == 2:
        return product(rows, weights)
    if len(weights) > FEW_SOURCES:
        return jnp.einsum("mn...,tm...->tn...", weights, rows)
    products = [rows[:, m, None] * weights[None, m] for m in range(len(weights))]
    return functools.reduce(jnp.add, products)


def as_indices(symbols: jax.Array, num_inputs: int) -> jax.Array:
    """Convert integers of any dtype to int32, such that those outside [0, I) stay outside."""
    if symbols.dtype.itemsize > 4:  # others neither wrap into the range, nor are compared with I
        is_symbol = (symbols >= 0) & (symbols < num_inputs)
        symbols = jnp.where(is_symbol, symbols, num_inputs)
    return symbols.astype(jnp.int32)


def one_hot_sum_over_time(weights: jax.Array, symbols: jax.Array) -> jax.Array:
    """Return the same sum for one-hot rows, given as integers [T, *lanes].

    Integers outside [0, U) stand for rows of zeros, as in `jax.nn.one_hot`.
    """
    is_symbol = (symbols >= 0) & (symbols < len(weights))
    return jnp.where(is_symbol[:, None], take_rows(weights, symbols), 0)


def take_rows(weights: jax.Array, indices: jax.Array) -> jax.Array:
    """Return row `indices[t]` of weights: [U, n, *lanes] and [T, *lanes] to [T, n, *lanes]."""
    if indices.ndim == 1:
        return weights[indices]
    return jax.vmap(take_rows, in_axes=-1, out_axes=-1)(weights, indices)


def outer_sum_over_time(rows: jax.Array, deltas: jax.Array) -> jax.Array:
    """Return Σ_t y_m(t) delta_l(t): [T, U, *lanes] and [T, n, *lanes] to [U, n, *lanes]."""
    if rows.ndim == 2 or rows.shape[1] > FEW_SOURCES:
        return jnp.einsum("tm...,tn...->mn...", rows, deltas)
    rows, deltas = _in_groups(rows), _in_groups(deltas)
    products = [rows[:, i, :, None] * deltas[:, i, None] for i in range(rows.shape[1])]
    return sum_over_time(functools.reduce(jnp.add, products))


def one_hot_outer_sum_over_time(
    weights: jax.Array, symbols: jax.Array, deltas: jax.Array
) -> jax.Array:
    """Return the same sum for one-hot rows, given as integers, in the shape of `weights`."""
    num_rows = weights.shape[0]
    if num_rows <= FEW_SOURCES:
        rows = jnp.arange(num_rows, dtype=symbols.dtype)
        one_hot = jax.vmap(lambda row: symbols == row, out_axes=1)(rows)
        return outer_sum_over_time(one_hot.astype(deltas.dtype), deltas)
    is_symbol = (symbols >= 0) & (symbols < num_rows)
    deltas = jnp.where(is_symbol[:, None], deltas, 0)
    if symbols.ndim == 1:
        return jnp.zeros_like(weights).at[symbols].add(deltas)
    return _scatter_add_in_lanes(weights, symbols, deltas)


def sum_over_time(terms: jax.Array) -> jax.Array:
    """Return Σ_t terms(t), [T, ...] to [...]; with lanes, as a tree of wide elementwise sums."""
    if terms.ndim < 3:
        return terms.sum(0)
    while terms.shape[0] > 1:
        terms = _in_groups(terms)
        terms = functools.reduce(jnp.add, [terms[:, i] for i in range(terms.shape[1])])
    return terms.sum(0)


def _scatter_add_in_lanes(weights: jax.Array, indices: jax.Array, deltas: jax.Array) -> jax.Array:
    """Scatter-add rows in a loop; the scatter operation would keep XLA from fusing the rest."""
    num_rows, num_units, *lanes = weights.shape
    num_lanes = math.prod(lanes)
    rows = indices.reshape(-1)  # [T * lanes]
    terms = jnp.moveaxis(deltas, 1, -1).reshape(-1, num_units)

    def add(i: jax.Array, totals: jax.Array) -> jax.Array:
        index = ((i % num_lanes).astype(rows.dtype), rows[i], jnp.zeros((), rows.dtype))
        row = jax.lax.dynamic_slice(totals, index, (1, 1, num_units))
        return jax.lax.dynamic_update_slice(totals, row + terms[i][None, None], index)

    zeros = jnp.zeros_like(deltas, shape=(num_lanes, num_rows, num_units))
    totals = jax.lax.fori_loop(0, rows.shape[0], add, zeros)
    return jnp.moveaxis(totals, 0, -1).reshape(weights.shape)


def _in_groups(terms: jax.Array) -> jax.Array:
    """Reshape [T, ...] to [T / width, width, ...], padded with zeros."""
    length = terms.shape[0]
    width = min(32, math.ceil(math.sqrt(length))) if length > 16 else max(length, 1)
    padding = -length % width
    terms = jnp.pad(terms, [(0, padding)] + [(0, 0)] * (terms.ndim - 1))
    return terms.reshape(-1, width, *terms.shape[1:])


# The matrix product of one network -------------------------------------------------------------
#
# The gradient of `jnp.matmul` has the error on net inputs, the widest array, as its left factor,
# which XLA first copies into another order. Here it is the right factor, and a batch becomes more
# rows, after the axis of time. A `custom_vjp` would compute a gradient per sequence of a batch.


def product(rows: jax.Array, weights: jax.Array) -> jax.Array:
    """Return Σ_m y_m w_lm for each row y: [..., U] and [U, n], of one dtype, to [..., n]."""
    return _product.bind(*vary_alike((rows, weights)))


def _value(rows: jax.Array, weights: jax.Array) -> jax.Array:
    return jax.lax.dot_general(rows, weights, (((rows.ndim - 1,), (0,)), ((), ())))


def _delta_weights(delta: jax.Array, rows: jax.Array, _: object) -> jax.Array:
    axes = tuple(range(rows.ndim - 1))
    return jax.lax.dot_general(rows, delta, ((axes, axes), ((), ())))


def _batch(arrays: tuple, axes: tuple) -> tuple[jax.Array, int]:
    """Turn a batch of rows into more rows; of weights, into a batch of products."""
    (rows, weights), (rows_axis, weights_axis) = arrays, axes
    if isinstance(weights_axis, int):
        return jax.vmap(_value, in_axes=axes)(rows, weights), 0
    last = rows.ndim - 2
    return product(jnp.moveaxis(rows, rows_axis, last), weights), last


_product = Primitive("rows_times_weights")
_product.def_impl(jax.jit(_value))
_product.def_abstract_eval(lambda rows, w: rows.update(shape=(*rows.shape[:-1], w.shape[1])))
ad.defbilinear(_product, lambda delta, _, weights: product(delta, weights.T), _delta_weights)
batching.primitive_batchers[_product] = _batch
mlir.register_lowering(_product, mlir.lower_fun(_value, multiple_results=False))


def vary_alike(tree: T) -> T:
    """Mark all arrays as varying over every `shard_map` axis that one of them varies over.

    A loop's carry must vary like what is added to it, and the error on weights that all devices
    share is summed over the devices. Outside of `shard_map` this does nothing.
    """
    axes_of = lambda leaf: jax.typeof(leaf).manual_axis_type.varying
    axes = frozenset().union(*map(axes_of, jax.tree.leaves(tree)))
    vary = lambda leaf: jax.lax.pcast(leaf, tuple(axes - axes_of(leaf)), to="varying")
    return jax.tree.map(vary, tree) if axes else tree
