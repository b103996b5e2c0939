"""The methods that the paper compares the LSTM with, on tasks 1, 2 and 3.

    python -m experiments.baselines --task=2a-4.rtrl-1 --out=DIR
    python -m experiments.baselines --task=1.rcc --trials=4 --out=DIR
    python -m experiments.baselines --task=2a-100.bptt --max_sequences=100000 --out=DIR

Trials have the paper's maximum number of sequences where it gives one. Where nothing was learned
within 5,000,000 sequences, --max_sequences sets a smaller one, which the result file records.
"""

from experiments.rows.flags import row_command

COMMAND = row_command(
    "baselines", __doc__, "Task, method and what tells it from others.", "2a-4.rtrl-1"
)

if __name__ == "__main__":
    COMMAND.run()
