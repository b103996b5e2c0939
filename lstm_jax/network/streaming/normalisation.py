"""Running normalisation of inputs and rewards, one step at a time (Welford, 1962).

References:
  B. P. Welford. Note on a method for calculating corrected sums of squares and products.
  Technometrics 4(3):419-420, 1962.
  M. Elsayed, G. Vasan and A. R. Mahmood. Streaming deep reinforcement learning finally works.
  arXiv:2410.14606, 2024. Algorithms 4 to 6.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike, DTypeLike

from lstm_jax.cell.pytrees import exportable
from lstm_jax.cell.validation import as_flags, as_shaped, check_floating, check_type


@exportable
class Moments(NamedTuple):
    """Running moments of a stream of arrays, entry by entry.

    Attributes:
      count: the finite numbers so far, of the dtype of the others, in which it must be exact: up to
        1.7e7 in float32, after which the moments stay as they are.
      mean: their mean.
      squares: the sum of their squared deviations from the mean.
    """

    count: jax.Array
    mean: jax.Array
    squares: jax.Array


@exportable
class RewardScale(NamedTuple):
    """The state of `scale_reward`.

    Attributes:
      moments: those of the discounted sum of rewards.
      total: that sum, of the current episode.
    """

    moments: Moments
    total: jax.Array


def init_moments(shape: tuple[int, ...] = (), dtype: DTypeLike = jnp.float32) -> Moments:
    """Return the moments of a stream before its first array.

    >>> init_moments((2,)).count
    Array([0., 0.], dtype=float32)

    Args:
      shape: of the arrays.
      dtype: a floating dtype.

    Raises:
      ValueError: if the dtype is not floating.
    """
    check_floating("dtype", dtype)
    return Moments(*(jnp.zeros(shape, dtype) for _ in Moments._fields))


def normalise(moments: Moments, x_t: ArrayLike) -> tuple[jax.Array, Moments]:
    """Count an array and return it with mean 0 and variance 1, as of the stream so far.

    Entries that are not finite are not counted and come out as 0, the mean. The variance of an
    entry is taken as 1 before its second number, and as long as it is 0.

    >>> moments = init_moments((2,))
    >>> for x_t in ([1.0, 5.0], [3.0, jnp.nan]):
    ...     normalised, moments = normalise(moments, x_t)
    >>> normalised, moments.mean
    (Array([0.70710677, 0.        ], dtype=float32), Array([2., 5.], dtype=float32))

    Args:
      moments: of the stream before it.
      x_t: an array of the moments' shape, [I] for the inputs of a network.

    Raises:
      ValueError: if an argument does not fit.
    """
    check_type("moments", moments, Moments)
    x_t = as_shaped("x_t", x_t, moments.mean.shape).astype(moments.mean.dtype)
    is_known = jnp.isfinite(x_t)
    x_t = jnp.where(is_known, x_t, moments.mean)
    moments = _counted(moments, x_t, is_known)
    return (x_t - moments.mean) / deviation(moments), moments


def _counted(moments: Moments, x_t: jax.Array, is_known: jax.Array) -> Moments:
    count = moments.count + is_known.astype(x_t.dtype)
    is_counted = is_known & (count > moments.count)
    off = x_t - moments.mean
    mean = moments.mean + jnp.where(is_counted, off / jnp.maximum(count, 1), 0)
    squares = moments.squares + jnp.where(is_counted, off * (x_t - mean), 0)
    return Moments(count, mean, squares)


def deviation(moments: Moments) -> jax.Array:
    """Return the standard deviation of each entry, 1 where it is not known or 0."""
    variance = moments.squares / jnp.maximum(moments.count - 1, 1)
    return jnp.sqrt(jnp.where(variance > 0, variance, 1))


def init_reward_scale(dtype: DTypeLike = jnp.float32) -> RewardScale:
    """Return the state of `scale_reward` before the first reward.

    >>> float(init_reward_scale().total)
    0.0

    Args:
      dtype: a floating dtype.

    Raises:
      ValueError: if the dtype is not floating.
    """
    check_floating("dtype", dtype)
    return RewardScale(init_moments((), dtype), jnp.zeros((), dtype))


def scale_reward(
    state: RewardScale, reward: ArrayLike, *, discount: ArrayLike, reset: ArrayLike = False
) -> tuple[jax.Array, RewardScale]:
    """Divide a reward by the standard deviation of the discounted sum of rewards so far.

    The sum is u = γ u + r, from 0 in every episode; its mean is not subtracted.

    >>> state = init_reward_scale()
    >>> for reward in (0.0, 2.0):
    ...     scaled, state = scale_reward(state, reward, discount=0.9)
    >>> scaled
    Array(1.4142135, dtype=float32)

    Args:
      state: that before this reward.
      reward: [], r.
      discount: [], γ.
      reset: [], whether this reward is the last of its episode.

    Raises:
      ValueError: if an argument does not fit.
    """
    check_type("state", state, RewardScale)
    dtype = state.total.dtype
    reward, discount = as_shaped("reward", reward, ()), as_shaped("discount", discount, ())
    reward, reset = reward.astype(dtype), as_flags("reset", reset, ())
    total = discount.astype(dtype) * state.total + reward
    moments = _counted(state.moments, total, jnp.isfinite(total))
    total = jnp.where(jnp.isfinite(total) & ~reset, total, 0)
    return reward / deviation(moments), RewardScale(moments, total)
