"""Counting: strings a^n b^n and a^n b^n c^n, of which every legal next symbol is to be told.

Not one of the six experiments, but of Gers & Schmidhuber (2001). One-hot symbols a, b, (c,) S; the
outputs are a, b, (c,) T, where T ends the string. For n = 2:

    position           0     1      2      3     4
    a^n b^n            S     a      a      b     b
    next may be        a     a b    a b    b     T

    position           0     1      2      3     4     5     6
    a^n b^n c^n        S     a      a      b     b     c     c
    next may be        a     a b    a b    b     c     c     T

Only the number of a's tells where the others end. A string is correct if at every step every legal
symbol's output is above every illegal one's, as in task 1. n is uniform in 1 .. `most` in training;
networks that have learned to count are right far beyond.

The publication's networks have one cell for a^n b^n and two for a^n b^n c^n, forget gates and
peepholes, 38 and 90 weights (from memory); here, n is at least 1, which it may not be there.

Reference:
  F. A. Gers and J. Schmidhuber. LSTM recurrent networks learn simple context-free and
  context-sensitive languages. IEEE Transactions on Neural Networks 12(6):1333-1340, 2001.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from lstm_jax.cell.architecture import Architecture
from lstm_jax.tasks import draws
from lstm_jax.tasks.hyperparameters import Hyperparameters
from lstm_jax.tasks.reber import is_correct
from lstm_jax.tasks.task import Example, Published, StreamRule, Task


def make(letters: int = 2, most: int = 10, *, peepholes: bool = True) -> Task:
    """Makes the task of strings of 2 or 3 different letters, n at most `most` in training.

    >>> make(2).architecture.num_weights, make(3).architecture.num_weights
    (38, 90)
    >>> make(2).max_length
    21

    Raises:
      ValueError: if there are no 2 or 3 letters, or no n.
    """
    if letters not in (2, 3):
        raise ValueError(f"letters must be one of (2, 3), got {letters!r}")
    if most < 1:
        raise ValueError(f"most must be at least 1, got {most}")

    def sample(key: jax.Array, data: None = None) -> Example:
        del data
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
    """The string of this n, padded to `most`.

    Args:
      n: int32, in [1, most].
      letters: 2 or 3.
      most: the largest n that there is room for.
    """
    steps = jnp.arange(letters * most + 1, dtype=jnp.int32)
    end = jnp.int32(letters)  # S as an input, T as an output
    number = lambda place: jnp.minimum(jnp.maximum(place, 0) // n, end)  # of the letter there
    seen = jnp.where(steps == 0, end, number(steps - 1))
    legal = jax.nn.one_hot(number(steps), letters + 1, dtype=jnp.float32)
    may_go_on = (seen == 0)[:, None]
    either = jnp.zeros(letters + 1).at[:2].set(1.0)  # after an a, whatever n will be
    legal = jnp.where(may_go_on, either[None], legal)
    length = jnp.int32(letters * n + 1)
    return Example(jnp.minimum(seen, end), legal, legal, length, legal)
