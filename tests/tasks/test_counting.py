"""Strings of counted letters."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from lstm_jax.tasks import counting
from lstm_jax.tasks.task import Example

STRINGS = (  # letters, n, what is seen, what may follow each of it
    (2, 1, "Sab", "a ab T"),
    (2, 3, "Saaabbb", "a ab ab ab b b T"),
    (3, 1, "Sabc", "a ab c T"),
    (3, 3, "Saaabbbccc", "a ab ab ab b b c c c T"),
)


@pytest.mark.parametrize(("letters", "n", "seen", "legal"), STRINGS)
def test_strings_and_what_may_follow(letters: int, n: int, seen: str, legal: str):
    inputs, outputs = ("abc"[:letters] + end for end in "ST")
    example = counting.string(n, letters, most=4)
    assert example.length == len(seen) and len(example.inputs) == 4 * letters + 1
    assert "".join(inputs[i] for i in example.inputs[: len(seen)]) == seen
    found = ["".join(outputs[k] for k in np.flatnonzero(row)) for row in example.legal[: len(seen)]]
    assert " ".join(found) == legal
    assert np.array_equal(example.targets, example.legal)


@pytest.mark.parametrize("letters", [2, 3])
def test_every_n_is_as_likely(letters: int, assert_uniform):
    task = counting.make(letters, most=7)
    batch = jax.tree.map(np.asarray, task.sample_batch(jax.random.key(1), 10_000))
    assert_uniform((batch.length - 1) // letters, 1, 7)
    assert np.all((batch.length - 1) % letters == 0)


def test_what_cannot_be_told_must_not_be_told():
    """After an a both a and b may come; after the last b neither, for n alone says which is it."""
    task = counting.make(2, most=3)
    example = counting.string(2, 2, most=3)
    outputs = np.array(example.legal)
    outputs[5:] = np.nan  # padding

    def judge(outputs: np.ndarray, example: Example = example) -> bool:
        return bool(task.is_correct(outputs, example))

    assert judge(outputs)
    for place, row in ((1, [1.0, 0.0, 0.0]), (4, [0.0, 0.9, 0.5])):
        wrong = outputs.copy()
        wrong[place] = row
        assert not judge(wrong)


@pytest.mark.parametrize(("letters", "weights"), [(2, 38), (3, 90)])
def test_the_networks_are_those_of_the_publication(letters: int, weights: int):
    architecture = counting.make(letters).architecture
    assert architecture.num_weights == weights
    without = counting.make(letters, peepholes=False).architecture
    assert without.num_weights == weights - 3 * architecture.num_cells


def test_what_is_no_such_task_is_named():
    with pytest.raises(ValueError, match=r"letters must be one of \(2, 3\), got 4"):
        counting.make(4)
    with pytest.raises(ValueError, match="most must be at least 1, got 0"):
        counting.make(2, 0)
