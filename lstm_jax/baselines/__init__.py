"""The algorithms that the paper compares the LSTM with, on the same tasks and training loop.

Recurrent nets that learn by a gradient: `fully_recurrent` (the nets, and BPTT), `step_gradients`
(RTRL and Elman's procedure) and `update_rules`, which also runs them on a task of your own. Other
algorithms: `cascade_correlation`, `chunker` and `guessing`. `rows` has the rows of the paper's
tables.
"""

from lstm_jax.baselines.rows import make_baseline_task, make_training_loop, row_names
from lstm_jax.baselines.update_rules import training_loop

__all__ = ("make_baseline_task", "make_training_loop", "row_names", "training_loop")
