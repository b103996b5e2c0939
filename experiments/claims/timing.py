"""Timing (2002): spikes generated, and their delays measured, with and without peepholes.

Spike n comes F + I(n) steps after the one before; I(n) is 0 or 1 with even odds. For F = 3 and
I = 0, 1:

    step                           1   2   3   4   5   6   7
    spikes                         .   .   1   .   .   .   1
    I(n), until spike n            0   0   0   1   1   1   1

    measuring     the input is the spikes; the target is I(n) at spike n and 0 elsewhere
    generating    the input is I(n); the target is the spikes

A sequence is correct if every output is less than 0.49 from its target. The publication's network
has one cell whose gates see its state through peepholes: 17 weights. It reports that peepholes are
necessary to generate spikes, but not to measure them. It trains on streams of up to 100 spikes and
tests on streams of 1000; here training sequences have 3, and 1000 spikes in a row must be right.

Reference:
  F. A. Gers, N. N. Schraudolph and J. Schmidhuber. Learning precise timing with LSTM recurrent
  networks. Journal of Machine Learning Research 3:115-143, 2002.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.claims.base import ClaimOptions, draw_trials
from lstm_jax.cell.architecture import Architecture
from lstm_jax.network.files import Document
from lstm_jax.network.layer import output_units, unroll
from lstm_jax.network.losses import LOSSES
from lstm_jax.plots import style
from lstm_jax.tasks import Hyperparameters, draws
from lstm_jax.tasks.task import Example, Published, StreamRule, Task, real_steps
from lstm_jax.training.trials.runner import TrialRunner
from lstm_jax.training.trials.training_loop import TrainingLoop
from lstm_jax.training.update_rules.per_sequence import PerSequenceUpdate

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Mode = Literal["measuring", "generating"]

SPIKES = 3  # of a training sequence
TOLERANCE = 0.49
TASKS: tuple[tuple[Mode, int, int], ...] = (  # type, F, number of cells
    ("generating", 5, 1),
    ("generating", 5, 2),
    ("measuring", 10, 1),
)
MAX_SEQUENCES = 200_000
LEARNING_RATE, MAX_NORM = 0.003, 0.1  # of Adam, decreasing to 0; of a gradient
# With the publication's hyperparameters, a trial needs millions of sequences.
CHANGES = (
    "g is tanh; weights start in [-0.5, 0.5], biases of forget and output gates at 2 and -1; cross "
    f"entropy; the full gradient, clipped to norm {MAX_NORM}, by Adam at a rate from "
    f"{LEARNING_RATE} to 0"
)
TESTED = 1000  # spikes
DISPLAYED = 45  # steps


def run(options: ClaimOptions) -> Document:
    """Train and test all variants."""
    found = {}
    for mode, period, cells in TASKS:
        for peepholes in (True, False):
            loop = training_loop(mode, period, cells, peepholes=peepholes)
            size = f"{cells} cell{'s' if cells > 1 else ''}"
            label = f"{loop.task.title}, {size} {'with' if peepholes else 'without'} peepholes"
            found[label] = one = test(mode, period, loop, options)
            options.log(f"{label}: {one['solved']} of {options.trials}, right: {one['right']}")
    return {"changes": CHANGES, "trials": options.trials, "variants": found}


def training_loop(mode: Mode, period: int, cells: int, *, peepholes: bool) -> TrainingLoop:
    """Return the training loop for F = `period` and a network of `cells`, with `CHANGES`."""

    def sample(key: jax.Array, _: None) -> Example:
        return spike_train(mode, draws.small_integers(draws.words(key, 3), SPIKES, 1), period)

    task = Task(
        name=f"timing-{mode}-{period}",
        title=f"{mode} {'delays' if mode == 'measuring' else 'spikes'}, F = {period}",
        architecture=Architecture(
            num_inputs=1,
            blocks=(1,) * cells,
            num_outputs=1,
            recurrent="cells",
            biases="all",
            cell_input="tanh",
            cell_output="identity",
            forget_gates=True,
            peepholes=peepholes,
        ),
        error_at="every_step",
        sample=sample,
        is_correct=is_correct,
        hyperparameters=Hyperparameters(
            init_range=0.5,
            input_gate_bias=(0.0,) * cells,
            forget_gate_bias=(2.0,) * cells,
            output_gate_bias=(-1.0,) * cells,
            gradient="full",
            loss=LOSSES["cross_entropy"],
        ),
        rule=StreamRule(window=-(-1000 // SPIKES)),
        max_sequences=MAX_SEQUENCES,
        published=Published(table="text, without numbers"),
    )
    adam = optax.adam(optax.linear_schedule(LEARNING_RATE, 0.0, MAX_SEQUENCES))
    optimiser = optax.chain(optax.clip_by_global_norm(MAX_NORM), adam)
    return TrainingLoop(task, PerSequenceUpdate(task, optimiser))


def spike_train(mode: Mode, late: jax.Array, period: int) -> Example:
    """Return the train of spikes for I of each spike, `late` [N] int32, and F, `period`."""
    ends = jnp.cumsum(period + late)  # the number of steps up to each spike
    steps = 1 + jnp.arange(late.shape[0] * (period + 1), dtype=jnp.int32)
    nearest = jnp.minimum(jnp.searchsorted(ends, steps), late.shape[0] - 1)
    spike = (ends[nearest] == steps).astype(jnp.float32)[:, None]
    displayed = late[nearest].astype(jnp.float32)[:, None]
    inputs, targets = (spike, spike * displayed) if mode == "measuring" else (displayed, spike)
    return Example(inputs, targets, targets, ends[-1])


def is_correct(outputs: jax.Array, example: Example) -> jax.Array:
    """Return whether all outputs before the padding, [T, 1], are near their targets."""
    near = jnp.abs(outputs - example.true_targets) < TOLERANCE
    return jnp.all(near | ~real_steps(example)[:, None])


def test(mode: Mode, period: int, loop: TrainingLoop, options: ClaimOptions) -> Document:
    """Train, then test every trial on one train of `TESTED` spikes.

    Returns:
      `solved`, the number of solved trials; for each trial the training `sequences`, and `right`,
      the number of spikes before its first wrong output; `at_work`, the activations of the trial
      that was right for longest.
    """
    runner = TrialRunner(loop, range(options.trials), seed=options.seed)
    results = runner.run()
    model = runner.state().trials.model
    late = np.random.default_rng(options.seed).integers(0, 2, TESTED, np.int32)
    example = spike_train(mode, jnp.asarray(late), period)
    batch = jax.tree.map(lambda a: jnp.repeat(a[..., None], options.trials, -1), example)
    outputs = np.asarray(jax.jit(loop.update_rule.outputs)(model, batch))
    ends = np.cumsum(period + late)
    right = [int(np.sum(ends <= right_steps(y, example))) for y in np.moveaxis(outputs, -1, 0)]
    best = jax.tree.map(lambda a: a[..., int(np.argmax(right))], model.parameters)
    return {
        "solved": sum(result.solved for result in results),
        "sequences": [result.sequences for result in results],
        "right": right,
        "at_work": _at_work(loop.task.architecture, best, example),
    }


def right_steps(outputs: np.ndarray, example: Example) -> int:
    """Return the number of steps before the first output, of [T, 1], too far from its target."""
    is_far = np.abs(outputs - np.asarray(example.targets)) >= TOLERANCE
    wrong = np.flatnonzero(is_far[: int(example.length)])
    return int(wrong[0]) if len(wrong) else int(example.length)


def _at_work(architecture: Architecture, parameters: Any, example: Example) -> Document:
    """Return the first steps' inputs and outputs, and the activations of the first cell."""
    inputs = example.inputs[:DISPLAYED]
    activations, _ = unroll(architecture, parameters, inputs)
    outputs = output_units(architecture, parameters.output, activations, inputs)
    rounded = lambda array: np.round(np.asarray(array, np.float64)[:, 0], 3).tolist()
    return {
        "input": rounded(inputs),
        "target": rounded(example.targets[:DISPLAYED]),
        "output": rounded(outputs),
        "internal_state": rounded(activations.internal_state),
        "output_gate": rounded(activations.output_gate),
    }


def draw(document: Document) -> Figure:
    """Draw one mark per trial, and the best network of the first variant at work."""
    variants = document["variants"]
    figure, (left, right) = style.new_figure(12, 4.5, columns=2)
    lines = {
        "{}, {}\n{}: {} of {} solved".format(
            *label.split(", "), found["solved"], document["trials"]
        ): found["right"]
        for label, found in variants.items()
    }
    draw_trials(left, lines, spread=0.25)
    left.axvspan(0.5, SPIKES, color=style.PAPER, alpha=0.12, lw=0, label="trained on")
    left.set_xlim(0.4, 1.3 * TESTED)
    left.set_xlabel(f"spikes until the first wrong output, {TESTED} tested")
    style.add_legend(left, loc="upper center", bbox_to_anchor=(0.5, 1.12), ncols=2)
    label, first = next(iter(variants.items()))
    _draw_at_work(right, label, first["at_work"])
    return figure


def _draw_at_work(axes: Axes, label: str, found: Document) -> None:
    steps = 1 + np.arange(len(found["output"]))
    spikes = steps[np.asarray(found["target"]) > 0.5]
    axes.vlines(spikes, 0, 1, color=style.PAPER, alpha=0.3, linewidth=5, label="target")
    axes.step(steps, found["input"], color=style.GREY, where="mid", label="input I")
    axes.plot(steps, found["output"], color=style.BLACK, marker=".", label="output")
    state = np.asarray(found["internal_state"])
    state = state / np.abs(state).max()
    axes.plot(steps, state, color=style.OURS, label="internal state / its largest")
    axes.plot(steps, found["output_gate"], color=style.GREEN, linestyle="--", label="output gate")
    axes.set(title=label, xlabel="step")
    style.add_legend(axes, loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=3)
