"""The methods that the paper compares the LSTM with, on the same tasks and in the same trial loop.

Each is a small module that cites its source. Recurrent nets trained by gradients: `fully_recurrent`
(the nets, BPTT), `rtrl`, `elman` (with windowed BPTT), `time_constants`; `loop` makes them
methods of `lstm_jax.training`. Methods of their own kind: `cascade_correlation` (by `quickprop`),
`chunker`, `guessing`. `rows` has the published rows of all, `own` a rival on a task of your own,
and `error_flow` measures what recurrent nets and the LSTM do to an error on its way back in time.
"""

from lstm_jax.baselines.any_task import training_loop
from lstm_jax.baselines.rows import make_baseline_task, make_training_loop, row_names

__all__ = ("make_baseline_task", "make_training_loop", "row_names", "training_loop")
