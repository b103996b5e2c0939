"""Tasks 6a and 6b."""

from __future__ import annotations

import itertools

import jax
import numpy as np
import pytest

from lstm_jax.tasks import temporal_order

E, A, D, X, Y, B = (0, 1, 4, 5, 6, 7)
RANGES = {"6a": ((10, 20), (50, 60)), "6b": ((10, 20), (33, 43), (66, 76))}


def _relevant(batch, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Positions and symbols of the relevant symbols, [B, number], in order."""
    real = np.arange(batch.inputs.shape[1]) < batch.length[:, None]
    sequences, positions = np.nonzero(real & np.isin(batch.inputs, (X, Y)))
    assert np.array_equal(sequences, np.repeat(np.arange(len(batch.inputs)), number))
    positions = positions.reshape(-1, number)
    return positions, np.take_along_axis(batch.inputs, positions, axis=1)


def _labels(symbols: np.ndarray) -> np.ndarray:
    """6a: XX, XY, YX, YY; 6b: XXX, XXY, XYX, XYY, YXX, YXY, YYX, YYY."""
    classes = list(itertools.product((X, Y), repeat=symbols.shape[1]))
    return np.array([classes.index(tuple(order)) for order in symbols.tolist()])


def _ends(batch) -> tuple[np.ndarray, np.ndarray]:
    return batch.inputs[:, 0], batch.inputs[np.arange(len(batch.inputs)), batch.length - 1]


@pytest.mark.parametrize("name", RANGES)
def test_layout(name, draw, assert_uniform):
    """E, distractors and relevant symbols at independent uniform positions, B."""
    batch, ranges = draw(name), RANGES[name]
    first, last = _ends(batch)
    assert np.all(first == E) and np.all(last == B)
    assert_uniform(batch.length, 100, 110)
    inside = (np.arange(110) >= 1) & (np.arange(110) < batch.length[:, None] - 1)
    assert_uniform(batch.inputs[inside & ~np.isin(batch.inputs, (X, Y))], A, D)
    positions, _ = _relevant(batch, len(ranges))
    for (low, high), position in zip(ranges, positions.T, strict=True):
        assert_uniform(position, low, high)
    for (i, low), (j, other_low) in itertools.combinations(enumerate(ranges), 2):
        pair = 11 * (positions[:, i] - low[0]) + positions[:, j] - other_low[0]
        assert_uniform(pair, 0, 120)


@pytest.mark.parametrize("name", RANGES)
def test_target_is_the_order_of_the_relevant_symbols(name, draw, assert_uniform):
    batch, number = draw(name), len(RANGES[name])
    labels = _labels(_relevant(batch, number)[1])
    assert np.array_equal(batch.targets, np.eye(2**number, dtype=np.float32)[labels])
    assert np.array_equal(batch.targets, batch.true_targets)
    assert_uniform(labels, 0, 2**number - 1)


def test_stretched_sequences_are_the_same_problem_with_longer_lags():
    keys = jax.random.split(jax.random.key(5), 500)
    sample = lambda key: temporal_order.sample_order(key, RANGES["6a"], stretch=10)
    batch = jax.tree.map(np.asarray, jax.vmap(sample)(keys))
    first, last = _ends(batch)
    assert batch.inputs.shape == (500, 1100) and np.all(first == E) and np.all(last == B)
    positions, symbols = _relevant(batch, 2)
    for values, low in ((batch.length, 1000), (positions[:, 0], 100), (positions[:, 1], 500)):
        assert low <= values.min() < low + 10 and low + 90 < values.max() <= low + 100
    assert np.array_equal(batch.targets.argmax(1), _labels(symbols))
