"""The algorithms that the paper compares the LSTM with, on the same tasks and training loop.

Recurrent nets that learn by a gradient: `fully_recurrent` (the nets, and BPTT), `rtrl` and `elman`,
with their `update_rules`. Other algorithms: `cascade_correlation`, `chunker` and `guessing`. `rows`
has the rows of the paper's tables, and `on_any_task` runs recurrent nets on a task of your own.
"""

from lstm_jax.baselines.on_any_task import training_loop
from lstm_jax.baselines.rows import make_baseline_task, make_training_loop, row_names

__all__ = ("make_baseline_task", "make_training_loop", "row_names", "training_loop")
