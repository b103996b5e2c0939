"""Tasks 4 and 5: adding and multiplying marked numbers."""

from __future__ import annotations

import functools

import jax
import numpy as np
import pytest
import scipy.stats

from lstm_jax.tasks import Example, adding, make_task

LENGTHS = {"4-100": 100, "4-500": 500, "5-13": 100}  # T
LOWEST = {"4": -1.0, "5": 0.0}
UNSEEN = {"4": 0.0, "5": 1.0}  # the value of a first pair that is chosen for a mark
COMBINE = {"4": lambda values: 0.5 + sum(values) / 4, "5": lambda values: np.prod([1.0, *values])}


def _visible(batch) -> list[tuple[int, ...]]:
    """The positions of each sequence's markers of 1.0."""
    return [tuple(np.flatnonzero(markers == 1.0)) for markers in batch.inputs[..., 1]]


@pytest.mark.parametrize("name", LENGTHS)
def test_lengths_markers_and_targets(name, draw, assert_uniform):
    """-1 marks the first and last pair; the target depends on the visible marks alone."""
    batch, shortest = draw(name), LENGTHS[name]
    assert_uniform(batch.length, shortest, shortest + shortest // 10)
    markers = batch.inputs[..., 1]
    last = np.take_along_axis(markers, batch.length[:, None] - 1, axis=1)
    assert np.all(markers[:, 0] == -1) and np.all(last == -1)
    assert np.all(np.sum(markers == -1, axis=1) == 2)
    assert set(np.unique(markers)) == {-1.0, 0.0, 1.0}
    assert set(np.sum(markers == 1, axis=1)) == {1, 2}  # 1: the first pair's mark is hidden
    batch = jax.tree.map(lambda x: x[:2000], batch)
    for inputs, target, marked in zip(batch.inputs, batch.targets, _visible(batch), strict=True):
        assert np.isclose(target[0], COMBINE[name[0]](inputs[list(marked), 0]), atol=1e-6)
    assert np.array_equal(batch.targets, batch.true_targets)


@pytest.mark.parametrize("name", ["4-100", "5-13"])
def test_marks_follow_the_rule(name, draw, assert_frequencies):
    """One of the first 10 pairs, then one of the first 49 that are still unmarked."""
    probability: dict[tuple[int, ...], float] = {}
    for first in range(10):
        unmarked = [position for position in range(100) if position != first]
        for second in unmarked[:49]:
            visible = tuple(sorted({first, second} - {0}))
            probability[visible] = probability.get(visible, 0.0) + 1 / (10 * 49)
    counts = dict.fromkeys(probability, 0)
    for visible in _visible(draw(name)):
        counts[visible] += 1
    assert_frequencies(list(counts.values()), list(probability.values()))
    # The minimal lag between the second relevant pair and the end is T/2, as in Table 7.
    assert 99 - max(max(visible) for visible in probability) == 50


@pytest.mark.parametrize("name", ["4-100", "5-13"])
def test_values_are_uniform_but_for_a_first_pair_with_a_hidden_mark(name, draw, assert_distributed):
    batch = draw(name)
    values = batch.inputs[..., 0]
    is_hidden = np.array([len(marked) == 1 for marked in _visible(batch)])
    assert np.all(values[is_hidden, 0] == UNSEEN[name[0]])
    uniform = scipy.stats.uniform(LOWEST[name[0]], 1.0 - LOWEST[name[0]])
    is_marked = batch.inputs[..., 1] == 1.0
    for part in (values[:, 1:100], values[~is_hidden, 0], values[is_marked]):
        assert_distributed(part, uniform)


@functools.cache
def _sampler_from_words(experiment: str):
    """T = 100, from given words: the first three determine the length and the marks."""
    task = make_task({"4": "4-100", "5": "5-13"}[experiment])

    def sample(words: jax.Array) -> Example:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(adding.random_numbers, "words", lambda key, count: words)
            return task.sample(jax.random.key(0), None)

    return jax.jit(sample)


@pytest.mark.parametrize("experiment", ["4", "5"])
@pytest.mark.parametrize(
    ("draws", "t1", "t2"),
    [
        ((3, 20, 105), 3, 21),  # unmarked pairs from 3 on are one further
        ((3, 2, 105), 3, 2),  # the second mark may come first
        ((3, 3, 105), 3, 4),
        ((9, 48, 100), 9, 49),  # the shortest lag
        ((0, 0, 110), 0, 1),  # the first choice falls on the first pair
        ((0, 48, 110), 0, 49),
        ((5, 0, 100), 5, 0),  # the second choice does
        ((9, 0, 100), 9, 0),
    ],
)
def test_every_case_of_the_marking(experiment, draws, t1, t2):
    words = np.random.default_rng(0).integers(2**32, size=110 + 3, dtype=np.uint32)
    words[:3] = draws[2] - 100, draws[0], draws[1]
    example = jax.tree.map(np.asarray, _sampler_from_words(experiment)(words))
    values, markers = example.inputs.T
    expected = np.zeros(110)
    expected[[t1, t2]] = 1.0
    expected[[0, draws[2] - 1]] = -1.0
    assert np.array_equal(markers, expected)
    assert (values[0] == UNSEEN[experiment]) == (0 in (t1, t2))
    assert np.isclose(example.targets[0], COMBINE[experiment](values[[t1, t2]]), atol=1e-6)


def test_too_short_sequences_are_refused():
    jax.eval_shape(lambda key: adding.sample_marked_pairs(key, 20), jax.random.key(0))
    with pytest.raises(ValueError, match="min_length must be at least 20, got 19"):
        adding.sample_marked_pairs(jax.random.key(0), 19)
