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
    timing          spikes generated, and their delays measured, with and without peepholes
    composed        both directions where one cannot do, attention where the end cannot

`length` and `lags` train nothing: they read the result files in experiments/results.
"""

from __future__ import annotations

import pathlib
from typing import TYPE_CHECKING

from absl.flags import FlagValues

from experiments.claims import CLAIMS
from experiments.claims.base import Claim, Settings
from experiments.cli.command import Command, command_line
from experiments.cli.files import (
    check_free,
    make_folder,
    read_object,
    save_picture,
    save_result,
)
from experiments.cli.flag_set import FlagSet
from experiments.cli.machine import check_platform, configure
from lstm_jax.network.files import Document
from lstm_jax.training.runs.result_file import about_run

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def define(flags: FlagSet) -> None:
    """Which claim, and how it is shown."""
    flags.choice("claim", None, list(CLAIMS), "Which claim to show; must be given.")
    flags.folder("out", "Folder of the JSON file and the picture; must be given.")
    flags.integer("trials", 8, "Trials of each variant.", most=2**20)
    flags.seed()
    flags.switch("redraw", False, "Only draw the picture anew, from the JSON file.")
    flags.switch("overwrite", False, "Replace files that exist.")
    flags.switch("quiet", False, "Print nothing but errors.")


def main(values: FlagValues) -> None:
    """Shows the claim that the flags name."""
    out, claim = values.out, CLAIMS[values.claim]
    path = out / f"claim.{values.claim}.json"
    if values.redraw:
        figure = drawn(claim, path, read(path, values.claim))
        print(f"wrote {save_picture(figure, path.with_suffix('.png'), True)}")
        return
    check_free(path, values.overwrite)
    make_folder(out)
    configure()
    check_platform()
    settings = Settings(values.trials, values.seed, values.quiet)
    about = {"claim": values.claim} | about_run(values.seed, command_line())
    document = about | claim.run(settings)
    save_result(path, document, claim.draw, overwrite=values.overwrite, quiet=values.quiet)


def read(path: pathlib.Path, claim: str) -> Document:
    """Reads the file of a claim.

    Raises:
      ValueError: if it is not one.
    """
    document = read_object(path)
    if document.get("claim") != claim:
        raise ValueError(f"{path} must be of the claim {claim}, got {document.get('claim')!r}")
    return document


def drawn(claim: Claim, path: pathlib.Path, document: Document) -> Figure:
    """The picture of a file of a claim.

    Raises:
      ValueError: if the file lacks what the claim found, or has something else in its place.
    """
    try:
        return claim.draw(document)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise ValueError(f"{path} does not hold what the claim found ({reason})") from error


COMMAND = Command("claims", __doc__, define, main)

if __name__ == "__main__":
    COMMAND.run()
