"""The task of a varying lag."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from lstm_jax.tasks import lag


@pytest.mark.parametrize(("shortest", "longest"), [(1, 8), (5, 5)])
def test_a_lag_is_uniform_and_the_target_is_the_first_symbol(shortest, longest, assert_uniform):
    batch = lag.make(shortest, longest).sample_batch(jax.random.key(0), 4000)
    batch = jax.tree.map(np.asarray, batch)
    lags, bits = batch.length - 1, batch.inputs[:, 0]
    count = longest - shortest + 1
    if count > 1:
        assert_uniform(bits * count + lags - shortest, 0, 2 * count - 1)
    assert lags.min() == shortest and lags.max() == longest
    assert np.array_equal(bits, batch.targets[:, 0]) and np.all(batch.inputs[:, 1:] == 2)


def test_lags_out_of_order_are_refused():
    with pytest.raises(ValueError, match=r"shortest must be in 1 .. 4, got 5"):
        lag.make(5, 4)
