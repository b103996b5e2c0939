"""Experiments 2a and 2b: long time lags, with and without local regularities (section 5.2).

python -m experiments.noise_free --task=2a --out=DIR
"""

from absl import flags

from experiments import cli
from lstm_jax.tasks import row_names

_ROWS = [row for row in row_names() if row.startswith(("2a", "2b"))]
_TASK = flags.DEFINE_enum("task", "2a", _ROWS, "2a: fixed symbols in the middle; 2b: random ones.")

if __name__ == "__main__":
    cli.define_flags()
    cli.run(lambda: cli.run_rows([_TASK.value]))
