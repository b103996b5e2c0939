"""Experiment 3: noise and signal on the same input line (section 5.3).

Row 3x-T-N has sequences of minimal length T, of which the first N steps carry the signal.
"""

from experiments.rows.flags import row_command

COMMAND = row_command("two_sequence", __doc__)
if __name__ == "__main__":
    COMMAND.run()
