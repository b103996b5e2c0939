"""Experiment 2c: very long time lags, no local regularities (section 5.2).

A sequence of row 2c-q-p has at least q distractors, drawn from p symbols.
"""

from experiments.rows.flags import row_command

COMMAND = row_command("very_long_lags", __doc__)
if __name__ == "__main__":
    COMMAND.run()
