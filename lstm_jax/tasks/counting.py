"""Counting: strings a^n b^n and a^n b^n c^n, to predict all legal next symbols of.

A task of Gers & Schmidhuber (2001), not one of the six experiments. The inputs are one-hot symbols
a, b, (c,) S; the outputs stand for a, b, (c,) T, where T ends a string. For n = 2:

    position           0     1      2      3     4     5     6
    a^n b^n            S     a      a      b     b
    legal next         a     a b    a b    b     T
    a^n b^n c^n        S     a      a      b     b     c     c
    legal next         a     a b    a b    b     c     c     T

A string is correct if at every step every legal symbol's output is above every illegal one's. In
training n is uniform in 1 .. `most`; networks that count are right far beyond. The networks, with
38 and 90 weights, are the publication's as far as is remembered.

Reference:
  F. A. Gers and J. Schmidhuber. LSTM recurrent networks learn simple context-free and
  context-sensitive languages. IEEE Transactions on Neural Networks 12(6):1333-1340, 2001.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from lstm_jax.cell.architecture import Architecture
from lstm_jax.cell.validation import check_choice
from lstm_jax.tasks import draws
from lstm_jax.tasks.hyperparameters import Hyperparameters
from lstm_jax.tasks.reber import is_correct
from lstm_jax.tasks.task import Example, Published, StreamRule, Task


def make(letters: int = 2, most: int = 10, *, peepholes: bool = True) -> Task:
    """Return the task for strings of 2 or 3 different letters, with n up to `most` in training.

    >>> make(2).architecture.num_weights, make(3).architecture.num_weights
    (38, 90)

    Raises:
      ValueError: if `letters` is not 2 or 3, or `most` is below 1.
    """
    check_choice("letters", letters, (2, 3))
    if most < 1:
        raise ValueError(f"most must be at least 1, got {most}")

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
        max_length=letters * most + 1,
        error_at="every_step",
        sample=sample,
        is_correct=is_correct,
        hyperparameters=Hyperparameters(learning_rate=0.01, init_range=0.1),
        rule=StreamRule(window=10_000),
        max_sequences=100_000,
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
