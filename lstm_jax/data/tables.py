"""Sequences from a table: a pandas or polars DataFrame, or a dictionary of columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np


class Table(Protocol):
    """A table by columns, such as a DataFrame, a dictionary of arrays or a structured array."""

    def __getitem__(self, name: str, /) -> object:
        """Return a column."""


def columns(table: Table, names: Sequence[str]) -> np.ndarray:
    """Return columns of a table as an array [rows, columns].

    >>> columns({"x": [1, 2], "y": [0.5, 0.0]}, ["x", "y"]).tolist()
    [[1.0, 0.5], [2.0, 0.0]]

    Args:
      table: anything whose `table[name]` is a column.
      names: the columns, at least one; of numbers.

    Raises:
      ValueError: if a column is missing, does not hold numbers, or has another length.
    """
    if isinstance(names, str) or not len(names):
        raise ValueError(f"names must be a list of columns, got {names!r}")
    found = [_numbers(name, _column(table, name)) for name in names]
    if len({len(column) for column in found}) > 1:
        lengths = ", ".join(f"{n}: {len(c)}" for n, c in zip(names, found, strict=True))
        raise ValueError(f"names must be of columns of one length, got {lengths}")
    return np.column_stack(found)


def group(table: Table, names: Sequence[str], by: str) -> tuple[np.ndarray, list[np.ndarray]]:
    """Cut a table into sequences, the rows that share a value of the column `by`.

    >>> table = {"patient": ["b", "a", "b"], "pulse": [70.0, 80.0, 71.0]}
    >>> ids, sequences = group(table, ["pulse"], by="patient")
    >>> ids.tolist(), [sequence.tolist() for sequence in sequences]
    (['b', 'a'], [[[70.0], [71.0]], [[80.0]]])

    Args:
      table: as of `columns`; rows are in the order of time.
      names: the columns of the sequences.
      by: the column that says which sequence a row belongs to.

    Returns:
      The values of `by` and the sequences [T_i, columns], in the order of their first rows.

    Raises:
      ValueError: if a column is missing, does not hold numbers, or has another length.
    """
    values = columns(table, names)
    ids, first, members = np.unique(_column(table, by), return_index=True, return_inverse=True)
    if len(members) != len(values):
        raise ValueError(f"by must be a column of {len(values)} rows, got {len(members)}")
    order = np.argsort(first)
    return ids[order], [values[members == i] for i in order]


def _column(table: Table, name: str) -> np.ndarray:
    try:
        column = np.asarray(table[name])
    except (KeyError, IndexError, ValueError) as error:
        raise ValueError(f"table must have the column {name!r}") from error
    if column.ndim != 1:
        raise ValueError(f"column {name!r} must have one axis, got shape {column.shape}")
    return column


def _numbers(name: str, column: np.ndarray) -> np.ndarray:
    try:
        return column.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"column {name!r} must hold numbers: {error}") from error
