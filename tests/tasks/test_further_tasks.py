"""The tasks beside the paper's six experiments: delayed XOR, lag and counting."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from experiments.claims import comparisons, counting
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


@pytest.mark.parametrize(("shortest", "longest"), [(1, 8), (5, 5)])
def test_a_lag_is_uniform_and_the_target_is_the_first_symbol(shortest, longest, assert_uniform):
    batch = comparisons.lag_task(shortest, longest).sample_batch(jax.random.key(0), 4000)
    batch = jax.tree.map(np.asarray, batch)
    lags, bits = batch.length - 1, batch.inputs[:, 0]
    count = longest - shortest + 1
    if count > 1:
        assert_uniform(bits * count + lags - shortest, 0, 2 * count - 1)
    assert lags.min() == shortest and lags.max() == longest
    assert np.array_equal(bits, batch.targets[:, 0]) and np.all(batch.inputs[:, 1:] == 2)


def test_lengths_of_delayed_xor_are_mixed_in_training_alone(assert_uniform):
    task = delayed_xor.make(LENGTH, 1000, shortest=4)
    batch = jax.tree.map(np.asarray, task.sample_batch(jax.random.key(0), 10_000))
    assert_uniform(batch.length, 4, LENGTH)
    of_each = np.arange(len(batch.length))
    bits = batch.inputs[:, 0], batch.inputs[of_each, batch.length // 2]
    assert np.array_equal(batch.targets[:, 0].astype(int), bits[0] ^ bits[1])
    assert np.all(batch.inputs[of_each, batch.length - 1] == 6)
    assert (
        task.sample_test is not None and task.sample_test(jax.random.key(1), None).length == LENGTH
    )
    with pytest.raises(ValueError, match="shortest must be an integer"):
        delayed_xor.make(LENGTH, 1000, shortest=3)
    same = delayed_xor.make(LENGTH, 1000, shortest=LENGTH)
    assert same == delayed_xor.make(LENGTH, 1000)


STRINGS = (  # letters, n, the inputs, the legal symbols after each of them
    (2, 1, "Sab", "a ab T"),
    (2, 3, "Saaabbb", "a ab ab ab b b T"),
    (3, 1, "Sabc", "a ab c T"),
    (3, 3, "Saaabbbccc", "a ab ab ab b b c c c T"),
)


@pytest.mark.parametrize(("letters", "n", "seen", "legal"), STRINGS)
def test_strings_and_their_legal_symbols(letters: int, n: int, seen: str, legal: str):
    inputs, outputs = ("abc"[:letters] + end for end in "ST")
    example = counting.string(n, letters, most=4)
    assert example.length == len(seen) and len(example.inputs) == 4 * letters + 1
    assert "".join(inputs[i] for i in example.inputs[: len(seen)]) == seen
    is_legal = example.targets[: len(seen)] > 0
    found = ["".join(outputs[k] for k in np.flatnonzero(row)) for row in is_legal]
    assert " ".join(found) == legal
    assert set(np.unique(example.targets)) == {-1.0, 1.0}


@pytest.mark.parametrize(("letters", "without", "with_"), [(2, 35, 38), (3, 84, 90)])
def test_peepholes_are_three_weights_per_cell(letters: int, without: int, with_: int):
    weights = [
        counting.make_task(letters, 10, peepholes=peepholes).architecture.num_weights
        for peepholes in (False, True)
    ]
    assert weights == [without, with_]


def test_a_length_without_room_for_noise_is_refused():
    with pytest.raises(ValueError, match="length must be at least 4, got 3"):
        delayed_xor.make(3, 1000)
