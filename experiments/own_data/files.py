"""Sequences in files: .npz with arrays, or .csv with a row per step.

.npz: `inputs` [N, T, I] floating or [N, T] integers (symbols), or one series [T, I]; `lengths` [N],
the steps before the padding (optional); `labels` [N] or [N, T], integers or names; `targets` [N, K]
or [N, T, K] floating.

.csv: a header, then a row per step, in the order of time. `sequence` says which sequence a row
belongs to (without it all rows are one); `label` is its class and `symbol` its input, any text. All
other columns are numbers, the inputs' channels.
"""

from __future__ import annotations

import csv
import pathlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from lstm_jax import data

NAMES = ("inputs", "lengths", "labels", "targets")


class Data(NamedTuple):
    """Sequences, with what is known of each."""

    inputs: list[np.ndarray]
    """[T_i, I] floating, or [T_i] symbols: integers, or texts that are not numbered yet."""
    labels: list[np.ndarray] | None
    """Texts, one per sequence or [T_i], one per step."""
    targets: list[np.ndarray] | None
    """[K] per sequence or [T_i, K] per step."""
    channels: list[str]
    """The names of the I inputs; none for symbols."""
    names: list[str] | None = None
    """The sequences' own names, in the order of `inputs`; None if they have none."""

    @property
    def are_symbols(self) -> bool:
        """Whether the inputs are symbols."""
        return self.inputs[0].ndim == 1


def read_data(path: pathlib.Path, ignore: Sequence[str] = ()) -> Data:
    """Read a file; raise ValueError, which names it, if it does not hold sequences."""
    if path.suffix not in (".npz", ".csv"):
        raise ValueError(f"--data must be a .npz or .csv file, got {path}")
    if not path.is_file():
        raise ValueError(f"--data must be an existing file, got {path}")
    try:
        return _read_npz(path) if path.suffix == ".npz" else _read_csv(path, ignore)
    except (ValueError, OSError, EOFError, csv.Error) as error:
        raise ValueError(f"{path}: {' '.join(str(error).split())}") from error


def _read_npz(path: pathlib.Path) -> Data:
    with np.load(path, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    for name in sorted({*arrays} - {*NAMES}):
        raise ValueError(f"has an array {name!r}; it may have {', '.join(NAMES)}")
    if "inputs" not in arrays:
        raise ValueError("lacks the array 'inputs'")
    inputs = arrays["inputs"]
    is_number = inputs.dtype.kind in "biu"
    if inputs.ndim == (1 if is_number else 2):  # one series
        inputs = inputs[None]
    if inputs.ndim != (2 if is_number else 3) or inputs.dtype.kind not in "biuf" or not inputs.size:
        wanted = "[N, T, I] floating or [N, T] integers"
        raise ValueError(f"inputs must be {wanted}, got {inputs.dtype} {inputs.shape}")
    steps = inputs.shape[1]
    lengths = arrays.get("lengths", np.full(len(inputs), steps))
    is_met = lengths.shape == inputs.shape[:1] and lengths.dtype.kind in "iu"
    if not is_met or lengths.min() < 1 or lengths.max() > steps:
        raise ValueError(f"lengths must be {len(inputs)} integers in [1, {steps}]")
    cut = lambda array: [row[:n] for row, n in zip(array, lengths, strict=True)]
    of_each = {}
    for name in {"labels", "targets"} & {*arrays}:
        array = arrays[name]
        if len(array) != len(inputs):
            raise ValueError(f"{name} must be of {len(inputs)} sequences, got {len(array)}")
        is_per_step = array.ndim == (2 if name == "labels" else 3)
        if is_per_step and array.shape[1] != steps:
            raise ValueError(f"{name} must be of {steps} steps, got {array.shape[1]}")
        array = array.astype(str) if name == "labels" else array.astype(np.float64)
        of_each[name] = cut(array) if is_per_step else list(array)
    channels = [] if is_number else [f"x{i}" for i in range(inputs.shape[2])]
    return Data(cut(inputs), of_each.get("labels"), of_each.get("targets"), channels)


def _read_csv(path: pathlib.Path, ignore: Sequence[str]) -> Data:
    with path.open(newline="", encoding="utf-8-sig") as file:
        header, *rows = [row for row in csv.reader(file) if row] or [[]]
    if not header or not rows:
        raise ValueError("must have a header and a row per step")
    for number, row in enumerate(rows, 2):
        if len(row) != len(header):
            raise ValueError(f"line {number} must have {len(header)} columns, got {len(row)}")
    if len({*header}) < len(header):
        raise ValueError("has two columns of one name")
    for name in sorted({*ignore} - {*header}):
        raise ValueError(f"has no column {name!r} to ignore, but {', '.join(header)}")
    table = dict(zip(header, map(np.array, zip(*rows, strict=True)), strict=True))
    channels = [n for n in header if n not in ("sequence", "label", "symbol", *ignore)]
    by = table.get("sequence", np.zeros(len(rows)))
    ids, first, members = np.unique(by, return_index=True, return_inverse=True)
    order = np.argsort(first)
    of_each = lambda column: [column[members == i] for i in order]
    names = [str(ids[i]) for i in order] if "sequence" in table else None
    labels = of_each(table["label"]) if "label" in table else None
    if labels and len(ids) > 1 and all(len({*each}) == 1 for each in labels):
        labels = [each[0] for each in labels]
    if "symbol" in table:
        return Data(of_each(table["symbol"]), labels, None, [], names)
    if not channels:
        raise ValueError("must have a column 'symbol' or columns of numbers")
    try:
        values = data.columns(table, channels)
    except ValueError as error:
        raise ValueError(f"{error}; --ignore=COLUMN leaves it out") from error
    return Data(of_each(values), labels, None, channels, names)
