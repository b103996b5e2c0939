"""Experiment 3: noise and signal on the same input line (section 5.3).

python -m experiments.two_sequence --task=3a-100-3 --out=DIR
python -m experiments.two_sequence --task=3b-100-1 --recipe=adam --out=DIR
python -m experiments.two_sequence --task=3c-100-3 --resume --out=DIR
"""

from experiments.rows.flags import row_command

COMMAND = row_command("two_sequence", __doc__, "3x-T-N: minimal length T, N steps with signal.")

if __name__ == "__main__":
    COMMAND.run()
