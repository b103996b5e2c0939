"""Experiment 4: adding two marked numbers (section 5.4, Table 7).

Each input is a pair of a value and a marker. The length is uniform in T .. T + T/10.

    position   0    1 ..   t1   ..    t2   .. length - 2   length - 1
    value      v    v      X1   v     X2   v               v
    marker    -1    0     1.0   0    1.0   0              -1

Values are uniform in [-1, 1]. t1 is uniform among the first ten positions. t2 is uniform among the
first T/2 - 1 positions that are still unmarked, and may precede t1; the minimal time lag is T/2.
The target, at the end, is 0.5 + (X1 + X2) / 4. A sequence is wrong if its output is off by more
than 0.04. Learning stops after 2000 right sequences whose mean error is below 0.01.

If t1 is the first pair, its marker stays -1 and X1 is set to 0, so that the target depends on
visible marks alone. The same is done if t2 is the first pair, a case that the text leaves open.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from lstm_jax.cell.architecture import Architecture
from lstm_jax.tasks import random_numbers
from lstm_jax.tasks.functions import Generator, within
from lstm_jax.tasks.hyperparameters import Hyperparameters
from lstm_jax.tasks.task import Example, Published, StreamRule, Task

# The network and the criterion of experiments 4 and 5.
ARCHITECTURE = Architecture(num_inputs=2, blocks=(2, 2), num_outputs=1, biases="all")
TOLERANCE = 0.04

# name "4-T": (mean sequences, wrong of 2560 test sequences)
ROWS = {"4-100": (74_000, 1), "4-500": (209_000, 0), "4-1000": (853_000, 1)}


def make(name: str) -> Task:
    """Return the row "4-T"."""
    mean_sequences, test_wrong = ROWS[name]
    min_length = int(name[2:])
    return Task(
        name=name,
        title=f"adding problem, T = {min_length}",
        architecture=ARCHITECTURE,
        max_length=longest(min_length),
        error_at="end",
        sample=Generator(sample_marked_pairs, (min_length,)),
        is_correct=within(TOLERANCE),
        hyperparameters=Hyperparameters(
            learning_rate=0.5, init_range=0.1, input_gate_bias=(-3.0, -6.0)
        ),
        rule=StreamRule(window=2000, max_wrong=0, mean_error=0.01),
        trials=10,
        max_sequences=10 * mean_sequences,
        published=Published(table="Table 7", mean_sequences=mean_sequences, test_wrong=test_wrong),
    )


def longest(min_length: int) -> int:
    """Return the longest sequence's length, of those that are at least T = `min_length`."""
    return min_length + min_length // 10


def sample_marked_pairs(key: jax.Array, min_length: int, is_sum: bool = True) -> Example:
    """Draw a sequence of experiment 4, or of 5 unless `is_sum`, with T = `min_length`.

    Raises:
      ValueError: if `min_length` is below 20.
    """
    if min_length < 20:  # the first ten pairs must be among the first T/2
        raise ValueError(f"min_length must be at least 20, got {min_length}")
    max_length = longest(min_length)
    words = random_numbers.words(key, max_length + 3)
    length = random_numbers.integers(words[0], min_length, max_length)
    t1 = random_numbers.integers(words[1], 0, 9)
    t2 = random_numbers.integers(words[2], 0, min_length // 2 - 2)
    t2 = jnp.where(t2 >= t1, t2 + 1, t2)  # skips the pair that is already marked

    steps = jnp.arange(max_length, dtype=jnp.int32)
    is_first, is_last = steps == 0, steps == length - 1
    is_chosen = (steps == t1) | (steps == t2)
    values = random_numbers.uniform(words[3:], -1.0 if is_sum else 0.0, 1.0)
    values = jnp.where(is_first & is_chosen, 0.0 if is_sum else 1.0, values)
    markers = jnp.where(is_first | is_last, jnp.float32(-1.0), is_chosen.astype(jnp.float32))
    inputs = jnp.stack([values, markers], axis=-1)
    inputs = jnp.where((steps < length)[:, None], inputs, 0.0)
    x1, x2 = values[t1], values[t2]
    targets = (0.5 + (x1 + x2) / 4 if is_sum else x1 * x2)[None]
    return Example(inputs, targets, targets, length)
