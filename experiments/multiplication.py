"""Experiment 5: the multiplication problem (section 5.5).

python -m experiments.multiplication --task=5-140 --out=DIR
python -m experiments.multiplication --task=5-140 --recipe=adam --out=DIR
python -m experiments.multiplication --task=5-13 --recipe=swapped --resume --out=DIR
"""

from experiments.rows.flags import row_command

COMMAND = row_command("multiplication", __doc__, "5-n: solved with fewer than n of 2,000 wrong.")

if __name__ == "__main__":
    COMMAND.run()
