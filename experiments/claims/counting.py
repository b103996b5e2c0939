"""Counting (2001): trained on short strings, right on long ones; with and without peepholes."""

from __future__ import annotations

import dataclasses
import re
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.claims.base import Settings, measure
from lstm_jax.network.files import Document
from lstm_jax.plots import style
from lstm_jax.tasks import counting
from lstm_jax.training.recipes.recipe import make_recipe
from lstm_jax.training.trials.runner import TrialRunner
from lstm_jax.training.trials.training_loop import TrainingLoop

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# What departs from the publication: it learned by momentum, at a = 1e-5 (from memory).
RECIPE = "paper+cross-entropy+forget-gate-bias=5+optimiser=adam-inverse-sqrt+learning-rate=0.01"
LONGEST = {2: 500, 3: 300}  # n of the tests
SEQUENCES = 50_000  # a trial's budget


def run(settings: Settings) -> Document:
    """How far every trial counts."""
    found = measure(variants(), how_far, settings)
    return {"recipe": RECIPE, "trials": settings.trials, "variants": found}


def variants() -> dict[str, TrainingLoop]:
    """Strings of two and of three letters, with and without peepholes."""
    loops = {}
    for letters in LONGEST:
        for peepholes in (True, False):
            task = make_recipe(RECIPE).apply(counting.make(letters, peepholes=peepholes))
            label = f"{task.title}, {'with' if peepholes else 'without'} peepholes"
            loops[label] = TrainingLoop(dataclasses.replace(task, max_sequences=SEQUENCES))
    return loops


def how_far(loop: TrainingLoop, settings: Settings) -> Document:
    """Trains, then tests every n up to `LONGEST`.

    Returns:
      `solved`, how many trials were; of each trial `sequences` it was trained on, and `furthest`,
      the largest n up to which it is right throughout.
    """
    runner = TrialRunner(loop, range(settings.trials), seed=settings.seed)
    results = runner.run()
    right = np.asarray(_right(loop, runner.state().trials.model, settings.trials))
    furthest = np.cumprod(right, axis=0).sum(0)
    return {
        "solved": sum(result.solved for result in results),
        "sequences": [result.sequences for result in results],
        "furthest": furthest.tolist(),
        "most": len(right),
    }


def draw(document: Document) -> Figure:
    """A mark for every trial, a line a variant."""
    variants = document["variants"]
    figure, (axes,) = style.new_figure(9, 1.6 + 0.5 * len(variants))
    for place, found in enumerate(variants.values()):
        furthest = np.maximum(found["furthest"], 0.5)
        spread = place + np.linspace(-0.2, 0.2, len(furthest))
        axes.plot(furthest, spread, "o", color=style.OURS, alpha=0.5, markersize=5)
        axes.plot(found["most"], place, "|", color=style.BLACK, markersize=18)
    axes.axvspan(1, 10, color=style.PAPER, alpha=0.12, lw=0)
    axes.plot([], [], "o", color=style.OURS, alpha=0.5, label="a trial")
    axes.plot([], [], "|", color=style.BLACK, label="longest tested")
    axes.fill_between([], [], color=style.PAPER, alpha=0.12, label="trained on")
    named = [re.sub(r"[abc]\^n", r"$\g<0>$", label) for label in variants]
    axes.set_yticks(range(len(variants)), named)
    axes.set(xscale="log", ylim=(len(variants) - 0.5, -0.5))
    axes.set_xlabel("largest n up to which every string is right")
    style.add_legend(figure, ncols=3, loc="outside upper center")
    return figure


def _right(loop: TrainingLoop, model: Any, trials: int) -> jax.Array:
    """Whether each trial's network is right on the string of each n, [N, R]."""
    letters = loop.task.architecture.num_outputs - 1
    most = LONGEST[letters]

    @jax.jit
    def test(n: jax.Array) -> jax.Array:
        example = counting.string(n, letters, most)
        along = jax.tree.map(lambda a: jnp.repeat(a[..., None], trials, -1), example)
        outputs = loop.update_rule.outputs(model, along)
        return jax.vmap(loop.task.is_correct, in_axes=(-1, None))(outputs, example)

    return jax.lax.map(test, jnp.arange(1, most + 1, dtype=jnp.int32))
