"""The tasks beside the paper's six experiments: delayed XOR, lag, timing and counting."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.claims import comparisons, how_far
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


TRAINS = (  # F, I of each spike, the spikes, I until each spike
    (3, (0, 1), "..1...1", "0001111"),
    (3, (1, 1, 0), "...1...1..1", "11111111000"),
    (1, (0, 0, 1), "11.1", "0011"),
)


@pytest.mark.parametrize(("period", "late", "spikes", "bits"), TRAINS)
def test_inputs_and_targets(period: int, late: tuple, spikes: str, bits: str):
    is_spike = np.array([symbol == "1" for symbol in spikes], float)
    bit = np.array([int(bit) for bit in bits], float)
    expected = {"measuring": (is_spike, is_spike * bit), "generating": (bit, is_spike)}
    for mode, (inputs, targets) in expected.items():
        found = how_far.spike_train(mode, jnp.array(late, jnp.int32), period)
        assert found.length == len(spikes) and len(found.inputs) == len(late) * (period + 1)
        assert found.inputs[: len(spikes), 0].tolist() == inputs.tolist()
        assert found.targets[: len(spikes), 0].tolist() == targets.tolist()


def test_early_and_late_spikes_are_independent_with_even_odds(assert_uniform):
    task = how_far.timing_loop("measuring", 4, 1, peepholes=True).task
    batch = jax.tree.map(np.asarray, task.sample_batch(jax.random.key(2), 2000))
    patterns = np.array(
        [
            targets[np.flatnonzero(inputs)[: how_far.SPIKES]].astype(int)
            for inputs, targets in zip(batch.inputs[..., 0], batch.targets[..., 0], strict=True)
        ]
    )
    assert np.array_equal(batch.length, 4 * how_far.SPIKES + patterns.sum(1))
    assert_uniform(patterns @ [4, 2, 1], 0, 7)


def test_every_step_must_be_near_but_padding_need_not():
    example = how_far.spike_train("generating", jnp.array([0, 1], jnp.int32), 3)
    outputs = np.array(example.targets)
    outputs[7:] = np.nan  # padding
    outputs[2] = 1 - 0.48
    assert how_far.spikes_are_correct(outputs, example)
    for step, value in ((2, 0.5), (6, 0.4), (0, 0.5)):
        wrong = outputs.copy()
        wrong[step] = value
        assert not how_far.spikes_are_correct(wrong, example)


STRINGS = (  # letters, n, the inputs, the legal symbols after each of them
    (2, 1, "Sab", "a ab T"),
    (2, 3, "Saaabbb", "a ab ab ab b b T"),
    (3, 1, "Sabc", "a ab c T"),
    (3, 3, "Saaabbbccc", "a ab ab ab b b c c c T"),
)


@pytest.mark.parametrize(("letters", "n", "seen", "legal"), STRINGS)
def test_strings_and_their_legal_symbols(letters: int, n: int, seen: str, legal: str):
    inputs, outputs = ("abc"[:letters] + end for end in "ST")
    example = how_far.string(n, letters, most=4)
    assert example.length == len(seen) and len(example.inputs) == 4 * letters + 1
    assert "".join(inputs[i] for i in example.inputs[: len(seen)]) == seen
    found = ["".join(outputs[k] for k in np.flatnonzero(row)) for row in example.legal[: len(seen)]]
    assert " ".join(found) == legal
    assert np.array_equal(example.targets, example.legal)


@pytest.mark.parametrize("letters", [2, 3])
def test_n_is_uniform(letters: int, assert_uniform):
    task = how_far.counting_task(letters, peepholes=False)
    batch = jax.tree.map(np.asarray, task.sample_batch(jax.random.key(1), 10_000))
    assert_uniform((batch.length - 1) // letters, 1, how_far.TRAINED_N)
    assert np.all((batch.length - 1) % letters == 0)


def test_all_legal_symbols_must_be_predicted_but_padding_does_not_count():
    """After an a both a and b are legal; after the last b only T."""
    is_correct = how_far.counting_task(2, peepholes=False).is_correct
    example = how_far.string(2, 2, most=3)
    outputs = np.array(example.legal)
    outputs[5:] = np.nan  # padding
    assert is_correct(outputs, example)
    for step, row in ((1, [1.0, 0.0, 0.0]), (4, [0.0, 0.9, 0.5])):
        wrong = outputs.copy()
        wrong[step] = row
        assert not is_correct(wrong, example)


def test_peepholes_are_three_weights_per_cell():
    for letters, weights in ((2, 38), (3, 90)):
        with_, without = (
            how_far.counting_task(letters, peepholes=p).architecture for p in (True, False)
        )
        assert with_.num_weights == weights
        assert with_.num_weights - without.num_weights == 3 * (letters - 1)


def test_a_length_without_room_for_noise_is_refused():
    with pytest.raises(ValueError, match="length must be at least 4, got 3"):
        delayed_xor.make(3, 1000)
