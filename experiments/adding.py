"""Experiment 4: the adding problem (section 5.4).

python -m experiments.adding --task=4-100 --out=DIR
"""

from absl import flags

from experiments import cli
from lstm_jax.tasks import row_names

_ROWS = [row for row in row_names() if row.startswith("4-")]
_TASK = flags.DEFINE_enum("task", "4-100", _ROWS, "4-T: least length T.")

if __name__ == "__main__":
    cli.define_flags()
    cli.run(lambda: cli.run_rows([_TASK.value]))
