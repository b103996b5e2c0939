"""Experiments 4 and 5: adding and multiplying two marked numbers (sections 5.4, 5.5, Tables 7, 8).

Each input is a pair of a value and a marker. The length is uniform in T .. T + T/10.

    position   0    1 ..   t1   ..    t2   .. length - 2   length - 1
    value      v    v      X1   v     X2   v               v
    marker    -1    0     1.0   0    1.0   0              -1

t1 is uniform among the first ten positions. t2 is uniform among the first T/2 - 1 positions that
are still unmarked, and may precede t1; the minimal time lag is T/2.

                       values uniform in   target at the end      learning stops after
    4, adding          [-1, 1]             0.5 + (X1 + X2) / 4    2000 right, mean error below 0.01
    5, multiplication  [0, 1]              X1 X2                  fewer than n_seq of 2000 wrong

A sequence is wrong if its output is off by more than 0.04. If t1 is the first pair, its marker
stays -1 and X1 is set to 0 (4) or 1 (5), so that the target depends on visible marks alone. The
same is done if t2 is the first pair, a case that the text leaves open.

In experiment 5 T is 100 and input gate biases are random, as in the paper's summary of conditions;
"like 5.4" in its text could also mean -3 and -6. Its published test errors are called mean squared
errors, but only as mean absolute errors do they fit the published counts of wrong sequences.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from lstm_jax.cell.architecture import Architecture
from lstm_jax.tasks import draws
from lstm_jax.tasks.hyperparameters import Hyperparameters
from lstm_jax.tasks.task import Example, Published, StreamRule, Task, within

# name "4-T" or "5-n_seq": (mean sequences, wrong of 2560 test sequences, test error)
ROWS = {
    "4-100": (74_000, 1, None),
    "4-500": (209_000, 0, None),
    "4-1000": (853_000, 1, None),
    "5-140": (482_000, 139, 0.0223),
    "5-13": (1_273_000, 14, 0.0139),
}


def make(name: str) -> Task:
    """Return the row "4-T" or "5-n_seq"."""
    mean_sequences, test_wrong, test_error = ROWS[name]
    experiment, number = name[0], int(name[2:])
    if experiment == "4":
        title, table, min_length = f"adding problem, T = {number}", "Table 7", number
        hyperparameters = Hyperparameters(
            learning_rate=0.5, init_range=0.1, input_gate_bias=(-3.0, -6.0)
        )
        rule = StreamRule(window=2000, max_wrong=0, mean_error=0.01)
    else:
        title, table, min_length = f"multiplication problem, n_seq = {number}", "Table 8", 100
        hyperparameters = Hyperparameters(learning_rate=0.1, init_range=0.1)
        rule = StreamRule(window=2000, max_wrong=number - 1)
    return Task(
        name=name,
        title=title,
        architecture=Architecture(num_inputs=2, blocks=(2, 2), num_outputs=1, biases="all"),
        max_length=min_length + min_length // 10,
        error_at="end",
        sample=lambda key, _: sample_marked_pairs(key, min_length, is_sum=experiment == "4"),
        is_correct=within(0.04),
        hyperparameters=hyperparameters,
        rule=rule,
        trials=10,
        max_sequences=10 * mean_sequences,
        published=Published(
            table=table,
            mean_sequences=mean_sequences,
            test_wrong=test_wrong,
            test_error=test_error,
        ),
    )


def sample_marked_pairs(key: jax.Array, min_length: int, *, is_sum: bool = True) -> Example:
    """Draw a sequence of experiment 4, or of 5 unless `is_sum`, with T = `min_length`.

    Raises:
      ValueError: if `min_length` is below 20.
    """
    if min_length < 20:  # the first ten pairs must be among the first T/2
        raise ValueError(f"min_length must be at least 20, got {min_length}")
    max_length = min_length + min_length // 10
    words = draws.words(key, max_length + 3)
    length = draws.integers(words[0], min_length, max_length)
    t1 = draws.integers(words[1], 0, 9)
    t2 = draws.integers(words[2], 0, min_length // 2 - 2)
    t2 = jnp.where(t2 >= t1, t2 + 1, t2)  # skips the pair that is already marked

    steps = jnp.arange(max_length, dtype=jnp.int32)
    is_first, is_last = steps == 0, steps == length - 1
    is_chosen = (steps == t1) | (steps == t2)
    values = draws.uniform(words[3:], -1.0 if is_sum else 0.0, 1.0)
    values = jnp.where(is_first & is_chosen, 0.0 if is_sum else 1.0, values)
    markers = jnp.where(is_first | is_last, jnp.float32(-1.0), is_chosen.astype(jnp.float32))
    inputs = jnp.stack([values, markers], axis=-1)
    inputs = jnp.where((steps < length)[:, None], inputs, 0.0)
    x1, x2 = values[t1], values[t2]
    targets = (0.5 + (x1 + x2) / 4 if is_sum else x1 * x2)[None]
    return Example(inputs, targets, targets, length)
