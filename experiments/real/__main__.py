"""Networks on real sequences: the cell of 1997, its descendants, a GRU, and simple baselines.

    python -m experiments.real --data=sunspots --trials=3 --out=DIR
    python -m experiments.real --data=vowels --out=DIR
    python -m experiments.real --data=chorales --resume --out=DIR

The data are inside Python packages (extra `data`). Every network has about the same number of
weights, the same optimiser, batches and epochs, and the learning rate that is best for it on the
validation part, in trials that are not reported. Written are real.DATA.json, all trials beside the
baselines; its picture; and real.DATA.safetensors, the best network of 1997 by validation. --resume
continues after the last network that was completed.
"""

from __future__ import annotations

from absl.flags import FlagValues

import lstm_jax as lstm
from experiments.cli.command import Command, FlagSet, check_platform, command_line, configure
from experiments.cli.files import check_free, make_folder, read_resumed, save_result
from experiments.real import DOMAINS, page
from experiments.real.base import Data, Domain
from experiments.real.models import NETWORKS, REFERENCE, MakeModel, of_size
from experiments.real.trials import (
    RATES,
    TUNING_TRIALS,
    Trained,
    choose_rate,
    make_judge,
    make_trainer,
)
from experiments.rows.intervals import estimate
from experiments.rows.progress import count_trials
from lstm_jax.network.files import Document
from lstm_jax.training.runs.result_file import about_run, write_json

SAME = (
    "data",
    "trials",
    "seed",
    "epochs",
    "patience",
    "batch_size",
    "baselines",
)  # of a resumed run


def define(flags: FlagSet) -> None:
    """Define the flags."""
    flags.choice("data", None, list(DOMAINS), "The domain (required).")
    flags.output("the result, its picture, a network and, of chorales, the extracted notes")
    flags.integer("trials", 10, "Trials of each network.", 2, 2**20)
    flags.seed()
    flags.switch("resume", False, "Go on from real.DATA.json, if any, with the same flags.")
    flags.switch("quiet", False, "Print errors only.")


def main(values: FlagValues) -> None:
    """Train all networks of a domain, and write their scores after each of them."""
    path = values.out / f"real.{values.data}.json"
    if not values.resume:
        check_free(path, values.overwrite)
    configure()
    check_platform()
    domain = DOMAINS[values.data]
    data = domain.load(values.out)
    make_folder(values.out)
    document = begin(domain, data, values) | about_run(values.seed, command_line())
    if values.resume and path.exists():
        document["networks"] = read_resumed(path, document, SAME)["networks"]
    for name, make in NETWORKS.items():
        if name not in document["networks"]:
            document["networks"][name] = run(name, make, domain, data, values)
            write_json(path, document, overwrite=True)
        if not values.quiet:
            print(line(name, document), flush=True)
    save_result(path, document, page.draw, overwrite=True, quiet=values.quiet)


def begin(domain: Domain, data: Data, values: FlagValues) -> Document:
    """Return the document of a result without its networks."""
    sizes = [len(part.inputs) for part in data.prepared.parts]
    measures = list(next(iter(data.baselines.values())))
    budget = {name: getattr(domain, name) for name in ("epochs", "patience", "batch_size")}
    return {
        "data": values.data,
        "title": domain.title,
        "about": domain.about,
        "trials": values.trials,
        "sequences": sizes,
        **budget,
        "measures": measures,
        "baselines": data.baselines,
        "published": data.published,
        "networks": {},
    }


def run(name: str, make: MakeModel, domain: Domain, data: Data, values: FlagValues) -> Document:
    """Choose the rate of a network and return its trials with it."""
    sizes = data.num_inputs, data.prepared.num_outputs
    num_weights = NETWORKS[REFERENCE](sizes[0], domain.cells, sizes[1]).num_weights
    model = of_size(make, *sizes, num_weights)
    number, judge = len(RATES) * TUNING_TRIALS + values.trials, make_judge(data, model)
    with count_trials(f"{values.data}, {name}", number, values.quiet) as count:
        train = make_trainer(domain, data, model, count)
        rates = choose_rate(train, values.seed)
        rate = next(iter(rates))
        trained = [train(values.seed, trial, rate) for trial in range(values.trials)]
    if name == REFERENCE:
        assert model.architecture is not None
        best: Trained = min(trained, key=lambda one: one.validation)
        file = values.out / f"real.{values.data}.safetensors"
        lstm.save(file, model.architecture, best.parameters, overwrite=True)
    return {
        "weights": model.num_weights,
        "cells": model.cells,
        "rate": rate,
        "validation_of_rates": {f"{rate:g}": loss for rate, loss in rates.items()},
        "trials": [one.document() | {"scores": judge(one.parameters)} for one in trained],
    }


def line(name: str, document: Document) -> str:
    """Return the means of a network with their intervals."""
    of = lambda measure: page.show_estimate(estimate(page.values_of(document, measure)[name]))
    return f"{name}: " + ", ".join(f"{of(measure)} {measure}" for measure in document["measures"])


COMMAND = Command("real", __doc__, define, main)
if __name__ == "__main__":
    COMMAND.run()
