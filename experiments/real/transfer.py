"""Transfer: tasks learned from scratch, and from the weights of a network that solved a sibling.

    python -m experiments.real.transfer --out=DIR
    python -m experiments.real.transfer --pairs=6a-6b,vowels --trials=10 --resume --out=DIR

Each trial of a pair trains three networks: one on the sibling, one on the task from scratch, and
one on the task with the hidden layer of the first. The last two have the same sequences in the same
order and the same initial output units, which mean other things in the sibling and are therefore
drawn anew. The sibling's trials have indices of their own, so that none of its sequences returns.

Tasks are learned by the recipe `adam` until their stopping rule. The speakers of the vowels are
divided, and epochs are counted until the validation loss is low. Written are real.transfer.json and
its picture, after each pair.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import jax
import numpy as np
from absl.flags import FlagValues

from experiments.cli.command import Command, FlagSet, check_platform, command_line, configure
from experiments.cli.files import check_free, make_folder, read_resumed, save_result
from experiments.real import DOMAINS, page
from experiments.real.base import Data
from experiments.real.models import NETWORKS, REFERENCE
from experiments.real.trials import make_trainer, train_until
from experiments.real.vowels import of_speakers
from experiments.rows.progress import count_trials, display_progress
from lstm_jax import TrainingLoop, TrialResult, TrialRunner, make_task
from lstm_jax.cell.records import UnitWeights
from lstm_jax.cell.units import Layer
from lstm_jax.tasks import Task
from lstm_jax.training.recipes.recipe import make_recipe
from lstm_jax.training.runs.result_file import about_run, write_json
from lstm_jax.training.trials.records import RunState

RECIPE = "adam"
PAIRS = {  # (row, its recipe) of the sibling and of the task
    "3a-3c": (("3a-100-3", RECIPE), ("3c-100-3", RECIPE)),
    "4-5": (("4-100", RECIPE), ("5-140", RECIPE)),
    "6a-6b": (("6a", f"{RECIPE}+blocks=2,2,2"), ("6b", RECIPE)),  # the hidden layer of 6b
}
VOWELS = "vowels"
SPEAKERS = range(5), range(5, 9)  # of the sibling and of the task
RATE, EPOCHS, LOW_LOSS = 0.03, 150, 0.4  # chosen with seed 1, which is not reported
SIBLING = 2**20  # index of the first trial on a sibling

# Of sibling, scratch and transfer, an entry per trial; None if it did not succeed.
Counts = dict[str, list[int | None]]


def with_layers(state: RunState, layers: Sequence[Layer[UnitWeights]]) -> RunState:
    """Return the state of a run before its first chunk, with a given hidden layer in each trial.

    The output units and the optimiser's state stay as they were drawn.
    """
    layer = jax.tree.map(lambda *of_trials: np.stack(of_trials, -1), *layers)
    model = state.trials.model
    model = model._replace(parameters=model.parameters._replace(layer=layer))
    return state._replace(trials=state.trials._replace(model=model))


def transfer_task(pair: str, values: FlagValues) -> Counts:
    """Return the training sequences until the stopping rule."""
    sibling, task = (make_recipe(recipe).apply(make_task(row)) for row, recipe in PAIRS[pair])
    check_alike(sibling, task)

    def run(net: str, task: Task, first: int = 0, *layers: Layer) -> list[TrialResult]:
        indices = range(first, first + values.trials)
        runner = TrialRunner(TrainingLoop(task), indices, seed=values.seed)
        if layers:
            runner.restore(with_layers(runner.state(), layers))
        with display_progress(f"{pair}, {net}", values.quiet) as on_chunk:
            return runner.run(on_chunk)

    siblings = run("sibling", sibling, SIBLING)
    layers = [one.model.parameters.layer for one in siblings]
    found = siblings, run("scratch", task), run("transfer", task, 0, *layers)
    until = lambda results: [one.sequences if one.solved else None for one in results]
    first, scratch, after = map(until, found)
    after = [n if is_solved else None for n, is_solved in zip(after, first, strict=True)]
    return {"sibling": first, "scratch": scratch, "transfer": after}


def check_alike(sibling: Task, task: Task) -> None:
    """Raise ValueError if the tasks' networks differ in more than their output units."""
    nets = [dataclasses.replace(one.architecture, num_outputs=1) for one in (sibling, task)]
    if nets[0] != nets[1]:
        raise ValueError(f"{sibling.name} and {task.name} must have like inputs and hidden layers")


def transfer_vowels(data: Data, values: FlagValues) -> Counts:
    """Return the epochs until the validation loss is low, of networks of 1997 on some speakers."""
    domain = dataclasses.replace(DOMAINS[VOWELS], epochs=EPOCHS, patience=EPOCHS)
    counts: Counts = {"sibling": [], "scratch": [], "transfer": []}
    with count_trials(VOWELS, 3 * values.trials, values.quiet) as count:
        trainers = []
        for speakers in SPEAKERS:
            model = NETWORKS[REFERENCE](data.num_inputs, domain.cells, len(speakers))
            train = make_trainer(domain, of_speakers(data, speakers), model, count)
            trainers.append(lambda *args, train=train: train_until(LOW_LOSS, train, *args))
        of_sibling, of_task = trainers
        for i in range(values.trials):
            epochs, solved = of_sibling(values.seed, SIBLING + i, RATE)
            counts["sibling"].append(epochs)
            counts["scratch"].append(of_task(values.seed, i, RATE)[0])
            keep = lambda drawn, solved=solved: drawn._replace(layer=solved.layer)
            after = of_task(values.seed, i, RATE, keep)[0] if epochs else None
            counts["transfer"].append(after)
    return counts


def define(flags: FlagSet) -> None:
    """Define the flags."""
    pairs = [*PAIRS, VOWELS]
    flags.items("pairs", pairs, "Pairs of a sibling and a task.", pairs)
    flags.output("the result and its picture")
    flags.integer("trials", 10, "Trials of each pair.", 2, SIBLING)
    flags.seed()
    flags.switch("resume", False, "Go on from real.transfer.json, if any, with the same flags.")
    flags.switch("quiet", False, "Print errors only.")


def main(values: FlagValues) -> None:
    """Run the pairs, and write the counts after each of them."""
    path = values.out / "real.transfer.json"
    if not values.resume:
        check_free(path, values.overwrite)
    configure()
    check_platform()
    data = DOMAINS[VOWELS].load(values.out) if VOWELS in values.pairs else None
    make_folder(values.out)
    document = {"trials": values.trials, "low_loss": LOW_LOSS, "pairs": {}}
    document |= about_run(values.seed, command_line())
    if values.resume and path.exists():
        document["pairs"] = read_resumed(path, document, ("trials", "seed", "low_loss"))["pairs"]
    for pair in values.pairs:
        if pair not in document["pairs"]:
            if pair == VOWELS and data is not None:
                found = {"unit": "epochs", **transfer_vowels(data, values)}
            else:
                found = {"unit": "sequences", **transfer_task(pair, values)}
            document["pairs"][pair] = found
            write_json(path, document, overwrite=True)
        if not values.quiet:
            estimate = page.ratio(document["pairs"][pair])
            print(f"{pair}: x {page.show_estimate(estimate)}", flush=True)
    save_result(path, document, page.draw_transfer, overwrite=True, quiet=values.quiet)


COMMAND = Command("real.transfer", __doc__, define, main)
if __name__ == "__main__":
    COMMAND.run()
