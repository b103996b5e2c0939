"""Tasks 3a, 3b and 3c."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats

ROWS = {
    "3a-100-3": (100, 3),
    "3a-100-1": (100, 1),
    "3a-1000-3": (1000, 3),
    "3b-100-3": (100, 3),
    "3c-100-3": (100, 3),
}
# The true targets of classes 1 and 2.
TARGETS = {"3a": (1.0, 0.0), "3b": (1.0, 0.0), "3c": (0.2, 0.8)}


def _is_class_1(name: str, batch) -> np.ndarray:
    """The class, from the true targets, which must be the variant's two."""
    one, two = np.float32(TARGETS[name[:2]])
    assert set(batch.true_targets[:, 0]) == {one, two}
    return batch.true_targets[:, 0] == one


def _noise(name: str, batch, num_signal: int) -> np.ndarray:
    """All real elements after the signal."""
    steps = np.arange(batch.inputs.shape[1])
    return batch.inputs[(steps >= num_signal) & (steps < batch.length[:, None])]


@pytest.mark.parametrize("name", ROWS)
def test_lengths_and_classes_are_uniform(name, draw, assert_uniform):
    min_length = ROWS[name][0]
    batch = draw(name)
    assert_uniform(batch.length, min_length, min_length + min_length // 10)
    assert_uniform(_is_class_1(name, batch).astype(int), 0, 1)


@pytest.mark.parametrize("name", [name for name in ROWS if name[:2] != "3b"])
def test_the_signal_without_noise_tells_the_class(name, draw):
    num_signal = ROWS[name][1]
    batch = draw(name)
    signal = np.where(_is_class_1(name, batch), 1.0, -1.0)
    for t in range(num_signal):
        assert np.array_equal(batch.inputs[:, t, 0], signal)
    assert not np.any(np.abs(batch.inputs[:, num_signal]) == 1.0)


@pytest.mark.parametrize("name", [name for name in ROWS if name[:2] == "3b"])
def test_the_signal_of_3b_has_the_same_noise(name, draw, assert_variance, assert_distributed):
    num_signal = ROWS[name][1]
    batch = draw(name)
    signal = np.where(_is_class_1(name, batch), 1.0, -1.0)[:, None]
    noise = batch.inputs[:, :num_signal, 0] - signal
    assert_variance(noise, 0.2)
    assert_distributed(noise, scipy.stats.norm(scale=np.sqrt(0.2)))


@pytest.mark.parametrize("name", ROWS)
def test_noise_is_gaussian_of_variance_02(name, draw, assert_variance, assert_distributed):
    noise = _noise(name, draw(name), ROWS[name][1])
    assert_variance(noise, 0.2)
    assert_distributed(noise[:100_000], scipy.stats.norm(scale=np.sqrt(0.2)))


def test_noise_is_white(draw):
    """Neighbouring elements, and class and noise, are uncorrelated."""
    batch = draw("3a-100-3")
    noise = batch.inputs[:, 3:100, 0]
    assert scipy.stats.pearsonr(noise[:, :-1].ravel(), noise[:, 1:].ravel()).pvalue > 1e-4
    signal = np.broadcast_to(batch.inputs[:, :1, 0], noise.shape)
    assert scipy.stats.pearsonr(signal.ravel(), noise.ravel()).pvalue > 1e-4


@pytest.mark.parametrize("name", [name for name in ROWS if name[:2] != "3c"])
def test_targets_of_3a_and_3b_have_no_noise(name, draw):
    batch = draw(name)
    assert np.array_equal(batch.targets, batch.true_targets)


def test_training_targets_of_3c_have_noise_of_variance_01(
    draw, assert_variance, assert_distributed
):
    batch = draw("3c-100-3")
    noise = batch.targets - batch.true_targets
    is_class_1 = _is_class_1("3c-100-3", batch)
    for of_class in (noise, noise[is_class_1], noise[~is_class_1]):
        assert_variance(of_class, 0.1)
        assert_distributed(of_class, scipy.stats.norm(scale=np.sqrt(0.1)))
    # It has nothing to do with the noise of the inputs.
    assert scipy.stats.pearsonr(noise[:, 0], batch.inputs[:, 50, 0]).pvalue > 1e-4
