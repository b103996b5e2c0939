"""Experiment 6: temporal order (section 5.6).

python -m experiments.temporal_order --task=6a --out=DIR
"""

from absl import flags

from experiments import cli
from lstm_jax.tasks import row_names

_ROWS = [row for row in row_names() if row.startswith("6")]
_TASK = flags.DEFINE_enum("task", "6a", _ROWS, "6a: two relevant symbols; 6b: three.")

if __name__ == "__main__":
    cli.define_flags()
    cli.run(lambda: cli.run_rows([_TASK.value]))
