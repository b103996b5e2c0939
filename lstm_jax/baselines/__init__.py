"""The algorithms that the paper compares the LSTM with, on the same tasks and training loop.

`fully_recurrent` has recurrent nets and their gradients (BPTT, RTRL and Elman's procedure);
`update_rules` trains them, also on a task of your own, or guesses their weights. Other algorithms:
`cascade_correlation` and `chunker`. `rows` has the rows of the paper's tables.
"""

from lstm_jax.baselines.rows import make_baseline_task, make_training_loop, row_names
from lstm_jax.baselines.update_rules import training_loop

__all__ = ("make_baseline_task", "make_training_loop", "row_names", "training_loop")
