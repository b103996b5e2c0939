"""Experiment 5: the multiplication problem (section 5.5).

python -m experiments.multiplication --task=5-140 --out=DIR
"""

from absl import flags

from experiments import cli
from lstm_jax.tasks import row_names

_ROWS = [row for row in row_names() if row.startswith("5-")]
_TASK = flags.DEFINE_enum("task", "5-140", _ROWS, "5-n: solved with fewer than n of 2,000 wrong.")

if __name__ == "__main__":
    cli.define_flags()
    cli.run(lambda: cli.run_rows([_TASK.value]))
