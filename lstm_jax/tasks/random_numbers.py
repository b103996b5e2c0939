"""Random numbers for sequences, from one draw of random words per sequence.

Sequences are generated inside the training loop, where a call of a random generator costs as much
as many steps of a small network. A task draws all its random words at once and derives its numbers
from them.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp


def words(key: jax.Array, count: int) -> jax.Array:
    """Draw random words, [count] uint32."""
    return jax.random.bits(key, (count,), jnp.uint32)


def integers(word: jax.Array, low: int, high: int) -> jax.Array:
    """Convert each word to an int32 in [low, high], uniform to within 2^-32."""
    return low + (word % jnp.uint32(high - low + 1)).astype(jnp.int32)


def uniform(word: jax.Array, low: float, high: float) -> jax.Array:
    """Convert each word to a float32 uniform in [low, high), from its upper 24 bits."""
    unit = (word >> 8).astype(jnp.float32) * jnp.float32(2.0**-24)
    return jnp.float32(low) + unit * jnp.float32(high - low)


def normal(word: jax.Array, deviation: float) -> jax.Array:
    """Convert each word to a Gaussian float32 of mean 0, at most 5.42 deviations from it."""
    centred = uniform(word, -1.0, 1.0) + jnp.float32(2.0**-24)  # never -1 or 1
    return jnp.float32(math.sqrt(2) * deviation) * jax.lax.erf_inv(centred)


def small_integers(word: jax.Array, count: int, bits: int) -> jax.Array:
    """Split words into `count` int32 in [0, 2^bits), four from each; `bits` is 1, 2, 4 or 8.

    >>> small_integers(jnp.array([0x03020100], jnp.uint32), 4, 2)
    Array([0, 1, 2, 3], dtype=int32)
    """
    octets = jax.lax.bitcast_convert_type(word, jnp.uint8).reshape(-1)[:count]
    return (octets & jnp.uint8(2**bits - 1)).astype(jnp.int32)
