"""Scores of classes and of forecasts, in NumPy."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from lstm_jax.cell.validation import as_integer, require


def accuracy(labels: ArrayLike, predicted: ArrayLike, weights: ArrayLike | None = None) -> float:
    """Return the part of the predictions that equal their label.

    >>> accuracy([0, 1, 2, 2], [0, 1, 2, 0])
    0.75

    Args:
      labels: [...] the classes, integers or names.
      predicted: [...] the predicted ones.
      weights: [...] the weight of each, such as False at padding; None: 1.

    Raises:
      ValueError: if the shapes differ, or no weight is positive.
    """
    labels, predicted = _pair("predicted", labels, predicted)
    weights = np.ones(labels.shape) if weights is None else np.asarray(weights, np.float64)
    require(weights.shape == labels.shape, "weights", f"of shape {labels.shape}", weights.shape)
    require(weights.sum() > 0, "weights", "positive for some prediction", weights)
    return float(np.average(labels == predicted, weights=weights))


def confusion_matrix(labels: ArrayLike, predicted: ArrayLike, num_classes: int) -> np.ndarray:
    """Return how often each class (a row) was predicted as each class (a column), [K, K].

    >>> confusion_matrix([0, 0, 1], [0, 1, 1], num_classes=2).tolist()
    [[1, 1], [0, 1]]

    Args:
      labels: [...] integers in [0, K), the classes.
      predicted: [...] integers in [0, K), the predicted ones.
      num_classes: K.

    Raises:
      ValueError: if the shapes differ, or a class is not in [0, K).
    """
    labels, predicted = _pair("predicted", labels, predicted)
    num_classes = as_integer("num_classes", num_classes, 1)
    for name, classes in (("labels", labels), ("predicted", predicted)):
        is_met = np.issubdtype(classes.dtype, np.integer)
        is_met = is_met and np.all((classes >= 0) & (classes < num_classes))
        require(is_met, name, f"integers in [0, {num_classes})", classes)
    matrix = np.zeros((num_classes, num_classes), int)
    np.add.at(matrix, (labels, predicted), 1)
    return matrix


class ForecastErrors(NamedTuple):
    """Errors of a forecast, and of persistence, which forecasts the last known value.

    Attributes:
      rmse: the root of the mean squared error.
      mae: the mean absolute error.
      persistence_rmse: the first of persistence.
      persistence_mae: the second of persistence.
    """

    rmse: float
    mae: float
    persistence_rmse: float
    persistence_mae: float


def forecast_errors(
    targets: ArrayLike, forecast: ArrayLike, last_known: ArrayLike
) -> ForecastErrors:
    """Return the errors of a forecast and of persistence.

    >>> forecast_errors(targets=[1.0, 3.0], forecast=[1.0, 2.0], last_known=[0.0, 1.0])[1::2]
    (0.5, 1.5)

    Args:
      targets: [...] the observed values.
      forecast: [...] the values that were forecast.
      last_known: [...] the values at the time of the forecast.

    Raises:
      ValueError: if the shapes differ.
    """
    targets, forecast = _pair("forecast", targets, forecast)
    targets, last_known = _pair("last_known", targets, last_known)
    rmse = lambda other: float(np.sqrt(np.mean((other - targets) ** 2)))
    mae = lambda other: float(np.mean(np.abs(other - targets)))
    return ForecastErrors(rmse(forecast), mae(forecast), rmse(last_known), mae(last_known))


def _pair(name: str, first: ArrayLike, second: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    first, second = np.asarray(first), np.asarray(second)
    require(second.shape == first.shape, name, f"of shape {first.shape}", second.shape)
    return first, second
