"""Strongly delayed XOR (section 6), a problem that the truncated gradient can hardly solve.

Not one of the six experiments: section 6 names it as a limitation of the LSTM, since storing one of
the two relevant inputs alone does not lower the expected error.

    position   0        1 ..        at T/2        ..       T - 1
    symbol     0|1      noise       0|1           noise    end

One-hot symbols 0, 1, four distractors, end. The target at the end is the exclusive or of the bits.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from lstm_jax.cell.architecture import Architecture
from lstm_jax.cell.validation import as_integer
from lstm_jax.tasks import random_numbers
from lstm_jax.tasks.functions import Generator, within
from lstm_jax.tasks.hyperparameters import Hyperparameters
from lstm_jax.tasks.task import Example, Published, StreamRule, Task

NUM_SYMBOLS = 7


def make(length: int, max_sequences: int, *, shortest: int | None = None) -> Task:
    """Return the task for sequences of `length` (T) symbols, with the network and rate of task 6a.

    Weights are drawn from [-1, 1]; with smaller ones not even T = 4 is learned.

    Args:
      length: T, at least 4.
      max_sequences: the most training sequences of a trial.
      shortest: the shortest of the training sequences, whose lengths are uniform in `shortest` ..
        T, at least 4; None: all have T symbols, as those of the tests.

    Raises:
      ValueError: if `length` is below 4, or `shortest` is not in [4, length].
    """
    if length < 4:
        raise ValueError(f"length must be at least 4, got {length}")
    shortest = length if shortest is None else as_integer("shortest", shortest, 4, length + 1)
    return Task(
        name=f"xor-{length}",
        title=f"strongly delayed XOR, T = {length}",
        architecture=Architecture(num_inputs=NUM_SYMBOLS, blocks=(2, 2), num_outputs=1),
        max_length=length,
        fixed_length=shortest == length,
        error_at="end",
        sample=Generator(_sample, (shortest, length)),
        sample_test=Generator(_sample, (length, length)),
        is_correct=within(0.3),
        hyperparameters=Hyperparameters(learning_rate=0.5, init_range=1.0),
        rule=StreamRule(window=2000, max_wrong=0, mean_error=0.1),
        trials=10,
        max_sequences=max_sequences,
        published=Published(table="section 6"),
    )


def _sample(key: jax.Array, shortest: int, longest: int) -> Example:
    is_fixed = shortest == longest
    words = random_numbers.words(key, longest if is_fixed else longest + 1)
    length = jnp.int32(longest)
    if not is_fixed:
        length, words = random_numbers.integers(words[-1], shortest, longest), words[:-1]
    steps = jnp.arange(longest, dtype=jnp.int32)
    bits = random_numbers.integers(words, 0, 1)
    second = length // 2
    symbols = jnp.where(
        (steps == 0) | (steps == second), bits, 2 + random_numbers.integers(words >> 1, 0, 3)
    )
    symbols = jnp.where(steps >= length - 1, NUM_SYMBOLS - 1, symbols)
    targets = (bits[0] ^ bits[second]).astype(jnp.float32)[None]
    return Example(symbols, targets, targets, length)
