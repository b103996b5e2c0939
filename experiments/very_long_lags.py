"""Experiment 2c: very long time lags (section 5.2). Row 2c-q-p: lag q, distractors of p symbols."""

from experiments.rows.run import row_command

COMMAND = row_command("very_long_lags", __doc__)
if __name__ == "__main__":
    COMMAND.run()
