"""The methods that the paper compares the LSTM with, on tasks 1, 2 and 3.

A row is named after its task, its method and what distinguishes it, such as 2a-4.rtrl-10: task 2a
with p = 4, RTRL, learning rate 10. Trials that fail take up to 5,000,000 sequences; --max_sequences
sets a smaller maximum, which the result file records.
"""

from experiments.rows.run import row_command

COMMAND = row_command("baselines", __doc__)
if __name__ == "__main__":
    COMMAND.run()
