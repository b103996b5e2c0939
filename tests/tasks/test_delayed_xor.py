"""Strongly delayed XOR."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from lstm_jax.tasks import delayed_xor

LENGTH = 20


def test_the_target_is_the_xor_of_two_bits_and_independent_of_each(assert_uniform):
    """A bit, distractors, a bit at T/2, distractors, the end."""
    task = delayed_xor.make(LENGTH, 1000)
    batch = jax.tree.map(np.asarray, task.sample_batch(jax.random.key(3), 10_000))
    first, second = batch.inputs[:, 0], batch.inputs[:, LENGTH // 2]
    target = batch.targets[:, 0].astype(int)
    for pair in (2 * first + second, 2 * first + target, 2 * second + target):
        assert_uniform(pair, 0, 3)
    assert np.array_equal(target, first ^ second)
    assert np.array_equal(batch.targets, batch.true_targets)
    assert np.all(batch.inputs[:, -1] == 6) and np.all(batch.length == LENGTH)
    assert_uniform(np.delete(batch.inputs[:, 1:-1], LENGTH // 2 - 1, axis=1), 2, 5)


def test_a_length_without_room_is_refused():
    with pytest.raises(ValueError, match="length must be at least 4, got 3"):
        delayed_xor.make(3, 1000)
