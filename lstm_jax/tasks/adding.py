"""Experiment 4: the adding problem (section 5.4, Table 7).

Each input is a pair of a value, uniform in [-1, 1], and a marker. The length is uniform in
T .. T + T/10.

    position   0    1 ..   t1   ..    t2   .. length - 2   length - 1
    value      v    v      X1   v     X2   v               v
    marker    -1    0     1.0   0    1.0   0              -1

The target at the end is 0.5 + (X1 + X2) / 4. t1 is uniform among the first ten positions. t2 is
uniform among the first T/2 - 1 positions that are still unmarked, and may precede t1; the minimal
time lag is T/2.

If t1 is the first pair, its marker stays -1 and X1 is set to 0, so that the target depends on
visible marks alone. The same is done if t2 is the first pair, a case that the text leaves open.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from lstm_jax.cell.architecture import Architecture
from lstm_jax.tasks import draws
from lstm_jax.tasks.hyperparameters import Hyperparameters
from lstm_jax.tasks.task import Example, Published, StreamRule, Task, within

# name "4-T": (mean sequences, wrong of 2560 test sequences)
ROWS = {"4-100": (74_000, 1), "4-500": (209_000, 0), "4-1000": (853_000, 1)}


def make(name: str) -> Task:
    """Return the row "4-T".

    >>> task = make("4-100")
    >>> task.architecture.num_weights, task.max_length
    (93, 110)
    """
    mean_sequences, test_wrong = ROWS[name]
    min_length = int(name.split("-")[1])
    return Task(
        name=name,
        title=f"adding problem, T = {min_length}",
        architecture=Architecture(num_inputs=2, blocks=(2, 2), num_outputs=1, biases="all"),
        max_length=min_length + min_length // 10,
        error_at="end",
        sample=lambda key, _: sample_adding(key, min_length),
        is_correct=within(0.04),
        hyperparameters=Hyperparameters(
            learning_rate=0.5, init_range=0.1, input_gate_bias=(-3.0, -6.0)
        ),
        rule=StreamRule(window=2000, max_wrong=0, mean_error=0.01),
        trials=10,
        max_sequences=10 * mean_sequences,
        published=Published(table="Table 7", mean_sequences=mean_sequences, test_wrong=test_wrong),
    )


def sample_adding(key: jax.Array, min_length: int) -> Example:
    """Draw a sequence of at least `min_length` (T) pairs."""
    inputs, x1, x2, length = sample_marked_pairs(key, min_length, lowest=-1.0, unseen=0.0)
    targets = (0.5 + (x1 + x2) / 4)[None]
    return Example(inputs, targets, targets, length)


def sample_marked_pairs(
    key: jax.Array, min_length: int, *, lowest: float, unseen: float
) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
    """Draw pairs of a value and a marker, two of them marked.

    Args:
      key: PRNG key.
      min_length: T, at least 20.
      lowest: values are uniform in [lowest, 1].
      unseen: the value of the first pair if it is marked, since its marker cannot show it.

    Returns:
      The inputs [T + T/10, 2], X1, X2 and the length.

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
    values = draws.uniform(words[3:], lowest, 1.0)
    values = jnp.where(is_first & is_chosen, unseen, values)
    markers = jnp.where(is_first | is_last, jnp.float32(-1.0), is_chosen.astype(jnp.float32))
    inputs = jnp.stack([values, markers], axis=-1)
    inputs = jnp.where((steps < length)[:, None], inputs, 0.0)
    return inputs, values[t1], values[t2], length
