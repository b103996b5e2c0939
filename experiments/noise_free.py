"""Experiments 2a and 2b: long time lags, with and without local regularities (section 5.2).

python -m experiments.noise_free --task=2a --out=DIR
python -m experiments.noise_free --task=2a --recipe=adam --out=DIR
python -m experiments.noise_free --task=2b --recipe=end-error --out=DIR
"""

from experiments.rows.flags import row_command

COMMAND = row_command("noise_free", __doc__, "2a: fixed symbols in the middle; 2b: random ones.")

if __name__ == "__main__":
    COMMAND.run()
