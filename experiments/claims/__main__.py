"""Claims of the paper beyond its tables, each as a small run: a JSON file and a picture.

    python -m experiments.claims --claim=length --out=DIR
    python -m experiments.claims --claim=gates --trials=4 --out=DIR
    python -m experiments.claims --claim=xor --redraw --out=experiments/results/claims

    length          networks trained at one length, tested on longer ones
    gates           gate biases on and off: drift of the internal states, abuse of memory cells
    gradient        the truncated gradient against the full one
    blocks          memory cell blocks against single cells
    lags            task 2c: sequences until success against the minimal time lag
    xor             strongly delayed XOR: the limit of the truncated gradient

Claims about the baselines:

    noise           the chunker, as the middle of its sequences becomes random
    time-constants  units of fixed time constants, over a lag that is fixed or varies
    other-lags      the same, trained at one lag and tested at others
    adam            recurrent nets with BPTT and Adam, against the LSTM
    tolerance       RTRL on task 2a, with no error for outputs near their targets
    reach           the last step at which nets tell the first symbol of task 2a, during training

Claims about the LSTM's descendants:

    continual       a stream without resets, with and without forget gates
    counting        a^n b^n and a^n b^n c^n: generalisation beyond the training lengths
    timing          spikes generated, and their delays measured, with and without peepholes
    composed        both directions where one fails, attention where the last step fails

`length` and `lags` train nothing: they read the result files in experiments/results.
"""

from __future__ import annotations

import pathlib
from typing import TYPE_CHECKING

from absl.flags import FlagValues

from experiments.claims import CLAIMS
from experiments.claims.base import Claim, ClaimOptions
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
    """Define the flags."""
    flags.choice("claim", None, list(CLAIMS), "Claim to run (required).")
    flags.folder("out", "Folder for the JSON file and the picture (required).")
    flags.integer("trials", 8, "Trials of each variant.", most=2**20)
    flags.seed()
    flags.switch("redraw", False, "Only draw the picture again, from the JSON file.")
    flags.switch("overwrite", False, "Replace existing files.")
    flags.switch("quiet", False, "Print errors only.")


def main(values: FlagValues) -> None:
    """Run or redraw a claim."""
    out, claim = values.out, CLAIMS[values.claim]
    path = out / f"claim.{values.claim}.json"
    if values.redraw:
        figure = draw(claim, path, read(path, values.claim))
        print(f"wrote {save_picture(figure, path.with_suffix('.png'), True)}")
        return
    check_free(path, values.overwrite)
    make_folder(out)
    configure()
    check_platform()
    options = ClaimOptions(values.trials, values.seed, values.quiet)
    about = {"claim": values.claim} | about_run(values.seed, command_line())
    document = about | claim.run(options)
    save_result(path, document, claim.draw, overwrite=values.overwrite, quiet=values.quiet)


def read(path: pathlib.Path, claim: str) -> Document:
    """Read the file of a claim, or raise ValueError if it is of another one."""
    document = read_object(path)
    if document.get("claim") != claim:
        raise ValueError(f"{path} must be of the claim {claim}, got {document.get('claim')!r}")
    return document


def draw(claim: Claim, path: pathlib.Path, document: Document) -> Figure:
    """Draw the document of a file, or raise ValueError if it lacks the claim's results."""
    try:
        return claim.draw(document)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise ValueError(f"{path} does not hold what the claim found ({reason})") from error


COMMAND = Command("claims", __doc__, define, main)

if __name__ == "__main__":
    COMMAND.run()
