"""A designed study of the choices of a 1997 network, on real sequences and on tasks 3a and 4.

    python -m experiments.real.study --out=DIR
    python -m experiments.real.study --problems=vowels,4-100 --trials=2 --resume --out=DIR

Seven choices of two levels each are varied in 16 runs of a fractional factorial design of
resolution IV: no effect of one choice is mixed up with one of two together. An effect is the factor
by which the loss on the test part changes from the first level to the second, with a 95 % interval.
Written are real.study.json and its picture.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import numpy as np
from absl.flags import FlagValues

import lstm_jax as lstm
from experiments.cli.command import Command, FlagSet, check_platform, command_line, configure
from experiments.cli.files import check_free, make_folder, read_resumed, save_result
from experiments.own_data.run import make_loss, net_inputs_of
from experiments.own_data.tasks import Loss, Part, Prepared
from experiments.real import DOMAINS
from experiments.real.base import Data, Domain
from experiments.real.models import Model
from experiments.real.trials import make_trainer, mean_loss
from experiments.rows.intervals import CONFIDENCE, Estimate
from experiments.rows.progress import count_trials
from lstm_jax import Architecture
from lstm_jax.network.files import Document
from lstm_jax.plots import style
from lstm_jax.training.runs.result_file import about_run, write_json

RATE = 0.01
CHOICES = {
    "cells": ("4", "8"),
    "cells of a block": ("1", "2"),
    "g and h": ("of 1997", "tanh"),
    "input gate biases": ("random", "-1 to -3"),
    "output gate biases": ("random", "-1 to -3"),
    "gradient": ("truncated", "full"),
    "update after": ("a sequence", "a batch"),
}
GENERATORS = ((0, 1, 2), (1, 2, 3), (0, 2, 3))  # of the last three choices, from the first four
EPOCHS = {"sunspots": 40, "vowels": 20, "chorales": 10, "3a-100-3": 4, "4-100": 6}
TASKS: dict[str, tuple[int, Loss]] = {  # training sequences, and the loss of linear outputs
    "3a-100-3": (1000, lstm.cross_entropy),
    "4-100": (2000, lstm.half_squared_error),
}
TASK_BATCH, HELD_OUT = 25, 500


def design() -> np.ndarray:
    """Return the levels, -1 or 1, of the choices in all runs, [16, 7]."""
    basic = np.array([*itertools.product((-1, 1), repeat=4)])
    further = [basic[:, list(columns)].prod(1) for columns in GENERATORS]
    return np.column_stack([basic, *further])


def make_model(levels: Sequence[int], num_inputs: int, num_outputs: int) -> Model:
    """Return a network of 1997 with some levels of the choices; the last one is not its own."""
    cells, size, tanh, closed_in, closed_out, full, _ = (level > 0 for level in levels)
    size, number = 1 + size, 4 * (1 + cells)
    net = Architecture(num_inputs, (size,) * (number // size), num_outputs, output="identity")
    if tanh:
        net = dataclasses.replace(net, cell_input="tanh", cell_output="tanh")
    closed = np.linspace(-1, -3, net.num_blocks)

    def init(key: jax.Array) -> lstm.Parameters:
        biases = [closed if is_closed else None for is_closed in (closed_in, closed_out)]
        names: Document = dict(zip(("input_gate_bias", "output_gate_bias"), biases, strict=True))
        return lstm.initialise(key, net, init_range=number**-0.5, **names)

    net_inputs = net_inputs_of(net, "full" if full else "truncated")
    return Model(number, net.num_weights, init, net_inputs, net)


def load(problem: str, values: FlagValues) -> tuple[Domain, Data]:
    """Return a domain, or one of the sequences of a task."""
    if problem in DOMAINS:
        return DOMAINS[problem], DOMAINS[problem].load(values.out)
    size, loss = TASKS[problem]
    task, parts = lstm.make_task(problem), []
    for number, count in enumerate((size, HELD_OUT, HELD_OUT)):
        key = jax.random.fold_in(jax.random.key(values.seed), number)
        drawn = jax.tree.map(np.asarray, task.sample_batch(key, count))
        inputs = [x[:n] for x, n in zip(drawn.inputs, drawn.length, strict=True)]
        parts.append(Part(inputs, list(drawn.targets)))
    net = task.architecture
    prepared = Prepared(parts, net.num_outputs, False, {})
    data = Data(prepared, net.num_inputs, loss, lambda _: {}, {}, {})
    return Domain(task.title, "", lambda _: data, 8, 1, 1, TASK_BATCH), data


def run(
    levels: Sequence[int],
    problem: str,
    domain: Domain,
    data: Data,
    values: FlagValues,
    on_trained: Callable[[], None],
) -> list:
    """Return the losses on the test part of the trials with some levels."""
    model = make_model(levels, data.num_inputs, data.prepared.num_outputs)
    size, epochs = domain.batch_size if levels[-1] > 0 else 1, EPOCHS[problem]
    domain = dataclasses.replace(domain, epochs=epochs, patience=epochs, batch_size=size)
    train, per_step = make_trainer(domain, data, model, on_trained), data.prepared.per_step
    loss = make_loss(model.net_inputs, data.loss, per_step)
    judge = mean_loss(loss, data.prepared.parts[2], per_step)
    return [judge(train(values.seed, i, RATE).parameters) for i in range(values.trials)]


class Effect(NamedTuple):
    """The effect of a choice on a problem: the loss is multiplied by `ratio`."""

    choice: str
    ratio: Estimate


def effects(losses: Sequence[Sequence[float]]) -> list[Effect]:
    """Estimate the effects from the losses of all runs, [16, trials].

    By least squares on the logarithm of the loss, with the main effects alone.
    """
    from scipy import stats

    levels, logs = design(), np.log(np.array(losses, np.float64))
    means = levels.T @ logs.mean(1) / len(levels)  # half of each effect
    residuals = logs - logs.mean() - (levels @ means)[:, None]
    freedom = logs.size - levels.shape[1] - 1
    error = np.sqrt((residuals**2).sum() / freedom / logs.size)
    half = stats.t.ppf((1 + CONFIDENCE) / 2, freedom) * error
    bounds = [np.exp(2 * (m + half * sign)) for m in means for sign in (0, -1, 1)]
    estimates = itertools.starmap(Estimate, np.reshape(bounds, (-1, 3)).tolist())
    return [Effect(name, ratio) for name, ratio in zip(CHOICES, estimates, strict=True)]


def draw(document: Document) -> style.Figure:
    """Draw the effects, a panel per problem."""
    problems = document["losses"]
    width = 3.5 + 2.5 * len(problems)
    figure, panels = style.new_figure(width, 4, 1, len(problems), sharey=True)
    for axes, (problem, losses) in zip(panels, problems.items(), strict=True):
        for y, (_, (ratio, low, high)) in enumerate(effects(losses)):
            is_clear = low > 1 or high < 1
            colour = (style.BLUE if ratio < 1 else style.VERMILION) if is_clear else style.GREY
            axes.plot([low, high], [y, y], color=colour, lw=2)
            axes.plot(ratio, y, "o", color=colour)
        axes.axvline(1, color=style.BLACK, lw=0.8)
        axes.set(title=problem, xscale="log")
        _label_factors(axes)
    labels = [f"{name}:\n{first} to {second}" for name, (first, second) in CHOICES.items()]
    panels[0].set_yticks(range(len(labels)), labels)
    panels[0].set_ylim(len(labels) - 0.5, -0.5)
    figure.supxlabel("factor of the test loss\n(below 1, the second level is better)")
    return figure


def _label_factors(axes: style.Axes) -> None:
    """Label a logarithmic axis by a few plain numbers, powers of 10 if it is long."""
    from matplotlib import ticker

    low, high = axes.get_xlim()
    axes.xaxis.set_major_locator(ticker.LogLocator() if high > 20 * low else ticker.MaxNLocator(4))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.xaxis.set_minor_formatter(ticker.NullFormatter())


def define(flags: FlagSet) -> None:
    """Define the flags."""
    flags.items("problems", list(EPOCHS), "Domains and tasks.", list(EPOCHS))
    flags.output("the result, its picture and, of chorales, the extracted notes")
    flags.integer("trials", 3, "Trials of each run of the design.", 1, 2**20)
    flags.seed()
    flags.switch("resume", False, "Go on from real.study.json, if any, with the same flags.")
    flags.switch("quiet", False, "Print errors only.")


def main(values: FlagValues) -> None:
    """Run the design on all problems, and write the losses after each of its runs."""
    path = values.out / "real.study.json"
    if not values.resume:
        check_free(path, values.overwrite)
    configure()
    check_platform()
    document = {"trials": values.trials, "rate": RATE, "epochs": EPOCHS, "losses": {}}
    document |= about_run(values.seed, command_line())
    if values.resume and path.exists():
        same = ("trials", "seed", "rate", "epochs")
        document["losses"] = read_resumed(path, document, same)["losses"]
    for problem in values.problems:
        domain, data = load(problem, values)
        make_folder(values.out)
        found = document["losses"].setdefault(problem, [])
        missing = design()[len(found) :].tolist()
        with count_trials(problem, len(missing) * values.trials, values.quiet) as count:
            for levels in missing:
                found.append(run(levels, problem, domain, data, values, count))
                write_json(path, document, overwrite=True)
        if not values.quiet:
            clear = [e for e in effects(found) if not e.ratio.low <= 1 <= e.ratio.high]
            print(f"{problem}: " + ", ".join(f"{e.choice} x {e.ratio.mean:.2f}" for e in clear))
    save_result(path, document, draw, overwrite=True, quiet=values.quiet)


COMMAND = Command("real.study", __doc__, define, main)
if __name__ == "__main__":
    COMMAND.run()
