"""Experiment 5: the multiplication problem (section 5.5).

Row 5-n is solved with fewer than n of the last 2,000 sequences wrong.
"""

from experiments.rows.flags import row_command

COMMAND = row_command("multiplication", __doc__)
if __name__ == "__main__":
    COMMAND.run()
