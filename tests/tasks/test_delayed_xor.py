"""Strongly delayed XOR."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from lstm_jax.tasks import delayed_xor

LENGTH = 20


def test_layout_and_target(assert_uniform):
    """A bit, distractors, a bit at T/2, distractors, the end; the target is the bits' XOR."""
    task = delayed_xor.make(LENGTH, 1000)
    batch = jax.tree.map(np.asarray, task.sample_batch(jax.random.key(3), 10_000))
    first, second = batch.inputs[:, 0], batch.inputs[:, LENGTH // 2]
    assert_uniform(2 * first + second, 0, 3)
    assert np.array_equal(batch.targets[:, 0], first ^ second)
    assert np.array_equal(batch.targets, batch.true_targets)
    assert np.all(batch.inputs[:, -1] == 6) and np.all(batch.length == LENGTH)
    middle = np.delete(batch.inputs[:, 1:-1], LENGTH // 2 - 1, axis=1)
    assert_uniform(middle, 2, 5)


def test_one_bit_alone_says_nothing_of_the_target(assert_uniform):
    """That is why there is nothing to learn from storing one of them."""
    task = delayed_xor.make(4, 1000)
    batch = jax.tree.map(np.asarray, task.sample_batch(jax.random.key(4), 10_000))
    for position in (0, 2):
        pairs = 2 * batch.inputs[:, position] + batch.targets[:, 0].astype(int)
        assert_uniform(pairs, 0, 3)


def test_a_length_without_room_is_named():
    with pytest.raises(ValueError, match="length must be at least 4, got 3"):
        delayed_xor.make(3, 1000)
