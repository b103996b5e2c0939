"""Experiment 4: the adding problem (section 5.4). Row 4-T has sequences of minimal length T."""

from experiments.rows.run import row_command

COMMAND = row_command("adding", __doc__)
if __name__ == "__main__":
    COMMAND.run()
