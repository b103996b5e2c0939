"""Experiment 1: the embedded Reber grammar (section 5.1).

Row 1-1 has 4 blocks of 1 cell and learning rate 0.1; rows 1-2 and 1-3 have 3 blocks of 2 cells at
0.1 and 0.2; row 1-4 has 4 blocks of 1 cell at 0.5; row 1-5 has 3 blocks of 2 cells at 0.5.
"""

from experiments.rows.run import row_command

COMMAND = row_command("embedded_reber", __doc__)
if __name__ == "__main__":
    COMMAND.run()
