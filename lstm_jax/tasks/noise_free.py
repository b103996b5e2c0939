"""Experiments 2a and 2b: noise-free sequences with long time lags (section 5.2, Table 2).

One-hot symbols a_1 .. a_(p-1), x, y, numbered in this order; p is the delay.

    position   0     1 .. p-1                                  p
    2a         x|y   a_1 .. a_(p-1), always in this order      as position 0
    2b         x|y   random ones of a_1 .. a_(p-1)             as position 0

x and y are equally likely. The network predicts positions 1 .. p from their predecessors. Only the
last prediction needs memory, of the symbol p - 1 steps before.

Solved: every output's absolute error stays below 0.25 for 10,000 random sequences, in 2a at every
step, in 2b at the last one. The text leaves open whether these are training sequences. Here they
are the last 10,000. The published counts are lower; compare them with our counts less 10,000.

Sequential construction: the memory cell and its input gate join the network when the error has
stopped decreasing; until then only the inputs feed the output units. The 10,504 weights of the
paper leave no room for an output gate, biases or recurrent connections.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from lstm_jax.cell.architecture import Architecture
from lstm_jax.tasks import random_numbers
from lstm_jax.tasks.functions import Generator, within
from lstm_jax.tasks.hyperparameters import Hyperparameters
from lstm_jax.tasks.task import Example, Published, StreamRule, Task

ROWS = {
    "2a": Published(table="Table 2", success_rate=100.0, mean_sequences=5_040),
    "2b": Published(table="text", success_rate=100.0, mean_sequences=5_680),
}


def make(name: str, delay: int = 100) -> Task:
    """Return row "2a" or "2b", or the same task with another delay p, as some baselines have it.

    Raises:
      ValueError: if `delay` is below 2.
    """
    if delay < 2:
        raise ValueError(f"delay must be at least 2, got {delay}")
    is_random = name == "2b"
    is_published = delay == 100
    return Task(
        name=name if is_published else f"{name}-{delay}",
        title=f"noise-free, {'random' if is_random else 'fixed'} middle, delay {delay}",
        architecture=Architecture(
            num_inputs=delay + 1,
            blocks=(1,),
            num_outputs=delay + 1,
            output_gates=False,
            recurrent=False,
            input_to_output=True,
            biases="none",
            cell_input="logistic",
            cell_output="identity",
        ),
        max_length=delay,
        fixed_length=True,
        error_at="every_step",
        sample=Generator(sample_noise_free, (delay, is_random)),
        is_correct=_ends_within_a_quarter if is_random else within(0.25),
        hyperparameters=Hyperparameters(learning_rate=1.0, init_range=0.2),
        rule=StreamRule(window=10_000),
        trials=18,
        max_sequences=5_000_000,
        published=ROWS[name] if is_published else Published(table=ROWS[name].table),
        sequential_construction=True,
    )


def sample_noise_free(key: jax.Array, delay: int, is_random: bool) -> Example:
    """Draw a sequence of 2a, or of 2b, whose middle `is_random`."""
    num_middle = delay - 1
    words = random_numbers.words(key, 1 + num_middle * is_random)
    edge = num_middle + random_numbers.integers(words[:1], 0, 1)
    middle = jnp.arange(num_middle, dtype=jnp.int32)
    if is_random:
        middle = random_numbers.integers(words[1:], 0, num_middle - 1)
    return predict_next(jnp.concatenate([edge, middle, edge]), delay)


def predict_next(symbols: jax.Array, delay: int) -> Example:
    """Return the sequence of all symbols [p + 1] but the last, with their followers as targets."""
    targets = jax.nn.one_hot(symbols[1:], delay + 1, dtype=jnp.float32)
    return Example(symbols[:-1], targets, targets, jnp.int32(delay))


def _ends_within_a_quarter(outputs: jax.Array, example: Example) -> jax.Array:
    return within(0.25)(outputs[-1], example._replace(true_targets=example.true_targets[-1]))
