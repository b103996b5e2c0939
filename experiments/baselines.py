"""The methods that the paper compares the LSTM with, on tasks 1, 2 and 3.

A row's name is its task, a dot, its method and what distinguishes it. Trials have the paper's
maximum number of sequences where it gives one. Where nothing was learned within 5,000,000
sequences, --max_sequences sets a smaller one, which the result file records.
"""

from experiments.rows.run import row_command

COMMAND = row_command("baselines", __doc__)
if __name__ == "__main__":
    COMMAND.run()
