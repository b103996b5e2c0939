"""Experiment 3: noise and signal on one line (section 5.3). Row 3x-T-N: length T, signal of N."""

from experiments.rows.run import row_command

COMMAND = row_command("two_sequence", __doc__)
if __name__ == "__main__":
    COMMAND.run()
