"""Experiment 5: multiplying two marked numbers (section 5.5, Table 8).

As experiment 4 with T = 100, but values are uniform in [0, 1] and the target at the end is X1 X2.
The first pair, if it is marked, has the value 1.0.

Training stops as soon as fewer than n_seq of the last 2000 training sequences are off by more than
0.04; there is a row for n_seq = 140 and one for n_seq = 13. Input gate biases are random, as in the
paper's summary of conditions; "like 5.4" in its text could also mean -3 and -6. The published test
errors are called mean squared errors, but only as mean absolute errors do they fit the published
counts of wrong sequences.
"""

from __future__ import annotations

import jax

from lstm_jax.cell.architecture import Architecture
from lstm_jax.tasks.adding import sample_marked_pairs
from lstm_jax.tasks.hyperparameters import Hyperparameters
from lstm_jax.tasks.task import Example, Published, StreamRule, Task, within

MIN_LENGTH = 100  # T
# name "5-n_seq": (mean sequences, wrong of 2560 test sequences, test error)
ROWS = {"5-140": (482_000, 139, 0.0223), "5-13": (1_273_000, 14, 0.0139)}


def make(name: str) -> Task:
    """Return the row "5-n_seq".

    >>> task = make("5-140")
    >>> task.architecture.num_weights, task.rule.max_wrong
    (93, 139)
    """
    mean_sequences, test_wrong, test_error = ROWS[name]
    n_seq = int(name.split("-")[1])
    return Task(
        name=name,
        title=f"multiplication problem, n_seq = {n_seq}",
        architecture=Architecture(num_inputs=2, blocks=(2, 2), num_outputs=1, biases="all"),
        max_length=MIN_LENGTH + MIN_LENGTH // 10,
        error_at="end",
        sample=lambda key, _: sample_multiplication(key),
        is_correct=within(0.04),
        hyperparameters=Hyperparameters(learning_rate=0.1, init_range=0.1),
        rule=StreamRule(window=2000, max_wrong=n_seq - 1),
        trials=10,
        max_sequences=10 * mean_sequences,
        published=Published(
            table="Table 8",
            mean_sequences=mean_sequences,
            test_wrong=test_wrong,
            test_error=test_error,
        ),
    )


def sample_multiplication(key: jax.Array) -> Example:
    """Draw a sequence of at least 100 pairs."""
    inputs, x1, x2, length = sample_marked_pairs(key, MIN_LENGTH, lowest=0.0, unseen=1.0)
    targets = (x1 * x2)[None]
    return Example(inputs, targets, targets, length)
