"""Experiment 6: temporal order (section 5.6).

python -m experiments.temporal_order --task=6a --trials=20 --out=DIR
"""

from absl import flags

from experiments import cli

_TASK = flags.DEFINE_enum("task", "6a", ["6a", "6b"], "6a: two relevant symbols; 6b: three.")

if __name__ == "__main__":
    cli.define_flags()
    cli.run(lambda: cli.run_rows([_TASK.value]))
