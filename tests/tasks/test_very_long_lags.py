"""Task 2c."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from lstm_jax.tasks import very_long_lags

ROWS = {"2c-50-50": (50, 50), "2c-1000-200": (1000, 200)}  # q, p


@pytest.mark.parametrize("name", ROWS)
def test_layout_and_target(name, draw, assert_uniform):
    """b, x or y, at least q uniform distractors, e; the target is the second symbol."""
    q, p = ROWS[name]
    batch = draw(name)
    assert np.all(batch.inputs[:, 0] == p + 1)
    label = batch.inputs[:, 1] - (p + 2)
    assert_uniform(label, 0, 1)
    assert np.array_equal(batch.targets, np.eye(2, dtype=np.float32)[label])
    assert np.array_equal(batch.true_targets, batch.targets)
    steps = np.arange(batch.inputs.shape[1])
    is_distractor = (steps >= 2) & (steps < batch.length[:, None] - 1)
    assert np.all(batch.inputs[is_distractor] < p)
    assert_uniform(batch.inputs[:, 2 : q + 2], 0, p - 1)
    assert np.all(batch.inputs[np.arange(len(batch.inputs)), batch.length - 1] == p)


@pytest.mark.parametrize("name", ROWS)
def test_k_is_geometric(name, draw, assert_frequencies):
    k = draw(name).length - (ROWS[name][0] + 3)
    counts = np.bincount(np.minimum(k, 50), minlength=51)
    assert_frequencies(counts, [*(0.9 ** np.arange(50) / 10), 0.9**50])
    # With the target symbol, as printed, sequences have q + 13 symbols on average.
    assert scipy.stats.ttest_1samp(k, 9.0).pvalue > 1e-4


def test_longer_k_are_negligible_and_cut_off(monkeypatch):
    assert 0.9 ** (very_long_lags.MAX_EXTRA + 1) < 1.2e-7
    # The first word, here the largest one, determines k.
    words = np.arange(50 + 151 + 3 + 2, dtype=np.uint32)
    words[0] = 2**32 - 1
    monkeypatch.setattr(
        very_long_lags.random_numbers, "words", lambda key, count: jnp.asarray(words)
    )
    example = jax.jit(lambda key: very_long_lags.sample_very_long(key, 50, 50))(jax.random.key(0))
    assert example.length == 50 + 151 + 3 == example.inputs.shape[0]
    assert example.inputs[-1] == 50
