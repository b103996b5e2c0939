"""Experiment 3: noise and signal on the same input line (section 5.3).

python -m experiments.two_sequence --task=3a-100-3 --out=DIR
"""

from absl import flags

from experiments import cli
from lstm_jax.tasks import row_names

_ROWS = [row for row in row_names() if row.startswith("3")]
_TASK = flags.DEFINE_enum("task", "3a-100-3", _ROWS, "3x-T-N: T least length, N with signal.")

if __name__ == "__main__":
    cli.define_flags()
    cli.run(lambda: cli.run_rows([_TASK.value]))
