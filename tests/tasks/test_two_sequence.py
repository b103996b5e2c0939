"""Tasks 3a, 3b and 3c."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats

# T and N
ROWS = {
    "3a-100-3": (100, 3),
    "3a-100-1": (100, 1),
    "3a-1000-3": (1000, 3),
    "3b-100-3": (100, 3),
    "3c-100-3": (100, 3),
}
TARGETS = {"3a": (1.0, 0.0), "3b": (1.0, 0.0), "3c": (0.2, 0.8)}  # of classes 1 and 2


def _is_class_1(name: str, batch) -> np.ndarray:
    one, two = np.float32(TARGETS[name[:2]])
    assert set(batch.true_targets[:, 0]) == {one, two}
    return batch.true_targets[:, 0] == one


@pytest.mark.parametrize("name", ROWS)
def test_lengths_and_classes_are_uniform(name, draw, assert_uniform):
    min_length, batch = ROWS[name][0], draw(name)
    assert_uniform(batch.length, min_length, min_length + min_length // 10)
    assert_uniform(_is_class_1(name, batch).astype(int), 0, 1)


@pytest.mark.parametrize("name", ROWS)
def test_the_signal_tells_the_class_and_gaussian_noise_follows(name, draw, assert_gaussian):
    """The variance of all noise is 0.2; only in 3b there is noise on the signal."""
    num_signal, batch = ROWS[name][1], draw(name)
    steps = np.arange(batch.inputs.shape[1])
    noise = batch.inputs[(steps >= num_signal) & (steps < batch.length[:, None])]
    assert_gaussian(noise, 0.2)
    signal = np.where(_is_class_1(name, batch), 1.0, -1.0)[:, None]
    if name.startswith("3b"):
        assert_gaussian(batch.inputs[:, :num_signal, 0] - signal, 0.2)
    else:
        assert np.all(batch.inputs[:, :num_signal, 0] == signal)
        assert not np.any(np.abs(batch.inputs[:, num_signal]) == 1.0)


def test_noise_is_white(draw):
    """Neighbouring elements, and class and noise, are uncorrelated."""
    batch = draw("3a-100-3")
    noise = batch.inputs[:, 3:100, 0]
    assert scipy.stats.pearsonr(noise[:, :-1].ravel(), noise[:, 1:].ravel()).pvalue > 1e-4
    signal = np.broadcast_to(batch.inputs[:, :1, 0], noise.shape)
    assert scipy.stats.pearsonr(signal.ravel(), noise.ravel()).pvalue > 1e-4


@pytest.mark.parametrize("name", [name for name in ROWS if name[:2] != "3c"])
def test_targets_of_3a_and_3b_have_no_noise(name, draw):
    assert np.array_equal(draw(name).targets, draw(name).true_targets)


def test_training_targets_of_3c_have_independent_noise_of_variance_01(draw, assert_gaussian):
    batch = draw("3c-100-3")
    noise = batch.targets - batch.true_targets
    is_class_1 = _is_class_1("3c-100-3", batch)
    for of_class in (noise, noise[is_class_1], noise[~is_class_1]):
        assert_gaussian(of_class, 0.1)
    assert scipy.stats.pearsonr(noise[:, 0], batch.inputs[:, 50, 0]).pvalue > 1e-4
