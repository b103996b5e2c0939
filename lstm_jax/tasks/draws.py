"""Random numbers for sequences, at the price of one draw a sequence.

Sequences are generated inside the training loop, where every call of a random generator costs as
much as many steps of a small network. So a task draws all its random words at once and makes its
numbers from them.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp


def words(key: jax.Array, count: int) -> jax.Array:
    """[count] uint32 random words; the key is consumed."""
    return jax.random.bits(key, (count,), jnp.uint32)


def integers(word: jax.Array, low: int, high: int) -> jax.Array:
    """Makes each word an integer in [low, high], both included; int32.

    Each value's probability is right to within 2^-32.

    >>> integers(jnp.array([0, 11, 12], jnp.uint32), 10, 20)
    Array([10, 10, 11], dtype=int32)
    """
    return low + (word % jnp.uint32(high - low + 1)).astype(jnp.int32)


def uniform(word: jax.Array, low: float, high: float) -> jax.Array:
    """Makes each word a float32 uniform in [low, high), from its upper 24 bits."""
    unit = (word >> 8).astype(jnp.float32) * jnp.float32(2.0**-24)
    return jnp.float32(low) + unit * jnp.float32(high - low)


def normal(word: jax.Array, deviation: float) -> jax.Array:
    """Makes each word a float32 Gaussian of mean 0, by the inverse of its distribution function.

    The words' upper 24 bits give it, so that no value is off by more than 5.42 deviations.
    """
    centred = uniform(word, -1.0, 1.0) + jnp.float32(2.0**-24)  # never -1, never 1
    return jnp.float32(math.sqrt(2) * deviation) * jax.lax.erf_inv(centred)


def small_integers(word: jax.Array, count: int, bits: int) -> jax.Array:
    """Cuts words into `count` int32 in [0, 2^bits), for `bits` 1, 2, 4 or 8, four from each word.

    >>> small_integers(jnp.array([0x03020100], jnp.uint32), 4, 2)
    Array([0, 1, 2, 3], dtype=int32)
    """
    octets = jax.lax.bitcast_convert_type(word, jnp.uint8).reshape(-1)[:count]
    return (octets & jnp.uint8(2**bits - 1)).astype(jnp.int32)
