"""Experiment 2c: very long time lags, no local regularities (section 5.2).

python -m experiments.very_long_lags --task=2c-50-50 --out=DIR
python -m experiments.very_long_lags --task=2c-1000-1000 --recipe=adam-gate-bias --out=DIR
python -m experiments.very_long_lags --task=2c-100-100 --recipe=gate-bias --trials=4 --out=DIR
"""

from experiments.rows.flags import row_command

COMMAND = row_command("very_long_lags", __doc__, "2c-q-p: at least q distractors, out of p.")

if __name__ == "__main__":
    COMMAND.run()
