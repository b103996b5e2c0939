"""Predictions of a network of `fit` for a file of sequences.

    python -m experiments.predict --net=DIR/net.safetensors --data=new.csv --out=predicted.csv
    python -m experiments.predict --net=DIR/net.safetensors --data=new.npz --out=predicted.npz

The file is as for `fit`; labels and targets may be absent. A row says for which sequence (as the
column `sequence` of the file calls it, otherwise by its number from 0) and after which step (from
0), what is predicted, and the outputs: the probabilities of classes and symbols, or forecasts in
the units of the file.
"""

from __future__ import annotations

import csv
import io

import numpy as np

from experiments.cli.command import Command, FlagSet, FlagValues, configure
from experiments.cli.files import check_free
from experiments.own_data.files import Data, read_data
from experiments.own_data.run import outputs_of, read_network
from experiments.own_data.tasks import About, encode_data, in_units
from lstm_jax.network.writing import write_atomically


def define(flags: FlagSet) -> None:
    flags.file("net", "net.safetensors of `fit` (required).")
    flags.file("data", "The .npz or .csv file (required).")
    flags.file("out", "The .npz or .csv file to write (required).")
    flags.items("ignore", [], "Columns of a .csv file that are not inputs.")
    flags.switch("overwrite", False, "Replace an existing file.")


def main(values: FlagValues) -> None:
    """Write the predictions."""
    configure()
    path, out = values.data, values.out
    if out.suffix not in (".csv", ".npz") or not out.parent.is_dir():
        raise ValueError(f"--out must be a .csv or .npz file in an existing folder, got {out}")
    check_free(out, values.overwrite)
    data = read_data(path, values.ignore)
    net, parameters, about = read_network(values.net)
    try:
        inputs, places = cut(data, about)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    outputs = outputs_of(net, parameters, inputs, per_step := about["per_step"])
    if per_step and about["task"] != "next-symbol":
        places = [(i, t) for i, sequence in enumerate(inputs) for t in range(len(sequence))]
        rows = np.concatenate(outputs)
    else:
        rows = np.stack([y[-1] if per_step else y for y in outputs])
    columns = table(rows, np.array(places), about)
    if data.names is not None:
        columns["sequence"] = np.array(data.names)[columns["sequence"]]
    write_atomically(out, content(out.suffix, columns), overwrite=values.overwrite)
    print(f"wrote {out}, {len(rows)} predictions")


def cut(data: Data, about: About) -> tuple[list[np.ndarray], list[tuple[int, int]]]:
    """Return the inputs of each prediction, and the sequence and the step that it is made after."""
    inputs = encode_data(data, about)
    if "window" not in about:
        return inputs, [(i, len(sequence) - 1) for i, sequence in enumerate(inputs)]
    window = about["window"]
    places = [(i, t) for i, s in enumerate(inputs) for t in range(window - 1, len(s))]
    if not places:
        raise ValueError(f"a forecast needs {window} steps of a series")
    return [inputs[i][t - window + 1 : t + 1] for i, t in places], places


def table(rows: np.ndarray, places: np.ndarray, about: About) -> dict[str, np.ndarray]:
    """Return the columns of the file."""
    columns = {"sequence": places[:, 0], "step": places[:, 1]}
    if "window" in about:
        rows = in_units(rows, about)
        return columns | {name: rows[:, k] for k, name in enumerate(about["target"])}
    names = about.get("classes") or about.get("symbols")
    if names is None or about["task"] not in ("classify", "next-symbol"):
        return columns | {f"output {k}": rows[:, k] for k in range(rows.shape[1])}
    rows = rows[:, : len(names)]
    columns["predicted"] = np.array(names)[rows.argmax(1)]
    return columns | {f"P({name})": rows[:, k] for k, name in enumerate(names)}


def content(suffix: str, columns: dict[str, np.ndarray]) -> bytes:
    """Return the columns as the content of a file."""
    if suffix == ".npz":
        file = io.BytesIO()
        np.savez(file, **columns)  # pyright: ignore[reportArgumentType]
        return file.getvalue()
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*(column.tolist() for column in columns.values()), strict=True))
    return text.getvalue().encode()


COMMAND = Command("predict", __doc__, define, main)
if __name__ == "__main__":
    COMMAND.run()
