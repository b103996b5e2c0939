"""Experiment 6: temporal order (section 5.6).

One-hot symbols; the class is the order in which the relevant symbols X and Y appear among
distractors, far apart and far from the end.

    position   0   1 ...                                        length - 1
    6a         E   a-d, but X or Y at t1 and t2                  B
    6b         E   a-d, but X or Y at t1, t2 and t3              B

Positions count from 0. Length is uniform in 100..110; t1 is uniform in 10..20; 6a: t2 in 50..60;
6b: t2 in 33..43 and t3 in 66..76. Symbols are numbered E, a, b, c, d, X, Y, B. The target at the
end is one-hot over the classes: the relevant symbols read as a binary number, X = 0 and Y = 1, so
that 6a has XX, XY, YX, YY. The last relevant symbol comes at least 39 (6a) or 23 (6b) steps before
B, the first at least 79.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from lstm_jax.cell.architecture import Architecture
from lstm_jax.tasks import draws
from lstm_jax.tasks.hyperparameters import Hyperparameters
from lstm_jax.tasks.task import Example, Published, StreamRule, Task, within

SYMBOLS = "EabcdXYB"
MIN_LENGTH, MAX_LENGTH = 100, 110
RANGES = {"6a": ((10, 20), (50, 60)), "6b": ((10, 20), (33, 43), (66, 76))}


def make(name: str) -> Task:
    """Makes row "6a" or "6b"."""
    ranges = RANGES[name]
    num_classes = 2 ** len(ranges)
    in_6a = name == "6a"

    def sample(key: jax.Array, data: None = None) -> Example:
        del data
        return sample_order(key, ranges)

    return Task(
        name=name,
        title=f"temporal order, {len(ranges)} relevant symbols",
        architecture=Architecture(
            num_inputs=len(SYMBOLS),
            blocks=(2,) * len(ranges),
            num_outputs=num_classes,
            biases="all",
        ),
        max_length=MAX_LENGTH,
        error_at="end",
        sample=sample,
        is_correct=within(0.3),
        hyperparameters=Hyperparameters(
            learning_rate=0.5 if in_6a else 0.1,
            init_range=0.1,
            input_gate_bias=(-2.0, -4.0, -6.0)[: len(ranges)],
        ),
        rule=StreamRule(window=2000, max_wrong=0, mean_error=0.1),
        trials=20 if in_6a else 10,
        max_sequences=313_900 if in_6a else 5_711_000,
        published=Published(
            table="Table 9",
            success_rate=100.0,
            mean_sequences=31_390 if in_6a else 571_100,
            test_wrong=1 if in_6a else 2,
        ),
    )


def sample_order(key: jax.Array, ranges: tuple[tuple[int, int], ...], stretch: int = 1) -> Example:
    """Draws a sequence with one relevant symbol in each of `ranges`.

    With `stretch`, all ranges of positions and of the length are so many times as far out: the same
    problem with longer lags.
    """
    min_length, max_length = stretch * MIN_LENGTH, stretch * MAX_LENGTH
    num_relevant, num_words = len(ranges), -(-max_length // 4)
    words = draws.words(key, num_words + num_relevant + 2)
    distractors = draws.small_integers(words[:num_words], max_length, bits=2)
    symbols = SYMBOLS.index("a") + distractors
    *position_words, length_word, class_word = words[num_words:]
    length = draws.integers(length_word, min_length, max_length)
    label = draws.integers(class_word, 0, 2**num_relevant - 1)
    steps = jnp.arange(max_length, dtype=jnp.int32)
    for i, (low, high) in enumerate(ranges):
        is_y = (label >> (num_relevant - 1 - i)) & 1
        position = draws.integers(position_words[i], stretch * low, stretch * high)
        symbols = jnp.where(steps == position, SYMBOLS.index("X") + is_y, symbols)
    symbols = jnp.where(steps == 0, SYMBOLS.index("E"), symbols)
    symbols = jnp.where(steps == length - 1, SYMBOLS.index("B"), symbols)
    targets = jax.nn.one_hot(label, 2**num_relevant, dtype=jnp.float32)
    return Example(symbols, targets, targets, length)
