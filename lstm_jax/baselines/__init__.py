"""The algorithms that the paper compares the LSTM with, on the same tasks and training loop.

`fully_recurrent` has recurrent nets and their gradients (BPTT, RTRL and Elman's procedure);
`gradient_descent` trains them, also on a task of your own, and `guessing` draws their weights.
Other algorithms: `cascade_correlation` and `chunker`. `rows` has the rows of the paper's tables.
"""

from lstm_jax.baselines.gradient_descent import training_loop
from lstm_jax.baselines.rows import make_baseline_task, make_training_loop, row_names

__all__ = ("make_baseline_task", "make_training_loop", "row_names", "training_loop")
