"""The methods that the paper compares the LSTM with, on tasks 1, 2 and 3.

    python -m experiments.baselines --task=2a-4.rtrl-1 --out=DIR
    python -m experiments.baselines --task=1.rcc --trials=4 --out=DIR
    python -m experiments.baselines --task=2a-100.bptt --max_sequences=100000 --out=DIR

A trial's budget is the paper's where it gives one. Where nothing was learned within 5,000,000
sequences, --max_sequences gives a smaller one, which the result file states.
"""

from experiments.rows.flags import row_command
from lstm_jax import baselines as baselines

_ROWS = sorted(baselines.row_names(), key=lambda row: row != "2a-4.rtrl-1")  # the default first

COMMAND = row_command("rivals", __doc__, _ROWS, "Task, method and what tells it from others.")

if __name__ == "__main__":
    COMMAND.run()
