"""The layer's one large product, rows times weights, with a gradient that copies nothing large.

`jax.grad` of a product puts the error in front of what the weights saw, and XLA first copies the
front factor into another order. The error on net inputs is four times as wide as what a layer of
gated cells sees; and under `jax.vmap`, a loop over time has it in yet another order than the batch.
Here the error comes last, and a batch is more rows, behind the axis of time. A `custom_vjp` could
say the first, but has a gradient for every sequence of a batch; only a primitive has both.
"""

from __future__ import annotations

import jax
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from lstm_jax.cell.sharding import vary_alike


def product(rows: jax.Array, weights: jax.Array) -> jax.Array:
    """Σ_m y_m w_lm for each row y: [..., U] and [U, n], of one dtype, to [..., n]."""
    return _product.bind(*vary_alike((rows, weights)))


def _value(rows: jax.Array, weights: jax.Array) -> jax.Array:
    return jax.lax.dot_general(rows, weights, (((rows.ndim - 1,), (0,)), ((), ())))


def _delta_rows(delta: jax.Array, _: object, weights: jax.Array) -> jax.Array:
    return product(delta, weights.T)


def _delta_weights(delta: jax.Array, rows: jax.Array, _: object) -> jax.Array:
    before = tuple(range(rows.ndim - 1))
    return jax.lax.dot_general(rows, delta, ((before, before), ((), ())))


def _batch(arrays: tuple, axes: tuple) -> tuple[jax.Array, int]:
    """A batch of rows is more rows; weights of its own for each are a product for each."""
    (rows, weights), (of_rows, of_weights) = arrays, axes
    if isinstance(of_weights, int):
        return jax.vmap(_value, in_axes=axes)(rows, weights), 0
    behind = rows.ndim - 2
    return product(jax.numpy.moveaxis(rows, of_rows, behind), weights), behind


_product = Primitive("rows_times_weights")
_product.def_impl(jax.jit(_value))
_product.def_abstract_eval(lambda rows, w: rows.update(shape=(*rows.shape[:-1], w.shape[1])))
ad.defbilinear(_product, _delta_rows, _delta_weights)
batching.primitive_batchers[_product] = _batch
mlir.register_lowering(_product, mlir.lower_fun(_value, multiple_results=False))
