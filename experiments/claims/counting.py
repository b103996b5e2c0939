"""Counting (2001): training on short strings of two languages, tests on long ones.

The network predicts all legal next symbols of a^n b^n (c^n). Inputs are one-hot symbols a, b, (c,)
S; the outputs stand for a, b, (c,) T, which ends a string.

    position           0     1      2      3     4     5     6
    a^n b^n            S     a      a      b     b
    legal next         a     a b    a b    b     T
    a^n b^n c^n        S     a      a      b     b     c     c
    legal next         a     a b    a b    b     c     c     T

Hyperparameters, network and targets are those of the publication as far as known, from memory: g
and h are the identity, outputs are in [-2, 2], targets are 1 for legal and -1 for illegal symbols,
and a prediction is right if all signs are. A string is drawn with n uniform in 1 .. N and followed
by an update.

Reference:
  F. A. Gers and J. Schmidhuber. LSTM recurrent networks learn simple context-free and
  context-sensitive languages. IEEE Transactions on Neural Networks 12(6):1333-1340, 2001.
"""

from __future__ import annotations

import functools
import re
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

import lstm_jax as lstm
from experiments.claims.base import ClaimOptions, draw_trials, repeat
from lstm_jax.network.files import Document
from lstm_jax.plots import style
from lstm_jax.tasks import Published, StreamRule, random_numbers
from lstm_jax.tasks.functions import Generator
from lstm_jax.tasks.task import real_steps
from lstm_jax.training.update_rules.per_sequence import Model

LEARNING_RATE, MOMENTUM = 1e-5, 0.99
TRAINED = (10, 20, 30, 40, 50)  # N, the largest n of training
# Strings after which all n are tested; those of the longer trainings end earlier.
BUDGETS = (50_000, 100_000, 250_000, 500_000, 1_000_000)
LONG_BUDGETS, SHORT_BUDGETS = BUDGETS[:2], BUDGETS[:3]  # N > 10; without peepholes
CHUNK = 1_000  # strings between two looks at whether all n of training are right
MOST = {2: 2_000, 3: 1_000}  # the largest n tested, by the number of letters
COUNTED = {2: 40, 3: 40}  # n of the string in the picture
# From memory: the mean and the best largest n after training with N = 10, and strings to learn it.
PUBLISHED = {2: (118, 1_000, 22_000), 3: (28, 52, None)}


class Language(NamedTuple):
    """One cell of the table."""

    letters: int
    trained_n: int
    peepholes: bool
    budgets: tuple[int, ...]


def make_task(letters: int, trained_n: int, *, peepholes: bool) -> lstm.Task:
    """Return the task for 2 or 3 letters, with n uniform in 1 .. `trained_n`, never solved.

    >>> [make_task(letters, 10, peepholes=True).architecture.num_weights for letters in (2, 3)]
    [38, 90]
    """
    size, cells = letters + 1, letters - 1
    architecture = lstm.Architecture(
        size,
        (1,) * cells,
        size,
        recurrent="cells",
        cell_input="identity",
        cell_output="identity",
        output="centred_2",
        forget_gates=True,
        input_to_output=True,
        peepholes=peepholes,
    )
    return lstm.Task(
        name=f"counting-{letters}-{trained_n}",
        title=" ".join(f"{letter}^n" for letter in "abc"[:letters]) + f", n up to {trained_n}",
        architecture=architecture,
        error_at="every_step",
        sample=Generator(_sample, (letters, trained_n)),
        is_correct=signs_are_right,
        hyperparameters=lstm.Hyperparameters(
            learning_rate=LEARNING_RATE,
            init_range=0.1,
            input_gate_bias=(-1.0,) * cells,
            forget_gate_bias=(2.0,) * cells,
            output_gate_bias=(-2.0,) * cells,
        ),
        rule=StreamRule(window=max(BUDGETS) + 1),
        max_sequences=max(BUDGETS),
        published=Published(table="text, from memory"),
    )


def _sample(key: jax.Array, letters: int, most: int) -> lstm.Example:
    n = random_numbers.integers(random_numbers.words(key, 1)[0], 1, most)
    return string(n, letters, most)


def string(n: jax.Array | int, letters: int, most: int) -> lstm.Example:
    """Return the string for n in [1, most], int32, padded to the length of that for `most`."""
    steps = jnp.arange(letters * most + 1, dtype=jnp.int32)
    end = jnp.int32(letters)  # S as an input, T as an output
    letter_at = lambda position: jnp.minimum(jnp.maximum(position, 0) // n, end)
    symbols = jnp.where(steps == 0, end, letter_at(steps - 1))
    legal = jax.nn.one_hot(letter_at(steps), letters + 1, dtype=jnp.float32)
    a_or_b = jnp.zeros(letters + 1).at[:2].set(1.0)  # after an a, whatever n will be
    legal = jnp.where((symbols == 0)[:, None], a_or_b[None], legal)
    targets = 2 * legal - 1
    return lstm.Example(jnp.minimum(symbols, end), targets, targets, jnp.int32(letters * n + 1))


def signs_are_right(outputs: jax.Array, example: lstm.Example) -> jax.Array:
    """Return whether all outputs before the padding, [T, K], have the signs of their targets."""
    return jnp.all((outputs * example.true_targets > 0) | ~real_steps(example)[:, None])


def languages() -> dict[str, Language]:
    """Count as in 2001: train on short strings, test on long ones, with and without peepholes."""
    cells = [Language(k, 10, True, BUDGETS) for k in MOST]
    cells += [Language(k, 10, False, SHORT_BUDGETS) for k in MOST]
    cells += [Language(k, n, True, LONG_BUDGETS) for k in MOST for n in TRAINED[1:]]
    title = lambda cell: make_task(cell.letters, cell.trained_n, peepholes=cell.peepholes).title
    peepholes = lambda cell: "" if cell.peepholes else ", no peepholes"
    return {f"{title(cell)}{peepholes(cell)}": cell for cell in cells}


def count(language: Language, options: ClaimOptions) -> Document:
    """Train on short strings, and test every n after each of the budgets.

    Returns:
      `trained_n`; for each trial `learned`, the strings after which all n of training were right
      for the first time, None if they never were; and by budget `furthest`, the largest n up to
      which every string is right, [R] each; the number of trials that became `non_finite`; and the
      `counter` of the best trial, its symbols and states, None if they are not finite.
    """
    task = make_task(language.letters, language.trained_n, peepholes=language.peepholes)
    rule = lstm.PerSequenceUpdate(task, optax.sgd(LEARNING_RATE, MOMENTUM))
    loop = lstm.TrainingLoop(task, rule, chunk=CHUNK)
    trials = options.trials
    runner = lstm.TrialRunner(loop, range(trials), seed=options.seed, batch_size=trials)
    learned, furthest = np.zeros(trials, int), {}
    test = functools.partial(largest_n, loop, trials)
    while runner.num_sequences < language.budgets[-1]:
        runner.run_chunk()
        seen, model = runner.num_sequences, runner.state().trials.model
        if not learned.all():
            is_right = test(model, language.trained_n) >= language.trained_n
            learned = np.where((learned == 0) & is_right, seen, learned)
        if seen in language.budgets:
            furthest[str(seen)] = test(model, MOST[language.letters]).tolist()
    found = {
        "trained_n": language.trained_n,
        "learned": [int(n) or None for n in learned],
        "furthest": furthest,
    }
    best = int(np.argmax(furthest[str(language.budgets[-1])]))
    return found | {
        "non_finite": int(sum(not result.finite for result in runner.results())),
        "counter": counter(loop, model, best, COUNTED[language.letters]),
    }


@functools.partial(jax.jit, static_argnums=(0, 1, 3))
def _are_right(
    loop: lstm.TrainingLoop, trials: int, model: Model, most: int, ns: jax.Array
) -> jax.Array:
    """Return whether the string for each n is right, [N, R] bool."""

    def test(n: jax.Array) -> jax.Array:
        example = string(n, loop.task.architecture.num_outputs - 1, most)
        outputs = loop.update_rule.outputs(model, repeat(example, trials))
        return jax.vmap(loop.task.is_correct, in_axes=(-1, None))(outputs, example)

    return jax.lax.map(test, ns, batch_size=32)


def largest_n(loop: lstm.TrainingLoop, trials: int, model: Model, most: int) -> np.ndarray:
    """Return for each trial the largest n, up to `most`, up to which every string is right, [R]."""
    found, first = np.zeros(trials, int), 1
    while first <= most:  # in parts of twice the length, since most trials fail early
        last = min(2 * first + 7, most)
        ns = jnp.arange(first, last + 1, dtype=jnp.int32)
        right = np.asarray(_are_right(loop, trials, model, last, ns))
        run = np.cumprod(right, axis=0).sum(0)
        found = np.where(found == first - 1, first - 1 + run, found)
        if not right.all(0).any():
            break
        first = last + 1
    return found


def counter(loop: lstm.TrainingLoop, model: Model, trial: int, n: int) -> Document:
    """Return the symbols and the internal states [T, C] of one trial over the string for `n`."""
    example = string(n, loop.task.architecture.num_outputs - 1, n)
    parameters = jax.tree.map(lambda w: w[..., trial], model.parameters)
    activations, _ = lstm.unroll(loop.task.architecture, parameters, example.inputs)
    states = np.round(np.asarray(activations.internal_state, float), 3)
    symbols = np.asarray(example.inputs).tolist()
    return {"symbols": symbols, "states": states.tolist() if np.isfinite(states).all() else None}


def draw(document: Document) -> style.Figure:
    """Draw the largest n of every trial, and the counters of the best ones."""
    found = document["variants"]
    figure, (left, right) = style.new_figure(12, 5, columns=2, width_ratios=(3, 2))
    lines = {}
    for label, of in found.items():
        budget, largest = list(of["furthest"].items())[-1]
        lines[f"{_as_mathematics(label)}\n{int(budget):,} strings"] = largest
    draw_trials(left, lines, spread=0.25)
    left.set_xlabel("largest n up to which every string is right (0 at 0.5)")
    for i, (label, of) in enumerate(list(found.items())[:2]):  # with peepholes, N = 10
        for cell, states in enumerate(np.asarray(of["counter"]["states"]).T):
            name = f"{_as_mathematics(label.partition(',')[0])}, cell {cell + 1}"
            right.plot(states, color=style.LINES[2 * i + cell], label=name)
    right.set(xlabel="step", ylabel="internal state of the best network")
    style.add_legend(right)
    return figure


def _as_mathematics(label: str) -> str:
    return re.sub(r"[abc]\^n", r"$\g<0>$", label)
