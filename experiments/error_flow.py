"""Error flow back in time, the paper's argument for the LSTM (eqs. 1-2, appendix A.2), measured.

    python -m experiments.error_flow --out=DIR
    python -m experiments.error_flow --steps=200 --sequences=5000 --out=DIR
    python -m experiments.error_flow --seed=1 --out=DIR

Draws the size of the error that arrives q steps back. Left: random weights and inputs, in a fully
recurrent net of logistic units for several ranges of weights, each with the bound of eq. 2, and in
an LSTM with the truncated gradient (exactly 1.0) and the full one. Right: a sequence of task 3a
before, midway through and after training, in the LSTM and in a fully recurrent net of about as many
weights trained by BPTT at the same learning rate. Takes a minute or two.
"""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp

from experiments.cli.command import Command, FlagSet, FlagValues, check_platform
from experiments.cli.files import check_free, make_folder, save_picture
from lstm_jax import Architecture, Parameters, TrainingLoop, TrialRunner, initialise, make_task
from lstm_jax.analysis import error_flow
from lstm_jax.baselines import fully_recurrent
from lstm_jax.baselines.fully_recurrent import RecurrentNet
from lstm_jax.baselines.gradient_descent import training_loop
from lstm_jax.network.files import Document
from lstm_jax.plots import style
from lstm_jax.plots.curves import draw_lines
from lstm_jax.training.trials.training_loop import MAX_SEQUENCES
from lstm_jax.training.update_rules.base import AnyModel

Lines = Document  # by label, the largest |error at t-q| for a unit error at t, [steps]

INPUTS, UNITS = 8, 8  # of the nets with random weights, as in task 6a
INIT_RANGES = (0.2, 1.0, 4.0)  # of the recurrent net
ROW, NET = "3a-100-3", RecurrentNet(1, 8, 1, "full", bias=True)
COLOURS = {"|w| < 0.2": style.SKY, "|w| < 1": style.BLUE, "|w| < 4": style.GREEN}
COLOURS |= {"full gradient": style.ORANGE, "truncated gradient": style.BLACK, "": style.BLUE}
DASHES = {"bound": ":", "before": ":", "midway": "--", "": "-"}
PATHS = ("full", "truncated")  # of an LSTM's errors
TIMES = ("before", "midway", "after")  # relative to training


def of_random_weights(steps: int, seed: int) -> Lines:
    """Compute error flow at initialisation, for random inputs."""
    key = jax.random.key(seed)
    inputs = jax.random.normal(jax.random.fold_in(key, 1), (steps + 1, INPUTS))
    lines = {}
    net = RecurrentNet(INPUTS, 0, UNITS, "full")
    for init_range in INIT_RANGES:
        weights = fully_recurrent.initialise(key, net, init_range=init_range)
        factors = error_flow.recurrent_factors(net, weights, inputs)
        lines[f"fully recurrent, |w| < {init_range:g}"] = _largest(factors)
        lines[f"bound, |w| < {init_range:g}"] = error_flow.error_bound(weights, steps)
    lstm = Architecture(num_inputs=INPUTS, blocks=(2, 2), num_outputs=1)
    parameters = initialise(key, lstm, init_range=0.2, input_gate_bias=(-2.0, -4.0))
    return lines | _of_lstm(lstm, parameters, inputs)


def over_training(sequences: int, seed: int) -> Lines:
    """Compute error flow through one sequence at three times of the training of two nets."""
    task = dataclasses.replace(make_task(ROW), max_sequences=sequences)
    inputs = task.sample(jax.random.key(seed), None).inputs[:100]
    baseline = training_loop(task, num_hidden=NET.num_hidden, connections=NET.connections)
    lines = {}
    for time, model in zip(TIMES, snapshots(TrainingLoop(task), seed), strict=True):
        lines |= _of_lstm(task.architecture, model.parameters, inputs, f", {time}")
    for time, model in zip(TIMES, snapshots(baseline, seed), strict=True):
        factors = error_flow.recurrent_factors(NET, model.weights, inputs)
        lines[f"fully recurrent, {time}"] = _largest(factors)
    return lines


def snapshots(loop: TrainingLoop, seed: int) -> list[AnyModel]:
    """Return the first trial's model before, midway through and after its training."""
    runner = TrialRunner(loop, [0], seed=seed)
    models = []
    for fraction in (0.0, 0.5, 1.0):
        while runner.num_sequences < fraction * loop.task.max_sequences and not runner.finished:
            runner.run_chunk()
        models.append(jax.tree.map(lambda a: jnp.asarray(a[..., 0]), runner.state().trials.model))
    return models


def _of_lstm(net: Architecture, parameters: Parameters, inputs: jax.Array, when: str = "") -> Lines:
    flow = lambda paths: error_flow.carrousel_factors(net, parameters, inputs, paths)
    return {f"LSTM, {paths} gradient{when}": _largest(flow(paths)) for paths in PATHS}


def _largest(factors: jax.Array) -> jax.Array:
    return jnp.abs(factors).max((1, 2))


def draw(panels: dict[str, Lines]) -> style.Figure:
    """Draw sizes against lags, one panel per group of lines."""
    figure, axes_of = style.new_figure(7.5 * len(panels), 5, columns=len(panels))
    for axes, (title, lines) in zip(axes_of, panels.items(), strict=True):
        draw_lines(axes, lines, {label: _style(label) for label in lines})
        axes.set_title(title)
    return figure


def _style(label: str) -> style.Options:
    find = lambda table: next(value for part, value in table.items() if part in label)
    return {"color": find(COLOURS), "linestyle": find(DASHES)}


def define(flags: FlagSet) -> None:
    flags.output("error_flow.png")
    flags.integer("steps", 1000, "Largest lag q.", 2, 100_000)
    flags.integer("sequences", 20_000, "Training sequences.", most=MAX_SEQUENCES)
    flags.seed()


def main(values: FlagValues) -> None:
    """Measure and draw."""
    path = values.out / "error_flow.png"
    check_free(path, values.overwrite)
    make_folder(values.out)
    check_platform()
    title = f"task {ROW}, up to {values.sequences:,} training sequences"
    panels = {
        "random weights": of_random_weights(values.steps, values.seed),
        title: over_training(values.sequences, values.seed),
    }
    print(f"wrote {save_picture(draw(panels), path, values.overwrite)}")


COMMAND = Command("error_flow", __doc__, define, main)
if __name__ == "__main__":
    COMMAND.run()
