"""Experiment 1: the embedded Reber grammar (section 5.1).

python -m experiments.embedded_reber --task=1-1 --out=DIR
python -m experiments.embedded_reber --task=1-4 --recipe=adam-swapped --out=DIR
python -m experiments.embedded_reber --task=1-2 --resume --out=DIR
"""

from experiments.rows.flags import row_command

COMMAND = row_command(
    "embedded_reber",
    __doc__,
    "Blocks and learning rate: 4x1 at 0.1; 3x2 at 0.1, 0.2; 4x1 at 0.5; 3x2.",
)

if __name__ == "__main__":
    COMMAND.run()
