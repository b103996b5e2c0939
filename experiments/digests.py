"""Digests of short runs, to compare before and after a change: one line per row and recipe.

    python -m experiments.digests
    python -m experiments.digests --rows=6a,1-1

A digest is a hash of the sequences, tests, curves and weights of three trials. The recipes are
`paper`, the best other one of the committed results, and the best one of the ablation study.
"""

from __future__ import annotations

import dataclasses
import hashlib

import jax
import numpy as np

from experiments.ablations.__main__ import RESULTS
from experiments.ablations.page import best_known, gather
from experiments.cli.command import Command, FlagSet, FlagValues, configure
from experiments.rows.collection import all_rows, best, read_results
from lstm_jax import TrainingLoop, TrialRunner, baselines, make_recipe, make_task


def digest(row: str, recipe: str = "paper") -> str:
    """Return the digest of a short run of a row."""
    if row in baselines.row_names():
        loop = baselines.make_training_loop(row)
        task = dataclasses.replace(loop.task, max_sequences=60, test_size=8)
        loop = dataclasses.replace(loop, task=task)
    else:
        task = dataclasses.replace(make_task(row), max_sequences=120, test_size=8)
        loop = TrainingLoop(make_recipe(recipe).apply(task))
    found = hashlib.sha256()
    for result in TrialRunner(loop, range(3), seed=5).run():
        errors = float(result.test_error).hex(), float(result.test_squared_error).hex()
        numbers = repr((result.sequences, result.solved, result.test_wrong, *errors))
        model = result.model
        weights = getattr(model, "parameters", getattr(model, "weights", model))
        leaves = (np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(weights))
        hashes = sorted(hashlib.sha256(leaf).hexdigest() for leaf in leaves)
        found.update(numbers.encode() + result.curve.tobytes() + "".join(hashes).encode())
    return found.hexdigest()[:16]


def define(flags: FlagSet) -> None:
    flags.items("rows", all_rows(), "Rows to run (default: all).", all_rows())


def main(values: FlagValues) -> None:
    """Print the digests."""
    configure()
    others = best([d for d in read_results() if d["recipe"] != "paper"])
    studied, _ = gather(RESULTS)
    for row in values.rows:
        found = (others.get(row), best_known(row, studied[row])) if row in studied else ()
        for recipe in dict.fromkeys(["paper", *(one["recipe"] for one in found if one)]):
            print(row, recipe, digest(row, recipe), flush=True)
            jax.clear_caches()


COMMAND = Command("digests", __doc__, define, main)
if __name__ == "__main__":
    COMMAND.run()
