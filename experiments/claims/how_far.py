"""Claims of 2001 and 2002 about peepholes: training on short sequences, tests on long ones.

**Counting** (Gers & Schmidhuber 2001): predict all legal next symbols of a^n b^n (c^n).
Inputs are one-hot symbols a, b, (c,) S; the outputs stand for a, b, (c,) T, which ends a string.

    position           0     1      2      3     4     5     6
    a^n b^n            S     a      a      b     b
    legal next         a     a b    a b    b     T
    a^n b^n c^n        S     a      a      b     b     c     c
    legal next         a     a b    a b    b     c     c     T

**Timing** (Gers, Schraudolph & Schmidhuber 2002): spike n comes F + I(n) steps after the last;
I(n) is 0 or 1 with equal probability. For F = 3 and I = 0, 1:

    step                           1   2   3   4   5   6   7
    spikes                         .   .   1   .   .   .   1
    I(n), until spike n            0   0   0   1   1   1   1

    measuring     the input is the spikes; the target is I(n) at spike n and 0 elsewhere
    generating    the input is I(n); the target is the spikes

Networks have the publications' weight counts, from memory.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
import optax
from numpy.typing import ArrayLike

import lstm_jax as lstm
from experiments.claims.base import ClaimOptions, Variants, name_lines, repeat
from lstm_jax import TrialRunner
from lstm_jax.network.files import Document
from lstm_jax.plots import style
from lstm_jax.tasks import Published, StreamRule, random_numbers, reber
from lstm_jax.tasks.task import real_steps
from lstm_jax.training.update_rules.base import AnyModel

Mode = Literal["measuring", "generating"]

SPIKES = 3  # of a training sequence
TOLERANCE = 0.49  # of an output's distance from its target
# The publication used momentum and a = 1e-5.
RECIPE = "paper+cross-entropy+forget-gate-bias=5+optimiser=adam-inverse-sqrt+learning-rate=0.01"
TRAINED_N, MAX_N = 10, {2: 500, 3: 300}  # of the tests by number of letters
TASKS: tuple[tuple[Mode, int, int], ...] = (  # mode, F, number of cells
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

_network = functools.partial(
    lstm.Architecture,
    recurrent="cells",
    cell_input="tanh",
    cell_output="identity",
    forget_gates=True,
)


def counting_task(letters: int, *, peepholes: bool) -> lstm.Task:
    """Return the task for 2 or 3 letters, with n uniform in 1 .. `TRAINED_N` in training."""
    size = letters + 1

    def sample(key: jax.Array, _: None) -> lstm.Example:
        n = random_numbers.integers(random_numbers.words(key, 1)[0], 1, TRAINED_N)
        return string(n, letters, TRAINED_N)

    return lstm.Task(
        name=f"counting-{letters}-{TRAINED_N}",
        title=" ".join(f"{letter}^n" for letter in "abc"[:letters]) + f", n up to {TRAINED_N}",
        architecture=_network(
            size, (1,) * (letters - 1), size, input_to_output=True, peepholes=peepholes
        ),
        error_at="every_step",
        sample=sample,
        is_correct=reber.is_correct,
        rule=StreamRule(window=10_000),
        max_sequences=50_000,
        published=Published(table="text, from memory"),
    )


def string(n: jax.Array | int, letters: int, most: int) -> lstm.Example:
    """Return the string for n in [1, most], int32, padded to the length of that for `most`."""
    steps = jnp.arange(letters * most + 1, dtype=jnp.int32)
    end = jnp.int32(letters)  # S as an input, T as an output
    letter_at = lambda position: jnp.minimum(jnp.maximum(position, 0) // n, end)
    symbols = jnp.where(steps == 0, end, letter_at(steps - 1))
    legal = jax.nn.one_hot(letter_at(steps), letters + 1, dtype=jnp.float32)
    a_or_b = jnp.zeros(letters + 1).at[:2].set(1.0)  # after an a, whatever n will be
    legal = jnp.where((symbols == 0)[:, None], a_or_b[None], legal)
    length = jnp.int32(letters * n + 1)
    return lstm.Example(jnp.minimum(symbols, end), legal, legal, length, legal)


def timing_loop(mode: Mode, period: int, cells: int, *, peepholes: bool) -> lstm.TrainingLoop:
    """Return the training loop for F = `period` and a network of `cells`, with `CHANGES`."""

    def sample(key: jax.Array, _: None) -> lstm.Example:
        late = random_numbers.small_integers(random_numbers.words(key, 3), SPIKES, 1)
        return spike_train(mode, late, period)

    task = lstm.Task(
        name=f"timing-{mode}-{period}",
        title=f"{mode} {'delays' if mode == 'measuring' else 'spikes'}, F = {period}",
        architecture=_network(1, (1,) * cells, 1, biases="all", peepholes=peepholes),
        error_at="every_step",
        sample=sample,
        is_correct=spikes_are_correct,
        hyperparameters=lstm.Hyperparameters(
            init_range=0.5,
            input_gate_bias=(0.0,) * cells,
            forget_gate_bias=(2.0,) * cells,
            output_gate_bias=(-1.0,) * cells,
            gradient="full",
            loss=lstm.LOSSES["cross_entropy"],
        ),
        rule=StreamRule(window=-(-1000 // SPIKES)),
        max_sequences=TIMING_SEQUENCES,
        published=Published(table="text, without numbers"),
    )
    adam = optax.adam(optax.linear_schedule(LEARNING_RATE, 0.0, TIMING_SEQUENCES))
    optimiser = optax.chain(optax.clip_by_global_norm(MAX_NORM), adam)
    return lstm.TrainingLoop(task, lstm.PerSequenceUpdate(task, optimiser))


def spike_train(mode: Mode, late: jax.Array, period: int) -> lstm.Example:
    """Return the train of spikes for I of each spike, `late` [N] int32, and F, `period`."""
    ends = jnp.cumsum(period + late)  # the number of steps up to each spike
    steps = 1 + jnp.arange(late.shape[0] * (period + 1), dtype=jnp.int32)
    nearest = jnp.minimum(jnp.searchsorted(ends, steps), late.shape[0] - 1)
    spike = (ends[nearest] == steps).astype(jnp.float32)[:, None]
    lateness = late[nearest].astype(jnp.float32)[:, None]
    inputs, targets = (spike, spike * lateness) if mode == "measuring" else (lateness, spike)
    return lstm.Example(inputs, targets, targets, ends[-1])


def spikes_are_correct(outputs: jax.Array, example: lstm.Example) -> jax.Array:
    """Return whether all outputs before the padding, [T, 1], are near their targets."""
    near = jnp.abs(outputs - example.true_targets) < TOLERANCE
    return jnp.all(near | ~real_steps(example)[:, None])


def train(loop: lstm.TrainingLoop, options: ClaimOptions) -> tuple[Document, AnyModel]:
    """Return the number of trials `solved`, the `sequences` of each, and their networks."""
    runner = TrialRunner(loop, range(options.trials), seed=options.seed)
    results = runner.run()
    sequences = [result.sequences for result in results]
    found = {"solved": sum(result.solved for result in results), "sequences": sequences}
    return found, runner.state().trials.model


def counting() -> Variants:
    """Train counting (2001) on short strings, test on long ones, with and without peepholes."""
    loops = {}
    for letters in MAX_N:
        for peepholes in (True, False):
            task = lstm.make_recipe(RECIPE).apply(counting_task(letters, peepholes=peepholes))
            label = f"{task.title}, {'with' if peepholes else 'without'} peepholes"
            loops[label] = lstm.TrainingLoop(task)
    return loops


def count(loop: lstm.TrainingLoop, options: ClaimOptions) -> Document:
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
        example = string(n, letters, most)
        outputs = loop.update_rule.outputs(model, repeat(example, options.trials))
        return jax.vmap(loop.task.is_correct, in_axes=(-1, None))(outputs, example)

    right = jax.lax.map(test, jnp.arange(1, most + 1, dtype=jnp.int32))  # [N, R]
    furthest = np.cumprod(np.asarray(right), axis=0).sum(0)
    return found | {"furthest": furthest.tolist(), "most": most}


def draw_counting(document: Document) -> style.Figure:
    """Draw one mark per trial, one line per variant."""
    variants = document["variants"]
    figure, (axes,) = style.new_figure(9, 1.6 + 0.5 * len(variants))
    lines = {re.sub(r"[abc]\^n", r"$\g<0>$", k): v["furthest"] for k, v in variants.items()}
    _draw_trials(axes, lines, spread=0.2)
    most = [found["most"] for found in variants.values()]
    axes.plot(most, range(len(most)), "|", color=style.BLACK, ms=18, label="longest tested")
    axes.axvspan(1, TRAINED_N, color=style.PAPER, alpha=0.12, lw=0, label="trained on")
    axes.set_xlabel("largest n up to which every string is right")
    style.add_legend(figure, ncols=3, loc="outside upper center")
    return figure


def _draw_trials(axes: style.Axes, variants: Mapping[str, Sequence[float]], spread: float) -> None:
    """Draw one mark per trial, one named line per variant."""
    for y, values in enumerate(variants.values()):
        offsets = np.linspace(-spread, spread, len(values))
        axes.plot(np.maximum(values, 0.5), y + offsets, "o", color=style.OURS, alpha=0.5, ms=5)
    axes.plot([], [], "o", color=style.OURS, alpha=0.5, label="a trial")
    name_lines(axes, list(variants))


def timing() -> dict[str, tuple[Mode, int, lstm.TrainingLoop]]:
    """Generate spikes and measure their delays (timing, 2002), with and without peepholes."""
    found = {}
    for mode, period, cells in TASKS:
        for peepholes in (True, False):
            loop = timing_loop(mode, period, cells, peepholes=peepholes)
            size = f"{cells} cell{'s' if cells > 1 else ''}"
            label = f"{loop.task.title}, {size} {'with' if peepholes else 'without'} peepholes"
            found[label] = mode, period, loop
    return found


def measure_timing(variant: tuple[Mode, int, lstm.TrainingLoop], options: ClaimOptions) -> Document:
    """Train, then test every trial on one train of `TESTED` spikes.

    Returns:
      What `train` finds, and for each trial `right`, the number of spikes before its first wrong
      output.
    """
    mode, period, loop = variant
    found, model = train(loop, options)
    late = np.random.default_rng(options.seed).integers(0, 2, TESTED, np.int32)
    example = spike_train(mode, jnp.asarray(late), period)
    outputs = jax.jit(loop.update_rule.outputs)(model, repeat(example, options.trials))
    ends = np.cumsum(period + late)
    steps = right_steps(outputs, example)
    return found | {"right": np.sum(ends[:, None] <= steps, axis=0).tolist()}


def right_steps(outputs: ArrayLike, example: lstm.Example) -> np.ndarray:
    """Return [R], the steps before the first output, of [T, 1, R], too far from its target."""
    is_near = np.abs(outputs - np.asarray(example.targets)[..., None]) < TOLERANCE
    return np.cumprod(is_near[: int(example.length), 0], axis=0).sum(0)


def draw_timing(document: Document) -> style.Figure:
    """Draw one mark per trial, one line per variant."""
    figure, (axes,) = style.new_figure(9, 4.5)
    lines = {}
    for label, found in document["variants"].items():
        name, _, net = label.rpartition(", ")
        lines[f"{name}\n{net}: {found['solved']} of {document['trials']} solved"] = found["right"]
    _draw_trials(axes, lines, spread=0.25)
    axes.axvspan(0.5, SPIKES, color=style.PAPER, alpha=0.12, lw=0, label="trained on")
    axes.set_xlim(0.4, 1.3 * TESTED)
    axes.set_xlabel(f"spikes until the first wrong output, {TESTED} tested")
    style.add_legend(figure, ncols=2, loc="outside upper center")
    return figure
