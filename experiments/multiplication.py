"""Experiment 5: the multiplication problem (section 5.5). Row 5-n: fewer than n of 2,000 wrong."""

from experiments.rows.run import row_command

COMMAND = row_command("multiplication", __doc__)
if __name__ == "__main__":
    COMMAND.run()
