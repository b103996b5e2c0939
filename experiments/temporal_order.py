"""Experiment 6: temporal order (section 5.6).

Row 6a has two relevant symbols, row 6b three.
"""

from experiments.rows.flags import row_command

COMMAND = row_command("temporal_order", __doc__)
if __name__ == "__main__":
    COMMAND.run()
