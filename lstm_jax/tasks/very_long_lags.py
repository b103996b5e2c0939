"""Experiment 2c: very long time lags among random distractors (section 5.2, Table 3).

One-hot symbols a_1 .. a_p, e, b, x, y, numbered in this order.

    position   0   1     2 .. q+k+1                     q+k+2 = length - 1
    symbol     b   x|y   random ones of a_1 .. a_p      e

x and y are equally likely. The target at the end is one-hot over x, y; the minimal time lag is
q + 1. After the first q distractors each further position is e with probability 1/10, so that
P(k) = 0.9^k / 10. Arrays need a bound: k is at most 151, and P(k > 151) = 1.1e-7. The printed
sequences include the target symbol, and so have at least q + 4 symbols.

Solved: both outputs stay within 0.2 of their targets for 10,000 random sequences, here the last
10,000 training sequences; the text leaves open which.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp

from lstm_jax.cell.architecture import Architecture
from lstm_jax.tasks import random_numbers
from lstm_jax.tasks.functions import Generator, within
from lstm_jax.tasks.hyperparameters import Hyperparameters
from lstm_jax.tasks.task import Example, Published, StreamRule, Task

MAX_EXTRA = 151  # the bound of k
# name "2c-q-p": mean sequences
ROWS = {
    "2c-50-50": 30_000,
    "2c-100-100": 31_000,
    "2c-200-200": 33_000,
    "2c-500-500": 38_000,
    "2c-1000-1000": 49_000,
    "2c-1000-500": 49_000,
    "2c-1000-200": 75_000,
    "2c-1000-100": 135_000,
    "2c-1000-50": 203_000,
}


def make(name: str) -> Task:
    """Return the row "2c-q-p"."""
    delay, num_distractors = (int(part) for part in name.split("-")[1:])
    return Task(
        name=name,
        title=f"very long lags, q = {delay}, {num_distractors} distractors",
        architecture=Architecture(
            num_inputs=num_distractors + 4, blocks=(1, 1), num_outputs=2, biases="none"
        ),
        max_length=delay + MAX_EXTRA + 3,
        error_at="end",
        sample=Generator(sample_very_long, (delay, num_distractors)),
        is_correct=within(0.2),
        hyperparameters=Hyperparameters(learning_rate=0.01, init_range=0.2),
        rule=StreamRule(window=10_000),
        trials=20,
        max_sequences=10 * ROWS[name],
        published=Published(table="Table 3", mean_sequences=ROWS[name]),
    )


def sample_very_long(key: jax.Array, delay: int, num_distractors: int) -> Example:
    """Draw a sequence of at least `delay` (q) distractors out of `num_distractors` (p)."""
    max_length = delay + MAX_EXTRA + 3
    words = random_numbers.words(key, max_length + 2)
    # The floor of an exponential variable of rate r is geometric: P(k or more) = e^(-r k).
    waiting = jnp.log1p(-random_numbers.uniform(words[0], 0.0, 1.0)) / math.log(0.9)
    end = delay + 2 + jnp.minimum(waiting.astype(jnp.int32), MAX_EXTRA)
    label = random_numbers.integers(words[1], 0, 1)
    e, b, x = num_distractors, num_distractors + 1, num_distractors + 2

    symbols = random_numbers.integers(words[2:], 0, num_distractors - 1)
    steps = jnp.arange(max_length, dtype=jnp.int32)
    symbols = jnp.where(steps == 0, b, symbols)
    symbols = jnp.where(steps == 1, x + label, symbols)
    symbols = jnp.where(steps == end, e, symbols)
    targets = jax.nn.one_hot(label, 2, dtype=jnp.float32)
    return Example(symbols, targets, targets, end + 1)
