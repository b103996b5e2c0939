"""Diagnosis of the networks in result files: problems, the paper's remedies, gate activity.

    python -m experiments.diagnose experiments/results/6a/6a.json
    python -m experiments.diagnose out/4-100.json out/4-100.adam.json --sequences=500
    python -m experiments.diagnose --files=out/6b.json --seed=1

A result file holds the network of its first solved trial. The network is run on fresh sequences of
its task, and the findings of `lstm_jax.diagnose` are printed, one per line.
"""

from __future__ import annotations

import pathlib

import jax

from experiments.cli.command import Command, FlagSet, FlagValues
from experiments.rows.collection import read_result
from lstm_jax import diagnose, make_task, plots
from lstm_jax.network.files import network_from_document


def findings(path: pathlib.Path, sequences: int, seed: int) -> list[str]:
    """Return the findings for the network of a result file; raise ValueError if it has none."""
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
    return [str(finding) for finding in found]


def define(flags: FlagSet) -> None:
    flags.items("files", [], "Result files (.json), which may also be given without the flag.")
    flags.integer("sequences", 200, "Fresh sequences for each network.", 1, 100_000)
    flags.seed()


def main(values: FlagValues) -> None:
    """Print the findings of each file."""
    if not values.files:
        raise ValueError("--files must name at least one result file")
    for path in map(pathlib.Path, values.files):
        found = findings(path, values.sequences, values.seed)
        print(f"{path.stem}: {len(found) or 'no'} finding{'s' * (len(found) != 1)}")
        for sentence in found:
            print(f"  - {sentence}")


COMMAND = Command("diagnose", __doc__, define, main, operands="files")
if __name__ == "__main__":
    COMMAND.run()
