"""Arrays that are drawn together are those that each key draws alone."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from lstm_jax.cell.random_weights import draw_weights

pytestmark = pytest.mark.usefixtures("float64")
SHAPES = [(3, 5), (), (7,), (2, 1)]


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_each_array_is_its_own_key_s(dtype: str):
    """...whatever is drawn beside it, under vmap too."""
    keys = jax.random.split(jax.random.key(0), (3, len(SHAPES)))
    ranges = np.array([0.1, 0.2, 8.0])
    drawn = jax.vmap(lambda keys, width: draw_weights(keys, SHAPES, width, dtype))(keys, ranges)
    for i, (array, shape) in enumerate(zip(drawn, SHAPES, strict=True)):
        for row, key, width in zip(array, keys[:, i], ranges, strict=True):
            alone = jax.random.uniform(key, shape, dtype, -width, width)
            np.testing.assert_array_equal(row, alone)
