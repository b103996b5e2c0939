"""Sunspots: yearly numbers by the split of Weigend et al., and monthly ones; forecast by one step.

A window of the last values is the input, the next value the target. Errors are squared and divided
by a variance: 1535 for years, as in the literature, and that of the test part for months.

Reference:
  A. S. Weigend, B. A. Huberman and D. E. Rumelhart. Predicting the future: a connectionist
  approach. International Journal of Neural Systems 1(3):193-209, 1990.
"""

from __future__ import annotations

import pathlib
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from experiments.own_data.tasks import Part, Prepared
from experiments.real.base import Data, Domain, Scores, package_file
from lstm_jax import half_squared_error
from lstm_jax.data import fit_scaler, split_time, windows

VARIANCE = 1535.0  # of the years, in the literature
YEARS = ((1700, 1921), (1921, 1956), (1956, 1980), (1980, 2009))  # training, tests
WINDOW = {"years": 28, "months": 36}
VALIDATION = 0.15  # of the training part, its end
MONTHS_OF_TEST = 0.15


class Series(NamedTuple):
    """A series and its cuts: the first part trains, the others are tests.

    Attributes:
      values: [T] float64.
      parts: the steps of each part.
      names: of the tests.
      variances: by which the squared errors of each test are divided.
      window: steps of an input.
      orders: of the autoregressive baselines.
      published: measures from the literature.
    """

    values: np.ndarray
    parts: list[slice]
    names: list[str]
    variances: list[float]
    window: int
    orders: Sequence[int]
    published: dict[str, Scores]


def read_years() -> Series:
    """Return the yearly series, with the tests of the literature and the years after them."""
    path = package_file("statsmodels", "sunspots/sunspots.csv")
    years, values = np.loadtxt(path, delimiter=",", skiprows=1).T
    parts = [slice(*np.searchsorted(years, ends).tolist()) for ends in YEARS]
    names = [f"{first}-{end - 1}" for first, end in YEARS[1:]]
    of = lambda *errors: dict(zip(names, errors, strict=False))
    published = {"network (Weigend)": of(0.086, 0.35), "threshold AR (Tong)": of(0.097, 0.28)}
    variances = [VARIANCE] * len(names)
    return Series(values, parts, names, variances, WINDOW["years"], (9, 12), published)


def read_months() -> Series:
    """Return the monthly series; its last part is the test."""
    lines = package_file("statsmodels", "src/sunspots_monthly.dat").read_text().splitlines()
    rows = [line.split() for line in lines]
    values = np.array([float(x) for row in rows if row and row[0].isdigit() for x in row[1:]])
    parts = split_time(len(values), (1 - MONTHS_OF_TEST, MONTHS_OF_TEST))
    names, variances = ["last 15 %"], [float(values[parts[1]].var())]
    return Series(values, parts, names, variances, WINDOW["months"], (12, 36), {})


def make_loader(read: Callable[[], Series]) -> Callable[[pathlib.Path], Data]:
    """Return the function that loads a series; nothing of it needs a cache."""
    return lambda _: make_data(read())


def make_data(series: Series) -> Data:
    """Cut a series into windows, scale them by the training part, and forecast by baselines."""
    training = series.parts[0]
    fitting, validation = split_time(training.stop, (1 - VALIDATION, VALIDATION))
    scaler = fit_scaler(series.values[fitting, None])
    scaled = scaler.transform(series.values[:, None]).astype(np.float32)
    cut = lambda part: cut_windows(scaled, part, series.window)
    tests = [cut(part) for part in series.parts[1:]]
    test = Part(*(list(np.concatenate(arrays)) for arrays in zip(*tests, strict=True)))
    parts = [cut(fitting), cut(validation), test]
    targets = [series.values[part] for part in series.parts[1:]]

    def score(outputs: Sequence[np.ndarray]) -> Scores:
        return errors(scaler.inverse(np.array(outputs, np.float64))[:, 0])

    def errors(forecast: np.ndarray) -> Scores:
        ends = np.cumsum([len(target) for target in targets])[:-1]
        found = zip(series.names, np.split(forecast, ends), targets, series.variances, strict=True)
        return {name: float(np.mean((y - t) ** 2) / variance) for name, y, t, variance in found}

    tested = np.concatenate([np.arange(part.start, part.stop) for part in series.parts[1:]])
    baselines = {"last value": errors(series.values[tested - 1])}
    fits = [(f"AR({order})", order, training) for order in series.orders]
    fits.append((f"AR({series.orders[-1]}) without the validation part", fits[-1][1], fitting))
    for name, order, part in fits:
        forecast = forecast_by(fit_autoregression(series.values[part], order), series.values)
        baselines[name] = errors(forecast[tested])
    prepared = Prepared(parts, 1, False, {"scaler": [x.tolist() for x in scaler]})
    return Data(prepared, 1, half_squared_error, score, baselines, series.published)


def cut_windows(series: np.ndarray, part: slice, window: int) -> Part:
    """Return the windows whose targets are the steps of a part, inputs from before it included."""
    inputs, targets = windows(series[max(part.start - window, 0) : part.stop], window)
    return Part(list(inputs), list(targets))


def fit_autoregression(values: np.ndarray, order: int) -> np.ndarray:
    """Return the coefficients [order + 1] of least squares: a constant, then lag 1, 2, ...

    >>> fit_autoregression(2.0 ** np.arange(6), 1).round(6) + 0.0
    array([0., 2.])
    """
    lagged, targets = windows(values, order)
    matrix = np.column_stack([np.ones(len(lagged)), lagged[:, ::-1]])
    return np.linalg.lstsq(matrix, targets, rcond=None)[0]


def forecast_by(coefficients: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return the forecast [T] of every step from those before; NaN for the first ones.

    >>> forecast_by(np.array([1.0, 2.0]), np.array([3.0, 4.0])).tolist()
    [nan, 7.0]
    """
    order = len(coefficients) - 1
    lagged, _ = windows(values, order)
    return np.append(np.full(order, np.nan), coefficients[0] + lagged[:, ::-1] @ coefficients[1:])


YEARLY = Domain(
    title="Sunspots of the next year",
    about=(
        "Yearly sunspot numbers 1700-2008 (package statsmodels, public domain), squared error "
        "divided by 1535. Years to 1920 train, of which the last 15 % choose the epoch; the tests "
        "1921-1955 and 1956-1979 are those of Weigend et al. (1990), the years after them are new."
    ),
    load=make_loader(read_years),
    cells=8,
    epochs=400,
    patience=60,
)
MONTHLY = Domain(
    title="Sunspots of the next month",
    about=(
        "Monthly sunspot numbers 1749 to June 2009 (package statsmodels, public domain), squared "
        "error divided by the variance of the test part, the last 15 %."
    ),
    load=make_loader(read_months),
    cells=8,
    epochs=60,
    patience=15,
    batch_size=32,
)
