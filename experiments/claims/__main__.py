"""What the paper claims beyond its tables, each shown by a small run: a JSON file and a picture.

    python -m experiments.claims --claim=length --out=DIR
    python -m experiments.claims --claim=gates --trials=4 --out=DIR
    python -m experiments.claims --claim=xor --redraw --out=experiments/results/claims

    length          networks trained at one length, tested on longer ones
    gates           gate biases on and off: drift of the internal states, abuse of memory cells
    gradient        the truncated gradient against the full one
    blocks          memory cell blocks against single cells
    lags            task 2c: sequences until success against the minimal time lag
    xor             strongly delayed XOR: the limit of the truncated gradient

and of the rivals

    noise           the chunker, as the middle of its sequences becomes random
    time-constants  units of fixed time constants, over a lag that is fixed or varies
    other-lags      the same, trained at one lag and tested at others
    adam            recurrent nets by BPTT and Adam, against the LSTM
    tolerance       RTRL on task 2a, if an output near its target has no error
    reach           how far the first symbol of task 2a reaches, as the rivals and the LSTM learn

and of its descendants

    continual       a stream that nothing resets: with and without forget gates
    counting        a^n b^n and a^n b^n c^n: how far beyond what they were trained on

`length` and `lags` train nothing: they read the result files in experiments/results.
"""

from __future__ import annotations

import pathlib

from absl.flags import FlagValues

from experiments.claims import CLAIMS
from experiments.claims.base import Document, Settings
from experiments.common.collection import read_document
from experiments.common.command import Command, command_line
from experiments.common.flag_set import FlagSet
from experiments.common.runner import make_folder
from lstm_jax import plots
from lstm_jax.training.results import about_run, write_json
from lstm_jax.training.runtime import configure_cpu


def define(flags: FlagSet) -> None:
    """Which claim, and how it is shown."""
    flags.choice("claim", None, list(CLAIMS), "Which claim to show; must be given.")
    flags.folder("out", "Folder of the JSON file and the picture; must be given.")
    flags.integer("trials", 8, "Trials of each variant.")
    flags.seed()
    flags.switch("redraw", False, "Only draw the picture anew, from the JSON file.")
    flags.switch("overwrite", False, "Replace files that exist.")
    flags.switch("quiet", False, "Print nothing but errors.")


def main(values: FlagValues) -> None:
    """Shows the claim that the flags name."""
    configure_cpu()
    out, claim = values.out, CLAIMS[values.claim]
    path, picture = (out / f"claim.{values.claim}{ending}" for ending in (".json", ".png"))
    if values.redraw:
        plots.save(claim.draw(read(path, values.claim)), picture)
        return
    if path.exists() and not values.overwrite:
        raise ValueError(f"{path} exists; --overwrite replaces it")
    make_folder(out)
    settings = Settings(values.trials, values.seed, values.quiet)
    about = {"claim": values.claim} | about_run(values.seed, command_line())
    document = about | claim.run(settings)
    write_json(path, document)
    plots.save(claim.draw(document), picture)


def read(path: pathlib.Path, claim: str) -> Document:
    """Reads the file of a claim.

    Raises:
      ValueError: if it is not one.
    """
    document = read_document(path)
    if document.get("claim") != claim:
        raise ValueError(f"{path} must be of the claim {claim}, got {document.get('claim')!r}")
    return document


COMMAND = Command("claims", __doc__, define, main)

if __name__ == "__main__":
    COMMAND.run()
