"""Numbers from random words."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from lstm_jax.tasks import random_numbers

EXTREMES = jnp.array([0, 2**32 - 1], jnp.uint32)
# The middle of each of 2^16 equal parts of all words.
EVENLY = np.arange(2**15, 2**32, 2**16, dtype=np.uint32)


def test_integers_share_the_words_evenly():
    values = np.asarray(random_numbers.integers(jnp.arange(2200, dtype=jnp.uint32), 10, 20))
    assert np.array_equal(np.bincount(values), [0] * 10 + [200] * 11)
    assert random_numbers.integers(EXTREMES, 0, 2**31 - 2).dtype == np.int32


@pytest.mark.parametrize(("low", "high"), [(-1.0, 1.0), (0.0, 1.0)])
def test_uniform_includes_its_low_end_alone(low, high):
    smallest, largest = np.asarray(random_numbers.uniform(EXTREMES, low, high))
    assert smallest == low
    assert largest < high and largest == np.float32(high - (high - low) * 2.0**-24)
    values = np.asarray(random_numbers.uniform(jnp.asarray(EVENLY), low, high))
    np.testing.assert_allclose(values, low + (high - low) * EVENLY / 2**32, atol=1e-6)


def test_normal_is_the_inverse_of_the_normal_distribution():
    values = np.asarray(random_numbers.normal(jnp.asarray(EVENLY), 0.5), np.float64)
    # In the tails, 2^-17 from either end, a step of 2^-24 is 4e-4.
    np.testing.assert_allclose(values, 0.5 * scipy.stats.norm.ppf(EVENLY / 2**32), atol=1e-3)
    smallest, largest = np.asarray(random_numbers.normal(EXTREMES, 1.0), np.float64)
    assert smallest == -largest
    assert np.isclose(largest, scipy.stats.norm.isf(2.0**-25), rtol=1e-3)


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_small_integers_use_every_octet_once(bits):
    words = jnp.asarray(np.arange(256, dtype=np.uint8).view(np.uint32))
    values = np.asarray(random_numbers.small_integers(words, 256, bits))
    assert np.array_equal(np.bincount(values), np.full(2**bits, 256 // 2**bits))
    assert np.array_equal(random_numbers.small_integers(words, 5, bits), values[:5])
