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
from lstm_jax.tasks import random_numbers
from lstm_jax.tasks.hyperparameters import Hyperparameters
from lstm_jax.tasks.task import Example, Generator, Published, StreamRule, Task, within

NUM_SYMBOLS = 7


def make(length: int, max_sequences: int) -> Task:
    """Return the task for sequences of `length` (T) symbols, with the network and rate of task 6a.

    Weights are drawn from [-1, 1]; with smaller ones not even T = 4 is learned.

    Raises:
      ValueError: if `length` is below 4.
    """
    if length < 4:
        raise ValueError(f"length must be at least 4, got {length}")
    return Task(
        name=f"xor-{length}",
        title=f"strongly delayed XOR, T = {length}",
        architecture=Architecture(num_inputs=NUM_SYMBOLS, blocks=(2, 2), num_outputs=1),
        max_length=length,
        fixed_length=True,
        error_at="end",
        sample=Generator(_sample, (length,)),
        is_correct=within(0.3),
        hyperparameters=Hyperparameters(learning_rate=0.5, init_range=1.0),
        rule=StreamRule(window=2000, max_wrong=0, mean_error=0.1),
        trials=10,
        max_sequences=max_sequences,
        published=Published(table="section 6"),
    )


def _sample(key: jax.Array, length: int) -> Example:
    words = random_numbers.words(key, length)
    steps = jnp.arange(length, dtype=jnp.int32)
    bits = random_numbers.integers(words, 0, 1)
    is_bit = (steps == 0) | (steps == length // 2)
    symbols = jnp.where(is_bit, bits, 2 + random_numbers.integers(words >> 1, 0, 3))
    symbols = jnp.where(steps == length - 1, NUM_SYMBOLS - 1, symbols)
    targets = (bits[0] ^ bits[length // 2]).astype(jnp.float32)[None]
    return Example(symbols, targets, targets, jnp.int32(length))
