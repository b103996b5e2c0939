"""Tasks 6a and 6b."""

from __future__ import annotations

import itertools

import jax
import numpy as np
import pytest

from lstm_jax.tasks import temporal_order

E, A, D, X, Y, B = (0, 1, 4, 5, 6, 7)
RANGES = {"6a": ((10, 20), (50, 60)), "6b": ((10, 20), (33, 43), (66, 76))}


def _relevant(name: str, batch) -> tuple[np.ndarray, np.ndarray]:
    """Positions and symbols of the relevant symbols, [B, 2 or 3], in order."""
    real = np.arange(110) < batch.length[:, None]
    is_relevant = real & ((batch.inputs == X) | (batch.inputs == Y))
    sequences, positions = np.nonzero(is_relevant)
    number = len(RANGES[name])
    assert np.array_equal(sequences, np.repeat(np.arange(len(batch.inputs)), number))
    positions = positions.reshape(-1, number)
    return positions, np.take_along_axis(batch.inputs, positions, axis=1)


@pytest.mark.parametrize("name", RANGES)
def test_layout(name, draw, assert_uniform):
    batch = draw(name)
    assert np.all(batch.inputs[:, 0] == E)
    assert np.all(batch.inputs[np.arange(len(batch.inputs)), batch.length - 1] == B)
    assert_uniform(batch.length, 100, 110)
    inside = (np.arange(110) >= 1) & (np.arange(110) < batch.length[:, None] - 1)
    inside &= ~np.isin(batch.inputs, (X, Y))
    assert_uniform(batch.inputs[inside], A, D)


@pytest.mark.parametrize("name", RANGES)
def test_positions_are_uniform(name, draw, assert_uniform):
    positions, _ = _relevant(name, draw(name))
    for (low, high), position in zip(RANGES[name], positions.T, strict=True):
        assert_uniform(position, low, high)
    # Any two of them are independent.
    for (i, low), (j, other_low) in itertools.combinations(enumerate(RANGES[name]), 2):
        pair = 11 * (positions[:, i] - low[0]) + positions[:, j] - other_low[0]
        assert_uniform(pair, 0, 120)


@pytest.mark.parametrize("name", RANGES)
def test_target_is_the_order_of_the_relevant_symbols(name, draw, assert_uniform):
    """6a: XX, XY, YX, YY; 6b: XXX, XXY, XYX, XYY, YXX, YXY, YYX, YYY."""
    batch = draw(name)
    classes = list(itertools.product((X, Y), repeat=len(RANGES[name])))
    _, symbols = _relevant(name, batch)
    labels = np.array([classes.index(tuple(order)) for order in symbols.tolist()])
    assert np.array_equal(batch.targets, np.eye(len(classes), dtype=np.float32)[labels])
    assert np.array_equal(batch.targets, batch.true_targets)
    assert_uniform(labels, 0, len(classes) - 1)


def test_stretched_sequences_are_the_same_problem_with_longer_lags():
    """Ten times as far out: relevant symbols in their ranges, E, B and the class as ever."""
    keys = jax.random.split(jax.random.key(5), 500)
    sample = lambda key: temporal_order.sample_order(key, RANGES["6a"], stretch=10)
    batch = jax.tree.map(np.asarray, jax.vmap(sample)(keys))
    steps = np.arange(1100)
    assert batch.inputs.shape == (500, 1100) and np.all(np.ptp(batch.length) > 50)
    assert batch.length.min() >= 1000 and batch.length.max() <= 1100
    real = steps < batch.length[:, None]
    is_relevant = real & ((batch.inputs == X) | (batch.inputs == Y))
    _, positions = np.nonzero(is_relevant)
    first, second = positions.reshape(-1, 2).T
    assert first.min() >= 100 and first.max() <= 200
    assert second.min() >= 500 and second.max() <= 600
    last = batch.inputs[np.arange(500), batch.length - 1]
    assert np.all(batch.inputs[:, 0] == E) and np.all(last == B)
    symbols = batch.inputs[is_relevant].reshape(-1, 2) - X
    assert np.array_equal(batch.targets.argmax(1), 2 * symbols[:, 0] + symbols[:, 1])
