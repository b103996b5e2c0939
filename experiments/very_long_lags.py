"""Experiment 2c: very long time lags, no local regularities (section 5.2).

python -m experiments.very_long_lags --task=2c-50-50 --out=DIR
"""

from absl import flags

from experiments import cli
from lstm_jax.tasks import row_names

_ROWS = [row for row in row_names() if row.startswith("2c-")]
_TASK = flags.DEFINE_enum("task", "2c-50-50", _ROWS, "2c-q-p: at least q distractors, out of p.")

if __name__ == "__main__":
    cli.define_flags()
    cli.run(lambda: cli.run_rows([_TASK.value]))
