"""Timing (2002): spikes generated, and their delays measured, with and without peepholes."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.claims.base import Settings
from lstm_jax.cell.architecture import Architecture
from lstm_jax.network.files import Document
from lstm_jax.network.layer import unroll
from lstm_jax.network.losses import LOSSES
from lstm_jax.network.outputs import output_units
from lstm_jax.plots import style
from lstm_jax.tasks import replace_architecture, replace_hyperparameters, timing
from lstm_jax.tasks.task import Example
from lstm_jax.training.trials.runner import TrialRunner
from lstm_jax.training.trials.training_loop import TrainingLoop
from lstm_jax.training.update_rules.per_sequence import PerSequenceUpdate

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ASKED: tuple[tuple[timing.Mode, int, int], ...] = (  # of F and the number of cells
    ("generating", 5, 1),
    ("generating", 5, 2),
    ("measuring", 10, 1),
)
SEQUENCES = 200_000  # a trial's budget
RATE, LONGEST = 0.003, 0.1  # of Adam, falling to 0; a gradient
# By the publication's conditions, a trial needs millions of sequences.
CHANGES = (
    "g is tanh; weights start in [-0.5, 0.5], biases of forget and output gates at 2 and -1; cross "
    f"entropy; the exact gradient, no longer than {LONGEST}, by Adam at a rate from {RATE} to 0"
)
TESTED = 1000  # spikes
SHOWN = 45  # steps


def run(settings: Settings) -> Document:
    """How long every trial is right, and the best of each variant at work."""
    found = {}
    for kind, period, cells in ASKED:
        for peepholes in (True, False):
            loop = learn(kind, period, cells, peepholes=peepholes)
            size = f"{cells} cell{'s' if cells > 1 else ''}"
            label = f"{loop.task.title}, {size} {'with' if peepholes else 'without'} peepholes"
            found[label] = one = how_long(kind, period, loop, settings)
            settings.say(f"{label}: {one['solved']} of {settings.trials}, right: {one['right']}")
    return {"changes": CHANGES, "trials": settings.trials, "variants": found}


def learn(kind: timing.Mode, period: int, cells: int, *, peepholes: bool) -> TrainingLoop:
    """A task with what departs from the publication."""
    task = timing.make(kind, period, cells=cells, peepholes=peepholes)
    task = replace_architecture(
        dataclasses.replace(task, max_sequences=SEQUENCES), cell_input="tanh"
    )
    task = replace_hyperparameters(
        task,
        init_range=0.5,
        forget_gate_bias=(2.0,) * cells,
        output_gate_bias=(-1.0,) * cells,
        gradient="full",
        loss=LOSSES["cross_entropy"],
    )
    adam = optax.adam(optax.linear_schedule(RATE, 0.0, SEQUENCES))
    optimiser = optax.chain(optax.clip_by_global_norm(LONGEST), adam)
    return TrainingLoop(task, PerSequenceUpdate(task, optimiser))


def how_long(kind: timing.Mode, period: int, loop: TrainingLoop, settings: Settings) -> Document:
    """Trains, then tests every trial on one train of `TESTED` spikes.

    Returns:
      `solved`, how many trials were; of each trial `sequences` it was trained on, and `right`, how
      many spikes were over before its first wrong output; `at_work`, what the trial that was right
      for longest does in the first steps.
    """
    runner = TrialRunner(loop, range(settings.trials), seed=settings.seed)
    results = runner.run()
    model = runner.state().trials.model
    late = np.random.default_rng(settings.seed).integers(0, 2, TESTED, np.int32)
    example = timing.train(kind, jnp.asarray(late), period)
    along = jax.tree.map(lambda a: jnp.repeat(a[..., None], settings.trials, -1), example)
    outputs = np.asarray(jax.jit(loop.update_rule.outputs)(model, along))
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
    """How many steps come before the first output, [T, 1], that is too far from its target."""
    far = np.abs(outputs - np.asarray(example.targets)) >= timing.TOLERANCE
    wrong = np.flatnonzero(far[: int(example.length)])
    return int(wrong[0]) if len(wrong) else int(example.length)


def _at_work(architecture: Architecture, parameters: Any, example: Example) -> Document:
    inputs = example.inputs[:SHOWN]
    activations, _ = unroll(architecture, parameters, inputs)
    outputs = output_units(architecture, parameters.output, activations, inputs)
    # Of the first cell, where there are two.
    rounded = lambda array: np.round(np.asarray(array, np.float64)[:, 0], 3).tolist()
    return {
        "input": rounded(inputs),
        "target": rounded(example.targets[:SHOWN]),
        "output": rounded(outputs),
        "internal_state": rounded(activations.internal_state),
        "output_gate": rounded(activations.output_gate),
    }


def draw(document: Document) -> Figure:
    """A mark for every trial, a line a variant; and the first variant's best network at work."""
    variants = document["variants"]
    figure, (left, right) = style.new_figure(12, 4.5, columns=2)
    for place, found in enumerate(variants.values()):
        spikes = np.maximum(found["right"], 0.5)
        spread = place + np.linspace(-0.25, 0.25, len(spikes))
        left.plot(spikes, spread, "o", color=style.OURS, alpha=0.5, markersize=5)
    left.plot([], [], "o", color=style.OURS, alpha=0.5, label="a trial")
    left.axvspan(0.5, timing.SPIKES, color=style.PAPER, alpha=0.12, lw=0, label="trained on")
    named = [
        "{}, {}\n{}: {} of {} solved".format(
            *label.split(", "), found["solved"], document["trials"]
        )
        for label, found in variants.items()
    ]
    left.set_yticks(range(len(variants)), named)
    left.set(xscale="log", xlim=(0.4, 1.3 * TESTED), ylim=(len(variants) - 0.5, -0.5))
    left.set_xlabel(f"spikes until the first wrong output, {TESTED} tested")
    style.add_legend(left, loc="upper center", bbox_to_anchor=(0.5, 1.12), ncols=2)
    label, first = next(iter(variants.items()))
    _draw_at_work(right, label, first["at_work"])
    return figure


def _draw_at_work(axes: Axes, label: str, found: Document) -> None:
    steps = 1 + np.arange(len(found["output"]))
    spikes = steps[np.asarray(found["target"]) > 0.5]
    axes.vlines(spikes, 0, 1, color=style.PAPER, alpha=0.3, linewidth=5, label="wanted")
    axes.step(steps, found["input"], color=style.GREY, where="mid", label="I, what is seen")
    axes.plot(steps, found["output"], color=style.BLACK, marker=".", label="output")
    state = np.asarray(found["internal_state"])
    state = state / np.abs(state).max()
    axes.plot(steps, state, color=style.OURS, label="internal state / its largest")
    axes.plot(steps, found["output_gate"], color=style.GREEN, linestyle="--", label="output gate")
    axes.set(title=label, xlabel="step")
    style.add_legend(axes, loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=3)
