"""Scores are what their names say."""

from __future__ import annotations

import numpy as np
import pytest

from lstm_jax import scores

RNG = np.random.default_rng(0)
LABELS, PREDICTED = RNG.integers(0, 4, (2, 50))


def test_a_confusion_matrix_counts_pairs():
    matrix = scores.confusion_matrix(LABELS, PREDICTED, num_classes=5)
    for true in range(5):
        for predicted in range(5):
            pairs = (true == LABELS) & (predicted == PREDICTED)
            assert matrix[true, predicted] == pairs.sum()
    assert scores.accuracy(LABELS, PREDICTED) == np.trace(matrix) / 50


def test_what_has_no_weight_does_not_count():
    padded = np.append(PREDICTED, -1)
    weights = np.append(np.ones(50), 0)
    found = scores.accuracy(np.append(LABELS, 0), padded, weights)
    assert found == scores.accuracy(LABELS, PREDICTED)
    assert scores.accuracy(["a", "b"], ["a", "c"]) == 0.5


def test_forecast_errors_by_hand():
    targets, last = np.array([[1.0], [2.0], [4.0]]), np.array([[0.0], [1.0], [2.0]])
    found = scores.forecast_errors(targets, targets + np.array([[3.0], [0.0], [-4.0]]), last)
    np.testing.assert_allclose(found, [5 / np.sqrt(3), 7 / 3, np.sqrt(2), 4 / 3])
    exact = scores.forecast_errors(targets, targets, targets)
    assert exact == (0, 0, 0, 0)


def test_arguments_that_do_not_fit_are_named():
    for call, message in (
        (lambda: scores.accuracy([1, 2], [1]), r"predicted must be of shape \(2,\)"),
        (lambda: scores.accuracy([1], [1], [0]), "weights must be positive"),
        (lambda: scores.accuracy([1], [1], [1, 2]), "weights must be of shape"),
        (lambda: scores.confusion_matrix([0], [2], 2), r"predicted must be integers in \[0, 2\)"),
        (lambda: scores.confusion_matrix([0.5], [1], 2), "labels must be integers"),
        (lambda: scores.forecast_errors([1.0], [1.0], [1.0, 2.0]), "last_known must be of shape"),
    ):
        with pytest.raises(ValueError, match=message):
            call()
