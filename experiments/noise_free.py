"""Experiments 2a and 2b: long time lags, with and without local regularities (section 5.2)."""

from experiments.rows.run import row_command

COMMAND = row_command("noise_free", __doc__)
if __name__ == "__main__":
    COMMAND.run()
