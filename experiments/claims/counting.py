"""Counting (2001): trained on short strings, tested on long ones; with and without peepholes."""

from __future__ import annotations

import dataclasses
import re
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.claims.base import ClaimOptions, draw_trials, measure
from lstm_jax.network.files import Document
from lstm_jax.plots import style
from lstm_jax.tasks import counting
from lstm_jax.training.recipes.recipe import make_recipe
from lstm_jax.training.trials.runner import TrialRunner
from lstm_jax.training.trials.training_loop import TrainingLoop

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# The publication used momentum and a = 1e-5.
RECIPE = "paper+cross-entropy+forget-gate-bias=5+optimiser=adam-inverse-sqrt+learning-rate=0.01"
MAX_N = {2: 500, 3: 300}  # of the tests, by number of letters
MAX_SEQUENCES = 50_000


def run(options: ClaimOptions) -> Document:
    """Train and test all variants."""
    found = measure(variants(), count, options)
    return {"recipe": RECIPE, "trials": options.trials, "variants": found}


def variants() -> dict[str, TrainingLoop]:
    """Return strings of two and of three letters, with and without peepholes."""
    loops = {}
    for letters in MAX_N:
        for peepholes in (True, False):
            task = make_recipe(RECIPE).apply(counting.make(letters, peepholes=peepholes))
            label = f"{task.title}, {'with' if peepholes else 'without'} peepholes"
            loops[label] = TrainingLoop(dataclasses.replace(task, max_sequences=MAX_SEQUENCES))
    return loops


def count(loop: TrainingLoop, options: ClaimOptions) -> Document:
    """Train, then test every n up to `MAX_N`.

    Returns:
      `solved`, the number of solved trials; for each trial the training `sequences`, and
      `furthest`, the largest n up to which all strings are right; `most`, the largest n tested.
    """
    runner = TrialRunner(loop, range(options.trials), seed=options.seed)
    results = runner.run()
    right = np.asarray(_test(loop, runner.state().trials.model, options.trials))
    return {
        "solved": sum(result.solved for result in results),
        "sequences": [result.sequences for result in results],
        "furthest": np.cumprod(right, axis=0).sum(0).tolist(),
        "most": len(right),
    }


def _test(loop: TrainingLoop, model: Any, trials: int) -> jax.Array:
    """Return whether each trial's network is right on the string of each n, [N, R]."""
    letters = loop.task.architecture.num_outputs - 1
    most = MAX_N[letters]

    @jax.jit
    def test(n: jax.Array) -> jax.Array:
        example = counting.string(n, letters, most)
        batch = jax.tree.map(lambda a: jnp.repeat(a[..., None], trials, -1), example)
        outputs = loop.update_rule.outputs(model, batch)
        return jax.vmap(loop.task.is_correct, in_axes=(-1, None))(outputs, example)

    return jax.lax.map(test, jnp.arange(1, most + 1, dtype=jnp.int32))


def draw(document: Document) -> Figure:
    """Draw one mark per trial, one line per variant."""
    variants = document["variants"]
    figure, (axes,) = style.new_figure(9, 1.6 + 0.5 * len(variants))
    lines = {re.sub(r"[abc]\^n", r"$\g<0>$", k): v["furthest"] for k, v in variants.items()}
    draw_trials(axes, lines, spread=0.2)
    most = [found["most"] for found in variants.values()]
    axes.plot(most, range(len(most)), "|", color=style.BLACK, ms=18, label="longest tested")
    axes.axvspan(1, 10, color=style.PAPER, alpha=0.12, lw=0, label="trained on")
    axes.set_xlabel("largest n up to which every string is right")
    style.add_legend(figure, ncols=3, loc="outside upper center")
    return figure
