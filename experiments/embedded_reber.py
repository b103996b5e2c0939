"""Experiment 1: the embedded Reber grammar (section 5.1).

python -m experiments.embedded_reber --task=1-1 --out=DIR
"""

from absl import flags

from experiments import cli
from lstm_jax.tasks import row_names

_ROWS = [row for row in row_names() if row.startswith("1-")]
_TASK = flags.DEFINE_enum("task", "1-1", _ROWS, "4x1 at 0.1; 3x2 at 0.1, 0.2; 4x1 at 0.5; 3x2.")

if __name__ == "__main__":
    cli.define_flags()
    cli.run(lambda: cli.run_rows([_TASK.value]))
