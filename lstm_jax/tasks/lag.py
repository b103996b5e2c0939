"""Lag: a bit to be stored over a lag that varies from sequence to sequence.

Not one of the six experiments. It compares memory cells with fixed time constants, which fit a
single lag. The one-hot symbols are 0 or 1, then blanks; the target at the end is the first symbol.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from lstm_jax.cell.architecture import Architecture
from lstm_jax.tasks import draws
from lstm_jax.tasks.hyperparameters import Hyperparameters
from lstm_jax.tasks.task import Example, StreamRule, Task, within


def make(shortest: int, longest: int) -> Task:
    """Return the task for lags uniform in shortest .. longest, with an LSTM of one cell.

    >>> make(10, 100).max_length
    101

    Raises:
      ValueError: unless 1 <= shortest <= longest.
    """
    if not 1 <= shortest <= longest:
        raise ValueError(f"shortest must be in 1 .. {longest}, got {shortest}")
    return Task(
        name=f"lag-{shortest}-{longest}",
        title=f"a bit kept for {shortest} to {longest} steps",
        architecture=Architecture(num_inputs=3, blocks=(1,), num_outputs=1, biases="all"),
        max_length=longest + 1,
        error_at="end",
        sample=lambda key, _: _sample(key, shortest, longest),
        is_correct=within(0.3),
        hyperparameters=Hyperparameters(learning_rate=0.5, init_range=0.1, input_gate_bias=(-1.0,)),
        rule=StreamRule(window=2000, max_wrong=0),
        trials=10,
        max_sequences=50_000,
    )


def _sample(key: jax.Array, shortest: int, longest: int) -> Example:
    words = draws.words(key, 2)
    bit = draws.integers(words[0], 0, 1)
    steps = jnp.arange(longest + 1, dtype=jnp.int32)
    target = bit.astype(jnp.float32)[None]
    length = 1 + draws.integers(words[1], shortest, longest)
    return Example(jnp.where(steps == 0, bit, 2), target, target, length)
