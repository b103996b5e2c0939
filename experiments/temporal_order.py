"""Experiment 6: temporal order (section 5.6).

python -m experiments.temporal_order --task=6a --trials=20 --out=DIR
python -m experiments.temporal_order --task=6b --recipe=adam --out=DIR
python -m experiments.temporal_order --task=6a --overwrite --seed=1 --out=DIR
"""

from experiments.rows.flags import row_command

COMMAND = row_command("temporal_order", __doc__, "6a: two relevant symbols; 6b: three.")

if __name__ == "__main__":
    COMMAND.run()
