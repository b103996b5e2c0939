"""Diagnosis of trained networks: problems, the paper's remedies, active gates.

    python -m experiments.diagnose experiments/results/6a/6a.json
    python -m experiments.diagnose 'out/4-100*.json' out/6b.json --sequences=500 --seed=1
    python -m experiments.diagnose DIR/net.safetensors --data=machines.csv

A result file has the network of its first solved trial; if none was solved, of its first trial. It
is run on fresh sequences of its task. A network of `fit` is run on the sequences of `--data`. The
findings of the library's `diagnose` are printed, one per line.
"""

from __future__ import annotations

import glob
import pathlib

import jax
import numpy as np

from experiments.cli.command import Command, FlagSet, FlagValues
from experiments.own_data.files import read_data
from experiments.own_data.run import read_network
from experiments.own_data.tasks import encode_data
from experiments.rows.collection import has_solved_network, read_result
from experiments.rows.text import printable
from lstm_jax import diagnose, make_task, pad_sequences, plots
from lstm_jax.network.files import network_from_document


def findings(path: pathlib.Path, sequences: int, seed: int) -> tuple[str, list[str]]:
    """Return a title and the findings for a result file; raise ValueError without a network."""
    document = read_result(path)
    try:
        architecture, parameters = network_from_document(document)
        task = make_task(document["task"])
        if architecture.num_inputs != task.architecture.num_inputs:
            raise ValueError(f"a network of task {task.name} must have its inputs")
    except ValueError as error:
        raise ValueError(f"{path} must hold an LSTM network: {error}") from error
    batch = task.sample_batch(jax.random.key(seed), sequences)
    symbols = plots.symbol_names(document["task"])
    found = diagnose(architecture, parameters, batch.inputs, batch.length, symbols=symbols)
    title = path.stem if has_solved_network(document) else f"{path.stem}, not solved"
    return title, [str(finding) for finding in found]


def findings_on(path: pathlib.Path, data: pathlib.Path, ignore: list[str]) -> list[str]:
    """Return the findings for a network of `fit` on the sequences of a file."""
    architecture, parameters, about = read_network(path)
    inputs, lengths = pad_sequences(encode_data(read_data(data, ignore), about))
    names = about.get("symbols") or about["channels"]
    found = diagnose(architecture, parameters, np.asarray(inputs), lengths, symbols=names)
    return [str(finding) for finding in found]


def define(flags: FlagSet) -> None:
    flags.items("files", [], "Files or patterns, which are usually given without a flag.")
    flags.text("data", None, "The .npz or .csv file for networks of `fit`.")
    flags.items("ignore", [], "Columns of a .csv file that are not inputs.")
    flags.integer("sequences", 200, "Fresh sequences for each network.", 1, 100_000)
    flags.seed()


def main(values: FlagValues) -> None:
    """Print the findings of each file."""
    if not values.files:
        raise ValueError("--files must name at least one result file")
    for path in expand(values.files):
        if path.suffix == ".safetensors":
            if values.data is None:
                raise ValueError(f"{path} needs --data, sequences to run it on")
            data = pathlib.Path(values.data).expanduser()
            title, found = path.stem, findings_on(path, data, values.ignore)
        elif values.data is not None or values.ignore:
            raise ValueError(f"--data and --ignore are for networks of `fit`, got {path}")
        else:
            title, found = findings(path, values.sequences, values.seed)
        print(f"{printable(title)}: {len(found) or 'no'} finding{'s' * (len(found) != 1)}")
        for sentence in found:
            print(f"  - {printable(sentence)}")


def expand(files: list[str]) -> list[pathlib.Path]:
    """Return paths, those of a pattern in alphabetical order."""
    paths = []
    for name in files:
        found = [name] if pathlib.Path(name).exists() else sorted(glob.glob(name))
        paths += map(pathlib.Path, found or [name])
    return paths


COMMAND = Command("diagnose", __doc__, define, main, operands="files")
if __name__ == "__main__":
    COMMAND.run()
