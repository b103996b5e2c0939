"""Counting (2001): trained on short strings, tested on long ones; with and without peepholes.

The task is to predict all legal next symbols of the strings a^n b^n and a^n b^n c^n. The inputs are
one-hot symbols a, b, (c,) S; the outputs stand for a, b, (c,) T, where T ends a string. For n = 2:

    position           0     1      2      3     4     5     6
    a^n b^n            S     a      a      b     b
    legal next         a     a b    a b    b     T
    a^n b^n c^n        S     a      a      b     b     c     c
    legal next         a     a b    a b    b     c     c     T

A string is correct if at every step every legal symbol's output is above every illegal one's. The
networks, with 38 and 90 weights, are the publication's as far as is remembered.

Reference:
  F. A. Gers and J. Schmidhuber. LSTM recurrent networks learn simple context-free and
  context-sensitive languages. IEEE Transactions on Neural Networks 12(6):1333-1340, 2001.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.claims.base import ClaimOptions, draw_trials, measure
from lstm_jax.cell.architecture import Architecture
from lstm_jax.network.files import Document
from lstm_jax.plots import style
from lstm_jax.tasks import draws
from lstm_jax.tasks.reber import is_correct
from lstm_jax.tasks.task import Example, Published, StreamRule, Task
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
            task = make_recipe(RECIPE).apply(counting_task(letters, peepholes=peepholes))
            label = f"{task.title}, {'with' if peepholes else 'without'} peepholes"
            loops[label] = TrainingLoop(task)
    return loops


def counting_task(letters: int, most: int = 10, *, peepholes: bool = True) -> Task:
    """Return the task for 2 or 3 letters, with n uniform in 1 .. `most` in training."""

    def sample(key: jax.Array, _: None) -> Example:
        return string(draws.integers(draws.words(key, 1)[0], 1, most), letters, most)

    return Task(
        name=f"counting-{letters}-{most}",
        title=" ".join(f"{letter}^n" for letter in "abc"[:letters]) + f", n up to {most}",
        architecture=Architecture(
            num_inputs=letters + 1,
            blocks=(1,) * (letters - 1),
            num_outputs=letters + 1,
            recurrent="cells",
            input_to_output=True,
            cell_input="tanh",
            cell_output="identity",
            forget_gates=True,
            peepholes=peepholes,
        ),
        error_at="every_step",
        sample=sample,
        is_correct=is_correct,
        rule=StreamRule(window=10_000),
        max_sequences=MAX_SEQUENCES,
        published=Published(table="text, from memory"),
    )


def string(n: jax.Array | int, letters: int, most: int) -> Example:
    """Return the string for n in [1, most], int32, padded to the length of that for `most`."""
    steps = jnp.arange(letters * most + 1, dtype=jnp.int32)
    end = jnp.int32(letters)  # S as an input, T as an output
    letter_at = lambda position: jnp.minimum(jnp.maximum(position, 0) // n, end)
    seen = jnp.where(steps == 0, end, letter_at(steps - 1))
    legal = jax.nn.one_hot(letter_at(steps), letters + 1, dtype=jnp.float32)
    a_or_b = jnp.zeros(letters + 1).at[:2].set(1.0)  # after an a, whatever n will be
    legal = jnp.where((seen == 0)[:, None], a_or_b[None], legal)
    length = jnp.int32(letters * n + 1)
    return Example(jnp.minimum(seen, end), legal, legal, length, legal)


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
        example = string(n, letters, most)
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
