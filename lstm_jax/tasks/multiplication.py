"""Experiment 5: multiplying two marked numbers (section 5.5, Table 8).

Sequences are those of experiment 4 (`adding`), with T = 100, values in [0, 1] and the target X1 X2;
a marked first pair has the value 1. Learning stops when fewer than n_seq of 2000 sequences are
wrong.

Input gate biases are random, as in the paper's summary of conditions; "like 5.4" in its text could
also mean -3 and -6. Its published test errors are called mean squared errors, but only as mean
absolute errors do they fit the published counts of wrong sequences.
"""

from __future__ import annotations

from lstm_jax.tasks.adding import ARCHITECTURE, TOLERANCE, longest, sample_marked_pairs
from lstm_jax.tasks.functions import Generator, within
from lstm_jax.tasks.hyperparameters import Hyperparameters
from lstm_jax.tasks.task import Published, StreamRule, Task

MIN_LENGTH = 100  # T

# name "5-n_seq": (mean sequences, wrong of 2560 test sequences, test error)
ROWS = {"5-140": (482_000, 139, 0.0223), "5-13": (1_273_000, 14, 0.0139)}


def make(name: str) -> Task:
    """Return the row "5-n_seq"."""
    mean_sequences, test_wrong, test_error = ROWS[name]
    number = int(name[2:])
    return Task(
        name=name,
        title=f"multiplication problem, n_seq = {number}",
        architecture=ARCHITECTURE,
        max_length=longest(MIN_LENGTH),
        error_at="end",
        sample=Generator(sample_marked_pairs, (MIN_LENGTH, False)),
        is_correct=within(TOLERANCE),
        hyperparameters=Hyperparameters(learning_rate=0.1, init_range=0.1),
        rule=StreamRule(window=2000, max_wrong=number - 1),
        trials=10,
        max_sequences=10 * mean_sequences,
        published=Published(
            table="Table 8",
            mean_sequences=mean_sequences,
            test_wrong=test_wrong,
            test_error=test_error,
        ),
    )
