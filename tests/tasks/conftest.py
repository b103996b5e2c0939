"""Cached draws and goodness-of-fit tests for the tests of the tasks.

Every statistical test has a fixed key and wants a p-value above `SIGNIFICANCE`: a correct sampler
fails one of them with a probability of 1e-4, once, when the keys are chosen.
"""

from __future__ import annotations

import functools

import jax
import numpy as np
import pytest
import scipy.stats

from lstm_jax.tasks import Example, make_task

SIGNIFICANCE = 1e-4
KEY = jax.random.key(1997)


@functools.cache
def _draw(name: str) -> tuple[jax.Array, object, Example]:
    task = make_task(name)
    data = task.prepare(jax.random.key(0), 0) if task.prepare else None
    size = 2000 if name in ("2a", "2b") else 10_000
    sample_batch = jax.jit(task.sample_batch, static_argnums=1)
    batch = jax.tree.map(np.asarray, sample_batch(KEY, size, data))
    return jax.random.split(KEY, size), data, batch


@pytest.fixture
def draw():
    """A function: a row's name to a batch of 10,000 (2a, 2b: 2000) sequences, as NumPy arrays."""
    return lambda name: _draw(name)[-1]


@pytest.fixture
def draw_with_keys():
    """As `draw`, but to (keys, the data of `Task.prepare`, the batch)."""
    return _draw


@pytest.fixture
def assert_frequencies():
    """A chi-square test: (counts, probabilities)."""

    def assert_frequencies(counts, probabilities) -> None:
        counts, expected = np.asarray(counts), np.sum(counts) * np.asarray(probabilities)
        assert np.isclose(np.sum(probabilities), 1.0)
        assert np.min(expected) > 5  # or the statistic is not distributed as chi-square
        assert scipy.stats.chisquare(counts, expected).pvalue > SIGNIFICANCE

    return assert_frequencies


@pytest.fixture
def assert_uniform(assert_frequencies):
    """A chi-square test of uniform integers: (integers, low, high), both included."""

    def assert_uniform(integers, low: int, high: int) -> None:
        integers = np.ravel(integers)
        assert low <= np.min(integers) and np.max(integers) <= high
        values = high - low + 1
        assert_frequencies(np.bincount(integers - low, minlength=values), np.ones(values) / values)

    return assert_uniform


@pytest.fixture
def assert_distributed():
    """A Kolmogorov-Smirnov test: (numbers, distribution of scipy.stats)."""

    def assert_distributed(numbers, distribution) -> None:
        assert scipy.stats.kstest(np.ravel(numbers), distribution.cdf).pvalue > SIGNIFICANCE

    return assert_distributed


@pytest.fixture
def assert_gaussian(assert_distributed):
    """Tests of Gaussian numbers of mean 0: (numbers, variance)."""

    def assert_gaussian(numbers, variance: float) -> None:
        squares = np.ravel(numbers).astype(np.float64) ** 2 / variance
        tail = scipy.stats.chi2(squares.size).cdf(squares.sum())
        assert 2 * min(tail, 1 - tail) > SIGNIFICANCE
        z = np.sum(numbers, dtype=np.float64) / np.sqrt(variance * squares.size)
        assert 2 * scipy.stats.norm.sf(abs(z)) > SIGNIFICANCE
        assert_distributed(np.ravel(numbers)[:100_000], scipy.stats.norm(scale=np.sqrt(variance)))

    return assert_gaussian
