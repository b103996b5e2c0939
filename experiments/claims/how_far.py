"""Claims of 2001 and 2002 about peepholes: trained on short sequences, right on how long ones."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.claims import tasks
from experiments.claims.base import ClaimOptions, Variants, measure, name_lines
from lstm_jax.network.files import Document
from lstm_jax.plots import style
from lstm_jax.tasks.task import Example
from lstm_jax.training.recipes.recipe import make_recipe
from lstm_jax.training.trials.runner import TrialRunner
from lstm_jax.training.trials.training_loop import TrainingLoop
from lstm_jax.training.update_rules.base import AnyModel
from lstm_jax.training.update_rules.lstm import PerSequenceUpdate

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# The publication used momentum and a = 1e-5.
RECIPE = "paper+cross-entropy+forget-gate-bias=5+optimiser=adam-inverse-sqrt+learning-rate=0.01"
MAX_N = {2: 500, 3: 300}  # of the tests, by number of letters
TASKS: tuple[tuple[tasks.Mode, int, int], ...] = (  # type, F, number of cells
    ("generating", 5, 1),
    ("generating", 5, 2),
    ("measuring", 10, 1),
)
TIMING_SEQUENCES = 200_000
LEARNING_RATE, MAX_NORM = 0.003, 0.1  # of Adam, decreasing to 0; of a gradient
# With the publication's hyperparameters, a trial needs millions of sequences.
CHANGES = (
    "g is tanh; weights start in [-0.5, 0.5], biases of forget and output gates at 2 and -1; cross "
    f"entropy; the full gradient, clipped to norm {MAX_NORM}, by Adam at a rate from "
    f"{LEARNING_RATE} to 0"
)
TESTED = 1000  # spikes


def train(loop: TrainingLoop, options: ClaimOptions) -> tuple[Document, AnyModel]:
    """Return the number of trials `solved`, the `sequences` of each, and their networks."""
    runner = TrialRunner(loop, range(options.trials), seed=options.seed)
    results = runner.run()
    found = {
        "solved": sum(result.solved for result in results),
        "sequences": [result.sequences for result in results],
    }
    return found, runner.state().trials.model


def repeat(example: Example, trials: int) -> Example:
    """Repeat a sequence for a batch of trials."""
    return jax.tree.map(lambda a: jnp.repeat(a[..., None], trials, -1), example)


def run_counting(options: ClaimOptions) -> Document:
    """Train counting (2001) on short strings, test on long ones, with and without peepholes."""
    found = measure(counting_variants(), count, options)
    return {"recipe": RECIPE, "trials": options.trials, "variants": found}


def counting_variants() -> Variants:
    """Return strings of two and of three letters, with and without peepholes."""
    loops = {}
    for letters in MAX_N:
        for peepholes in (True, False):
            task = make_recipe(RECIPE).apply(tasks.counting_task(letters, peepholes=peepholes))
            label = f"{task.title}, {'with' if peepholes else 'without'} peepholes"
            loops[label] = TrainingLoop(task)
    return loops


def count(loop: TrainingLoop, options: ClaimOptions) -> Document:
    """Train, then test every n up to `MAX_N`.

    Returns:
      What `train` finds; for each trial `furthest`, the largest n up to which all strings are
      right; and `most`, the largest n tested.
    """
    found, model = train(loop, options)
    letters = loop.task.architecture.num_outputs - 1
    most = MAX_N[letters]

    @jax.jit
    def test(n: jax.Array) -> jax.Array:
        example = tasks.string(n, letters, most)
        outputs = loop.update_rule.outputs(model, repeat(example, options.trials))
        return jax.vmap(loop.task.is_correct, in_axes=(-1, None))(outputs, example)

    right = jax.lax.map(test, jnp.arange(1, most + 1, dtype=jnp.int32))  # [N, R]
    return found | {
        "furthest": np.cumprod(np.asarray(right), axis=0).sum(0).tolist(),
        "most": most,
    }


def draw_counting(document: Document) -> Figure:
    """Draw one mark per trial, one line per variant."""
    variants = document["variants"]
    figure, (axes,) = style.new_figure(9, 1.6 + 0.5 * len(variants))
    lines = {re.sub(r"[abc]\^n", r"$\g<0>$", k): v["furthest"] for k, v in variants.items()}
    _draw_trials(axes, lines, spread=0.2)
    most = [found["most"] for found in variants.values()]
    axes.plot(most, range(len(most)), "|", color=style.BLACK, ms=18, label="longest tested")
    axes.axvspan(1, 10, color=style.PAPER, alpha=0.12, lw=0, label="trained on")
    axes.set_xlabel("largest n up to which every string is right")
    style.add_legend(figure, ncols=3, loc="outside upper center")
    return figure


def _draw_trials(axes: Axes, variants: Mapping[str, Sequence[float]], spread: float) -> None:
    """Draw one mark per trial, one named line per variant."""
    for y, values in enumerate(variants.values()):
        offsets = np.linspace(-spread, spread, len(values))
        axes.plot(np.maximum(values, 0.5), y + offsets, "o", color=style.OURS, alpha=0.5, ms=5)
    axes.plot([], [], "o", color=style.OURS, alpha=0.5, label="a trial")
    name_lines(axes, list(variants))


def run_timing(options: ClaimOptions) -> Document:
    """Generate spikes and measure their delays (timing, 2002), with and without peepholes."""
    found = {}
    for mode, period, cells in TASKS:
        for peepholes in (True, False):
            loop = timing_loop(mode, period, cells, peepholes=peepholes)
            size = f"{cells} cell{'s' if cells > 1 else ''}"
            label = f"{loop.task.title}, {size} {'with' if peepholes else 'without'} peepholes"
            found[label] = one = measure_timing(mode, period, loop, options)
            options.log(f"{label}: {one['solved']} of {options.trials}, right: {one['right']}")
    return {"changes": CHANGES, "trials": options.trials, "variants": found}


def timing_loop(mode: tasks.Mode, period: int, cells: int, *, peepholes: bool) -> TrainingLoop:
    """Return the training loop of a task with `CHANGES`."""
    task = tasks.timing_task(
        mode, period, cells, peepholes=peepholes, max_sequences=TIMING_SEQUENCES
    )
    adam = optax.adam(optax.linear_schedule(LEARNING_RATE, 0.0, TIMING_SEQUENCES))
    optimiser = optax.chain(optax.clip_by_global_norm(MAX_NORM), adam)
    return TrainingLoop(task, PerSequenceUpdate(task, optimiser))


def measure_timing(
    mode: tasks.Mode, period: int, loop: TrainingLoop, options: ClaimOptions
) -> Document:
    """Train, then test every trial on one train of `TESTED` spikes.

    Returns:
      What `train` finds, and for each trial `right`, the number of spikes before its first wrong
      output.
    """
    found, model = train(loop, options)
    late = np.random.default_rng(options.seed).integers(0, 2, TESTED, np.int32)
    example = tasks.spike_train(mode, jnp.asarray(late), period)
    outputs = jax.jit(loop.update_rule.outputs)(model, repeat(example, options.trials))
    ends = np.cumsum(period + late)
    of_trials = np.moveaxis(np.asarray(outputs), -1, 0)
    right = [int(np.sum(ends <= right_steps(y, example))) for y in of_trials]
    return found | {"right": right}


def right_steps(outputs: np.ndarray, example: Example) -> int:
    """Return the number of steps before the first output, of [T, 1], too far from its target."""
    is_far = np.abs(outputs - np.asarray(example.targets)) >= tasks.TOLERANCE
    wrong = np.flatnonzero(is_far[: int(example.length)])
    return int(wrong[0]) if len(wrong) else int(example.length)


def draw_timing(document: Document) -> Figure:
    """Draw one mark per trial, one line per variant."""
    figure, (axes,) = style.new_figure(9, 4.5)
    lines = {}
    for label, found in document["variants"].items():
        name, _, net = label.rpartition(", ")
        lines[f"{name}\n{net}: {found['solved']} of {document['trials']} solved"] = found["right"]
    _draw_trials(axes, lines, spread=0.25)
    axes.axvspan(0.5, tasks.SPIKES, color=style.PAPER, alpha=0.12, lw=0, label="trained on")
    axes.set_xlim(0.4, 1.3 * TESTED)
    axes.set_xlabel(f"spikes until the first wrong output, {TESTED} tested")
    style.add_legend(figure, ncols=2, loc="outside upper center")
    return figure
