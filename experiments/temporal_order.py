"""Experiment 6: temporal order (section 5.6) of two symbols (row 6a) or three (row 6b)."""

from experiments.rows.run import row_command

COMMAND = row_command("temporal_order", __doc__)
if __name__ == "__main__":
    COMMAND.run()
