"""Diagnosis of trained networks: problems, the paper's remedies, active gates.

    python -m experiments.diagnose experiments/results/6a/6a.json
    python -m experiments.diagnose 'out/4-100*.json' out/6b.json --sequences=500 --seed=1
    python -m experiments.diagnose out/my.TASK.json --task=my.py:TASK --pictures=DIR
    python -m experiments.diagnose DIR/net.safetensors --data=machines.csv --pictures=DIR

A result file has the network of its first solved trial; if none was solved, of its first trial. It
is run on fresh sequences of its task; that of `own_task` is given by --task. A network of `fit` is
run on the sequences of --data. The findings of the library's `diagnose` are printed, one per line.
With --pictures, each network is drawn at work on a sequence, as NAME.network.png.
"""

from __future__ import annotations

import functools
import glob
import pathlib
from collections.abc import Callable
from typing import NamedTuple

import jax
import numpy as np

from experiments.cli.command import Command, FlagSet, FlagValues
from experiments.cli.files import check_free, make_folder, save_picture
from experiments.own_data.files import read_data
from experiments.own_data.run import read_network
from experiments.own_data.tasks import encode_data
from experiments.own_task import load_task
from experiments.rows.collection import has_solved_network, paper_task, read_result
from experiments.rows.text import printable
from experiments.tables import network_at_work
from lstm_jax import diagnose, make_task, pad_sequences, plots
from lstm_jax.network.files import network_from_document
from lstm_jax.plots import style


class Diagnosis(NamedTuple):
    """What is printed and drawn of a network."""

    title: str
    findings: list[str]
    draw: Callable[[], style.Figure]


def diagnose_result(path: pathlib.Path, values: FlagValues) -> Diagnosis:
    """Return the diagnosis of a result file; raise ValueError if it does not fit its task."""
    document = read_result(path)
    if values.task is None and paper_task(document["task"]) is None:
        raise ValueError(f"{path} needs --task=FILE.py:NAME, the task that it is of")
    try:
        architecture, parameters = network_from_document(document)
        task = make_task(document["task"]) if values.task is None else load_task(values.task)
        if architecture.num_inputs != task.architecture.num_inputs:
            raise ValueError(f"a network of task {task.name} must have its inputs")
    except ValueError as error:
        raise ValueError(f"{path} must hold an LSTM network: {error}") from error
    batch = task.sample_batch(jax.random.key(values.seed), values.sequences)
    symbols = plots.symbol_names(document["task"])
    found = diagnose(architecture, parameters, batch.inputs, batch.length, symbols=symbols)
    title = path.stem if has_solved_network(document) else f"{path.stem}, not solved"
    draw = functools.partial(network_at_work, document, task)
    return Diagnosis(title, [str(finding) for finding in found], draw)


def diagnose_fit(path: pathlib.Path, values: FlagValues) -> Diagnosis:
    """Return the diagnosis of a network of `fit` on the sequences of a file."""
    if values.data is None:
        raise ValueError(f"{path} needs --data, sequences to run it on")
    network, parameters, about = read_network(path)
    inputs, lengths = pad_sequences(encode_data(read_data(values.data, values.ignore), about))
    names = about.get("symbols") or about["channels"]
    found = diagnose(network, parameters, np.asarray(inputs), lengths, symbols=names)
    shown = {"length": int(lengths[0]), "symbols": names, "classes": about.get("classes")}
    draw = functools.partial(plots.network_at_work, network, parameters, inputs[0], **shown)
    return Diagnosis(path.stem, [str(finding) for finding in found], draw)


def define(flags: FlagSet) -> None:
    flags.items("files", [], "Files or patterns, which are usually given without a flag.")
    flags.file("data", "The .npz or .csv file for networks of `fit`.", required=False)
    flags.items("ignore", [], "Columns of a .csv file that are not inputs.")
    flags.text("task", None, "The task of `own_task`'s results, as FILE.py:NAME.")
    flags.folder("pictures", "Folder for pictures of the networks (default: none).", False)
    flags.switch("overwrite", False, "Replace existing pictures.")
    flags.integer("sequences", 200, "Fresh sequences for each network.", 1, 100_000)
    flags.seed()


def main(values: FlagValues) -> None:
    """Print the findings of each file."""
    if not values.files:
        raise ValueError("--files must name at least one result file")
    if values.pictures is not None:
        make_folder(values.pictures, "pictures")
    for path in expand(values.files):
        if path.suffix == ".safetensors":
            found = diagnose_fit(path, values)
        elif values.data is not None or values.ignore:
            raise ValueError(f"--data and --ignore are for networks of `fit`, got {path}")
        else:
            found = diagnose_result(path, values)
        number = len(found.findings)
        print(f"{printable(found.title)}: {number or 'no'} finding{'s' * (number != 1)}")
        for sentence in found.findings:
            print(f"  - {printable(sentence)}")
        if values.pictures is not None:
            picture = values.pictures / f"{path.stem}.network.png"
            check_free(picture, values.overwrite)
            print(f"wrote {save_picture(found.draw(), picture, values.overwrite)}")


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
