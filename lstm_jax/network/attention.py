"""Attention over the cell outputs of all steps, as a readout of the hidden layer.

A query q scores the outputs y(t) of every step. The context is their mean, weighted by the scores:

    e(t) = v tanh(W q + U y(t))               additive (Bahdanau, Cho & Bengio 2015)
    e(t) = (W q) (U y(t)) / sqrt(A)           scaled dot product (Vaswani et al. 2017)
    α(t) = exp e(t) / Σ_τ exp e(τ)            over the steps that are not padding
    context = Σ_t α(t) y(t)

Errors enter the layer at every step, as from output units. With the truncated gradient they then
reach only the units of that step and the carrousel.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from lstm_jax.cell.compilation import compiled
from lstm_jax.cell.pytrees import exportable
from lstm_jax.cell.scan import Steps
from lstm_jax.cell.units import MaybeNone
from lstm_jax.cell.validation import as_floats, as_real, batch_hint, check_type
from lstm_jax.network.run import check_steps


@exportable
class AdditiveAttention(NamedTuple):
    """The weights of additive attention, floating.

    Attributes:
      query: [Q, A], W.
      output: [Y, A], U.
      score: [A], v.
    """

    query: jax.Array | np.ndarray
    output: jax.Array | np.ndarray
    score: jax.Array | np.ndarray


@exportable
class DotProductAttention(NamedTuple):
    """The weights of scaled dot product attention, floating.

    Attributes:
      query: [Q, A], W; None: the identity.
      output: [Y, A], U; None: the identity.
    """

    query: jax.Array | np.ndarray | None
    output: jax.Array | np.ndarray | None


@exportable
class Attention(NamedTuple):
    """The result of attention.

    Attributes:
      context: [Y], the weighted mean of the outputs; 0 if no step is real.
      weights: [T], α, of sum 1; 0 at padding.
    """

    context: jax.Array
    weights: jax.Array


Weights = TypeVar("Weights", AdditiveAttention, DotProductAttention)


def additive_attention(
    parameters: AdditiveAttention,
    query: ArrayLike,
    outputs: ArrayLike,
    *,
    steps: Steps = Steps(),
) -> Attention:
    """Return the context of one query by additive attention; use `jax.vmap` for many.

    >>> weights = AdditiveAttention(jnp.ones((1, 2)), jnp.zeros((1, 2)), jnp.ones(2))
    >>> additive_attention(weights, jnp.zeros(1), jnp.array([[1.0], [2.0], [6.0]])).context
    Array([3.], dtype=float32)

    Args:
      parameters: the weights W, U and v.
      query: [Q] floating, such as the cell outputs at the end.
      outputs: [T, Y] floating, such as `Activations.cell_output` of `unroll` or `bidirectional`.
      steps: the padding. Its resets are ignored.

    Raises:
      ValueError: if shapes do not fit.
    """
    check_type("parameters", parameters, AdditiveAttention)
    return _checked(_additive_scores, parameters, query, outputs, steps)


def _additive_scores(w: AdditiveAttention, q: jax.Array, y: jax.Array) -> jax.Array:
    return jnp.tanh((q @ w.query)[None] + y @ w.output) @ w.score


def dot_product_attention(
    parameters: DotProductAttention,
    query: ArrayLike,
    outputs: ArrayLike,
    *,
    steps: Steps = Steps(),
) -> Attention:
    """Return the context of one query by scaled dot product attention.

    >>> identity = DotProductAttention(query=None, output=None)
    >>> outputs = jnp.array([[1.0], [2.0], [6.0]])
    >>> dot_product_attention(identity, jnp.zeros(1), outputs).context  # equal scores: the mean
    Array([3.], dtype=float32)
    >>> dot_product_attention(identity, jnp.zeros(1), outputs, steps=Steps(length=2)).weights
    Array([0.5, 0.5, 0. ], dtype=float32)

    Arguments and errors are those of `additive_attention`, with the weights W and U.
    """
    check_type("parameters", parameters, DotProductAttention)
    return _checked(_dot_product_scores, parameters, query, outputs, steps)


def _dot_product_scores(w: DotProductAttention, q: jax.Array, y: jax.Array) -> jax.Array:
    q = q if w.query is None else q @ w.query
    y = y if w.output is None else y @ w.output
    return y @ q / q.shape[0] ** 0.5


Scores = Callable[[Weights, jax.Array, jax.Array], jax.Array]


def _checked(
    scores: Scores,
    parameters: Weights,
    query: ArrayLike,
    outputs: ArrayLike,
    steps: Steps,
) -> Attention:
    query, outputs = as_real("query", query), as_real("outputs", outputs)
    if query.ndim != 1:
        hint = batch_hint(query.shape, query.shape[-1:])
        raise ValueError(f"query must be [Q], got {query.shape}{hint}")
    if outputs.ndim != 2:
        hint = batch_hint(outputs.shape, outputs.shape[-2:])
        raise ValueError(f"outputs must be [T, Y], got {outputs.shape}{hint}")
    may_lack = isinstance(parameters, DotProductAttention)
    arrays: dict[str, jax.Array | MaybeNone] = {
        name: None if w is None and may_lack else as_real(f"parameters.{name}", w)
        for name, w in parameters._asdict().items()
    }
    sources = {"query": query.shape, "output": outputs.shape[1:], "score": ()}
    shapes = {n: sources[n] * 2 if w is None else w.shape for n, w in arrays.items()}
    for name, shape in shapes.items():
        wanted = sources[name] + shapes["output"][-1:]  # [..., A]
        if shape != wanted:
            raise ValueError(f"parameters.{name} must have shape {wanted}, got {shape}")
    mask, length, _ = check_steps(steps, len(outputs))
    present = {name: w for name, w in arrays.items() if w is not None}
    found = as_floats(present | {"q": query, "y": outputs})
    query, outputs = found.pop("q"), found.pop("y")
    return _attention(scores, type(parameters)(**(arrays | found)), query, outputs, mask, length)


@compiled(num_static=1)
def _attention(
    scores: Scores,
    parameters: AdditiveAttention | DotProductAttention,
    query: jax.Array,
    outputs: jax.Array,
    is_real: jax.Array | None,
    length: jax.Array | None,
) -> Attention:
    if is_real is None:
        is_real = jnp.arange(len(outputs)) < (len(outputs) if length is None else length)
    outputs = jnp.where(is_real[:, None], outputs, 0)
    e = scores(parameters, query, outputs)
    weights = jax.nn.softmax(e, where=is_real)  # 0 everywhere if no step is real
    return Attention(weights @ outputs, weights)
