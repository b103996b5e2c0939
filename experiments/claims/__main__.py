"""Claims of the paper outside its tables, and of later papers, each checked by a small run.

    python -m experiments.claims --claim=generalisation --out=DIR
    python -m experiments.claims --claim=gates --trials=4 --out=DIR
    python -m experiments.claims --claim=counting --trials=20 --out=DIR --resume
    python -m experiments.claims --claim=xor --redraw --out=experiments/results/claims

`lags` trains nothing: it reads the result files in experiments/results. A claim that is interrupted
keeps the variants that it has measured, for --resume.
"""

from __future__ import annotations

import pathlib
from collections.abc import Mapping

from absl.flags import FlagValues

from experiments.claims import CLAIMS
from experiments.claims.base import ClaimOptions
from experiments.cli.command import Command, FlagSet, check_platform, command_line, configure
from experiments.cli.files import check_free, make_folder, save_picture, save_result
from lstm_jax.network.files import Document
from lstm_jax.plots import style
from lstm_jax.training.runs.result_file import about_run, read_object, write_json


def define(flags: FlagSet) -> None:
    """Define the flags."""
    flags.choice("claim", None, list(CLAIMS), "Claim to run (required).")
    flags.output("the JSON file and the picture")
    flags.integer("trials", 8, "Trials of each variant.", most=2**20)
    flags.seed()
    help = "Keep the variants that an earlier run with the same trials and seed has measured."
    flags.switch("resume", False, help)
    flags.switch("redraw", False, "Only draw the picture again, from the JSON file.")
    flags.switch("quiet", False, "Print errors only.")


def main(values: FlagValues) -> None:
    """Run or redraw a claim."""
    out, claim = values.out, CLAIMS[values.claim]
    path = out / f"claim.{values.claim}.json"
    if values.redraw:
        figure = redraw(values.claim, path)
        print(f"wrote {save_picture(figure, path.with_suffix('.png'), True)}")
        return
    check_free(path, values.overwrite or values.resume)
    make_folder(out)
    configure()
    check_platform()
    settings = {"claim": values.claim, "trials": values.trials}
    about = settings | about_run(values.seed, command_line())
    partial = path.with_name(f".{path.name}.partial")
    measured = {}
    for earlier in (path, partial) if values.resume else ():
        measured |= _read_variants(earlier, about)

    def keep(variants: Mapping[str, Document]) -> None:
        write_json(partial, about | {"variants": dict(variants)})

    options = ClaimOptions(values.trials, values.seed, values.quiet, measured, keep)
    document = about | claim.run(options)
    overwrite = values.overwrite or values.resume
    save_result(path, document, claim.draw, overwrite=overwrite, quiet=values.quiet)
    partial.unlink(missing_ok=True)


def _read_variants(path: pathlib.Path, about: Document) -> Mapping[str, Document]:
    """Return the variants that an earlier run has measured, with the same settings."""
    if not path.exists():
        return {}
    found = read_object(path)
    for name in ("claim", "trials", "seed", "versions"):
        if found.get(name) != about[name]:
            raise ValueError(f"{path} differs in {name}: {found.get(name)}, not {about[name]}")
    return found["variants"]


def redraw(claim: str, path: pathlib.Path) -> style.Figure:
    """Draw the file of a claim, or raise ValueError if it does not hold the claim's results."""
    document = read_object(path)
    if document.get("claim") != claim:
        raise ValueError(f"{path} must be of the claim {claim}, got {document.get('claim')!r}")
    try:
        return CLAIMS[claim].draw(document)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise ValueError(f"{path} must hold the results of the claim {claim}: {reason}") from error


ABOUT = "\n".join(
    [f"{__doc__}\nClaims:", *(f"  {name}: {claim.about}" for name, claim in CLAIMS.items())]
)
COMMAND = Command("claims", ABOUT, define, main)

if __name__ == "__main__":
    COMMAND.run()
