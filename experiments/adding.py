"""Experiment 4: the adding problem (section 5.4).

python -m experiments.adding --task=4-100 --out=DIR
python -m experiments.adding --task=4-1000 --recipe=adam --out=DIR
python -m experiments.adding --task=4-100 --trials=3 --seed=1 --out=DIR
"""

from experiments.rows.flags import row_command

COMMAND = row_command("adding", __doc__, "4-T: minimal length T.")

if __name__ == "__main__":
    COMMAND.run()
