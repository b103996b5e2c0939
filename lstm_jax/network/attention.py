"""Attention over what a hidden layer did at every step: a readout that picks its steps.

A query q scores every step's outputs y(t), and reads their mean with those scores as weights:

    e(t) = v tanh(W q + U y(t))               additive (Bahdanau, Cho & Bengio 2015)
    e(t) = (W q) (U y(t)) / sqrt(A)           scaled dot product (Vaswani and others 2017)
    α(t) = exp e(t) / Σ_τ exp e(τ)            over the steps that are not padding
    context = Σ_t α(t) y(t)

Errors come back to y(t) at every step, as from output units. With the truncated gradient they then
go no further than that step's units and the carrousel.

Functions are for one query and one sequence; `jax.vmap` lifts them to many queries.

References:
  D. Bahdanau, K. Cho and Y. Bengio. Neural machine translation by jointly learning to align and
  translate. ICLR 2015.
  A. Vaswani and others. Attention is all you need. NeurIPS 2017.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from lstm_jax.cell.scan import Steps
from lstm_jax.cell.validation import as_array, displayed
from lstm_jax.network.layer import check_steps


class Additive(NamedTuple):
    """The weights of additive attention, of A hidden units."""

    query: jax.Array | np.ndarray
    """[Q, A] floating, W."""
    output: jax.Array | np.ndarray
    """[Y, A], U."""
    score: jax.Array | np.ndarray
    """[A], v."""


class DotProduct(NamedTuple):
    """The weights of scaled dot product attention, in A dimensions."""

    query: jax.Array | np.ndarray | None
    """[Q, A] floating, W; None: queries are scored as they are, A = Q."""
    output: jax.Array | np.ndarray | None
    """[Y, A], U; None: outputs are scored as they are, A = Y."""


class Attended(NamedTuple):
    """What attention has read."""

    context: jax.Array
    """[Y], the mean of the outputs; 0 if no step is real."""
    weights: jax.Array
    """[T], α, of sum 1; 0 at padding."""


def attend(
    weights: Additive | DotProduct,
    query: ArrayLike,
    outputs: ArrayLike,
    *,
    steps: Steps = Steps(),
) -> Attended:
    """Reads a recorded sequence by a query.

    >>> nothing = DotProduct(query=None, output=None)
    >>> attend(nothing, jnp.zeros(1), jnp.array([[1.0], [2.0], [6.0]])).context  # their mean
    Array([3.], dtype=float32)
    >>> attend(nothing, jnp.zeros(1), jnp.array([[1.0], [2.0], [6.0]]), steps=Steps(length=2)).weights
    Array([0.5, 0.5, 0. ], dtype=float32)

    Args:
      weights: `Additive` or `DotProduct`, which says how steps are scored.
      query: [Q] floating, such as the cell outputs at the end.
      outputs: [T, Y] floating, such as `Activations.cell_output` of `unroll` or `bidirectional`.
      steps: which steps are padding, whatever it holds; resets do not matter here.

    Raises:
      ValueError: if shapes do not fit, or both mask and length are given.
    """
    if not isinstance(weights, (Additive, DotProduct)):
        raise ValueError(f"weights must be Additive or DotProduct, got {displayed(weights)}")
    weights = weights._replace(
        **{
            name: as_array(f"weights.{name}", given)
            for name, given in weights._asdict().items()
            if given is not None
        }
    )
    query, outputs = as_array("query", query), as_array("outputs", outputs)
    _check_shapes(weights, query, outputs)
    is_real = _real_steps(steps, outputs.shape[0])
    outputs = jnp.where(is_real[:, None], outputs, 0)  # before any sum, also of a gradient
    if isinstance(weights, Additive):
        scores = _additive(weights, query, outputs)
    else:
        scores = _dot_product(weights, query, outputs)
    alpha = _softmax(scores, is_real)
    return Attended(alpha @ outputs, alpha)


def _additive(weights: Additive, query: jax.Array, outputs: jax.Array) -> jax.Array:
    hidden = (query @ weights.query)[None] + outputs @ weights.output
    return jnp.tanh(hidden) @ weights.score


def _dot_product(weights: DotProduct, query: jax.Array, outputs: jax.Array) -> jax.Array:
    if weights.query is not None:
        query = query @ weights.query
    if weights.output is not None:
        outputs = outputs @ weights.output
    return outputs @ query / query.shape[0] ** 0.5


def _softmax(scores: jax.Array, is_real: jax.Array) -> jax.Array:
    """Over the real steps; 0 at others, and everywhere if there are none."""
    most = jnp.max(scores, initial=-jnp.inf, where=is_real)
    most = jax.lax.stop_gradient(jnp.where(is_real.any(), most, 0))
    parts = jnp.where(is_real, jnp.exp(jnp.where(is_real, scores - most, 0)), 0)
    return parts / jnp.where(is_real.any(), parts.sum(), 1)


def _real_steps(steps: Steps, num_steps: int) -> jax.Array:
    """Returns which steps are not padding, [T] bool."""
    mask, length, _ = check_steps(steps, num_steps)
    if mask is not None:
        return mask
    return jnp.arange(num_steps) < (num_steps if length is None else length)


def _check_shapes(weights: Additive | DotProduct, query: jax.Array, outputs: jax.Array) -> None:
    """Raises ValueError if vectors cannot be scored."""
    if query.ndim != 1:
        raise ValueError(f"query must be [Q], got {query.shape}")
    if outputs.ndim != 2:
        raise ValueError(f"outputs must be [T, Y], got {outputs.shape}")
    into = []
    for name, size in (("query", query.shape[0]), ("output", outputs.shape[1])):
        matrix = getattr(weights, name)
        if matrix is not None and (jnp.ndim(matrix) != 2 or jnp.shape(matrix)[0] != size):
            raise ValueError(f"weights.{name} must be [{size}, A], got {jnp.shape(matrix)}")
        into.append(size if matrix is None else jnp.shape(matrix)[1])
    if isinstance(weights, Additive):
        score = weights.score
        if score is None or jnp.ndim(score) != 1:
            raise ValueError(f"weights.score must be [A], got {displayed(score)}")
        into.append(jnp.shape(score)[0])
    if len(set(into)) > 1:
        raise ValueError(f"weights must all lead to one number A of dimensions, got {into}")
