"""Experiment 6: temporal order (section 5.6, Table 9).

One-hot symbols E, a, b, c, d, X, Y, B, numbered in this order. The class is the order of the
relevant symbols X and Y, which are far apart from each other and from the end.

    position   0   1 ..                                     length - 1
    6a         E   a-d, but X or Y at t1 and t2              B
    6b         E   a-d, but X or Y at t1, t2 and t3          B

The length is uniform in 100 .. 110 and t1 in 10 .. 20; in 6a t2 in 50 .. 60; in 6b t2 in 33 .. 43
and t3 in 66 .. 76. The target at the end is one-hot over the classes XX, XY, YX, YY (6a) or XXX,
XXY, .., YYY (6b). The minimal time lag is 39 (6a) or 23 (6b) steps.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from lstm_jax.cell.architecture import Architecture
from lstm_jax.tasks import random_numbers
from lstm_jax.tasks.functions import Generator, within
from lstm_jax.tasks.hyperparameters import Hyperparameters
from lstm_jax.tasks.task import Example, Published, StreamRule, Task

SYMBOLS = "EabcdXYB"
MIN_LENGTH, MAX_LENGTH = 100, 110
RANGES = {"6a": ((10, 20), (50, 60)), "6b": ((10, 20), (33, 43), (66, 76))}  # of t1, t2, ..
# name: (learning rate, trials, mean sequences, wrong of 2560 test sequences)
ROWS = {"6a": (0.5, 20, 31_390, 1), "6b": (0.1, 10, 571_100, 2)}


def make(name: str) -> Task:
    """Return row "6a" or "6b"."""
    learning_rate, trials, mean_sequences, test_wrong = ROWS[name]
    ranges = RANGES[name]
    return Task(
        name=name,
        title=f"temporal order, {len(ranges)} relevant symbols",
        architecture=Architecture(
            num_inputs=len(SYMBOLS),
            blocks=(2,) * len(ranges),
            num_outputs=2 ** len(ranges),
            biases="all",
        ),
        max_length=MAX_LENGTH,
        error_at="end",
        sample=Generator(sample_order, (ranges,)),
        is_correct=within(0.3),
        hyperparameters=Hyperparameters(
            learning_rate=learning_rate,
            init_range=0.1,
            input_gate_bias=(-2.0, -4.0, -6.0)[: len(ranges)],
        ),
        rule=StreamRule(window=2000, max_wrong=0, mean_error=0.1),
        trials=trials,
        max_sequences=10 * mean_sequences,
        published=Published(
            table="Table 9",
            success_rate=100.0,
            mean_sequences=mean_sequences,
            test_wrong=test_wrong,
        ),
    )


def sample_order(key: jax.Array, ranges: tuple[tuple[int, int], ...], stretch: int = 1) -> Example:
    """Draw a sequence with relevant symbols in `ranges`, all lags `stretch` times as long."""
    min_length, max_length = stretch * MIN_LENGTH, stretch * MAX_LENGTH
    num_relevant, num_words = len(ranges), -(-max_length // 4)
    words = random_numbers.words(key, num_words + num_relevant + 2)
    distractors = random_numbers.small_integers(words[:num_words], max_length, bits=2)
    symbols = SYMBOLS.index("a") + distractors
    *position_words, length_word, class_word = words[num_words:]
    length = random_numbers.integers(length_word, min_length, max_length)
    label = random_numbers.integers(
        class_word, 0, 2**num_relevant - 1
    )  # in binary, X = 0 and Y = 1
    steps = jnp.arange(max_length, dtype=jnp.int32)
    for i, (low, high) in enumerate(ranges):
        is_y = (label >> (num_relevant - 1 - i)) & 1
        position = random_numbers.integers(position_words[i], stretch * low, stretch * high)
        symbols = jnp.where(steps == position, SYMBOLS.index("X") + is_y, symbols)
    symbols = jnp.where(steps == 0, SYMBOLS.index("E"), symbols)
    symbols = jnp.where(steps == length - 1, SYMBOLS.index("B"), symbols)
    targets = jax.nn.one_hot(label, 2**num_relevant, dtype=jnp.float32)
    return Example(symbols, targets, targets, length)
