"""Strings of counted letters."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from lstm_jax.tasks import counting

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
    found = ["".join(outputs[k] for k in np.flatnonzero(row)) for row in example.legal[: len(seen)]]
    assert " ".join(found) == legal
    assert np.array_equal(example.targets, example.legal)


@pytest.mark.parametrize("letters", [2, 3])
def test_n_is_uniform(letters: int, assert_uniform):
    task = counting.make(letters, most=7)
    batch = jax.tree.map(np.asarray, task.sample_batch(jax.random.key(1), 10_000))
    assert_uniform((batch.length - 1) // letters, 1, 7)
    assert np.all((batch.length - 1) % letters == 0)


def test_all_legal_symbols_must_be_predicted_but_padding_does_not_count():
    """After an a both a and b are legal; after the last b only T."""
    is_correct, example = counting.make(2, most=3).is_correct, counting.string(2, 2, most=3)
    outputs = np.array(example.legal)
    outputs[5:] = np.nan  # padding
    assert is_correct(outputs, example)
    for step, row in ((1, [1.0, 0.0, 0.0]), (4, [0.0, 0.9, 0.5])):
        wrong = outputs.copy()
        wrong[step] = row
        assert not is_correct(wrong, example)


def test_peepholes_are_three_weights_per_cell():
    for letters, cells in ((2, 1), (3, 2)):
        with_, without = (counting.make(letters, peepholes=p).architecture for p in (True, False))
        assert with_.num_weights - without.num_weights == 3 * cells


def test_arguments_out_of_range_are_refused():
    with pytest.raises(ValueError, match=r"letters must be one of \(2, 3\), got 4"):
        counting.make(4)
    with pytest.raises(ValueError, match="most must be at least 1, got 0"):
        counting.make(2, 0)
