"""Times this library beside its peers; every answer is checked before its time is taken.

    python -m experiments.benchmark --case=a,d --out=DIR
    python -m experiments.benchmark --quick
    python -m experiments.benchmark --case=b --setting=default --repeats=3

Needs the extra `benchmark`; peers that are not installed are left out. PyTorch is measured where
its CPU build is installed:

    pip install torch==2.13.0 --index-url https://download.pytorch.org/whl/cpu

A case runs in a process of its own for each of its settings of XLA, all contenders one after the
other; what a contender is worth is its best over the settings, so none suffers from flags that
were made for another. Prints a table and writes DIR/benchmark.CASE.json. With --quick, small sizes
under the first setting alone only show that everything works, and nothing is compared.
"""

from __future__ import annotations

import pathlib
import subprocess
import sys
import tempfile
from collections.abc import Sequence

from absl.flags import FlagValues

from experiments.benchmarks import run
from experiments.benchmarks.cases import CASES, SETTINGS
from experiments.benchmarks.measure import Measurement, Plan
from experiments.benchmarks.table import table
from experiments.cli.command import Command, command_line
from experiments.cli.files import check_free, draw_beside, make_folder, write_result
from experiments.cli.flag_set import FlagSet
from lstm_jax.network.files import Document
from lstm_jax.training.runs.result_file import read_json


def define(flags: FlagSet) -> None:
    """Which cases, and how thoroughly."""
    flags.items("case", list("abcdefghij"), f"Cases, of {', '.join(CASES)}.")
    flags.folder("out", "Folder for the JSON files; none are written without.", required=False)
    flags.integer("repeats", 10, "Timed runs of each.", most=10_000)
    flags.switch("quick", False, "Small sizes, to see that everything works.")
    flags.switch("overwrite", False, "Replace result files that exist.")
    flags.text("setting", None, f"Of XLA, only this one: {'; '.join(SETTINGS)}.")


def main(values: FlagValues) -> None:
    """Runs the cases of the flags."""
    unknown = [case for case in values.case if case not in CASES]
    if unknown or not values.case:
        raise ValueError(f"--case must be of {','.join(CASES)}, got {','.join(unknown)!r}")
    if values.setting not in (None, *SETTINGS):
        raise ValueError(f"--setting must be one of {SETTINGS}, got {values.setting!r}")
    if values.out is not None:
        for case in values.case:
            check_free(_path(case, values.out), values.overwrite)
        make_folder(values.out)
    for group in _groups(values):
        for case, documents in zip(group, _measure(group, values), strict=True):
            _show(case, documents, values)


def _groups(values: FlagValues) -> list[list[str]]:
    """Cases that share a process: those of one setting in a quick run, else each by itself."""
    if not values.quick:
        return [[case] for case in values.case]
    groups: dict[str, list[str]] = {}
    for case in values.case:
        groups.setdefault(_settings(case, values)[0], []).append(case)
    return list(groups.values())


def _settings(case: str, values: FlagValues) -> tuple[str, ...]:
    if values.setting is not None:
        return (values.setting,)
    return CASES[case].settings[: 1 if values.quick else None]


def _measure(cases: Sequence[str], values: FlagValues) -> list[list[Document]]:
    """Measures cases under each of their settings; the documents of each."""
    settings = _settings(cases[0], values)
    if values.setting is not None or len(settings) == len(_groups(values)) == 1:
        by_setting = [_run_here(cases, settings[0], values)]
    else:
        by_setting = [_run_apart(cases, setting, values) for setting in settings]
    return [list(documents) for documents in zip(*by_setting, strict=True)]


def _show(case: str, documents: Sequence[Document], values: FlagValues) -> None:
    """Prints the table of a case and writes its file."""
    measurements = [m for document in documents for m in document["measurements"]]
    document = documents[0] | {"measurements": measurements, "command": command_line()}
    document["settings"] = {d["setting"]: d["flags"] for d in documents}
    print(table(document), flush=True)
    if values.out is not None:
        kept = write_result(_path(case, values.out), document, values.overwrite)
        print(f"wrote {kept}", flush=True)
        draw = CASES[case].draw
        if draw is not None:
            found = [Measurement.from_json(m) for m in measurements]
            draw_beside(kept.with_name(f"{case}.png"), lambda: draw(found), values.overwrite)


def _run_here(cases: Sequence[str], setting: str, values: FlagValues) -> list[Document]:
    """Measures in this process."""
    documents = []
    for case in cases:
        first = setting == CASES[case].settings[0]  # what XLA does not touch is measured once
        plan = Plan(repeats=values.repeats, quick=values.quick, beside_xla=first)
        documents.append(run.run(case, setting, plan))
    return documents


def _run_apart(cases: Sequence[str], setting: str, values: FlagValues) -> list[Document]:
    """Measures in a process of its own.

    Raises:
      OSError: if it fails.
    """
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "experiments.benchmark", f"--case={','.join(cases)}"]
        command += [f"--setting={setting}", f"--out={folder}", f"--repeats={values.repeats}"]
        command += ["--quick"] * values.quick
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
        if done.returncode != 0:
            raise OSError(f"case {','.join(cases)} failed under XLA setting {setting!r}")
        return [read_json(_path(case, pathlib.Path(folder))) for case in cases]


def _path(case: str, out: pathlib.Path) -> pathlib.Path:
    return out / f"benchmark.{case}.json"


COMMAND = Command("benchmark", __doc__, define, main)

if __name__ == "__main__":
    COMMAND.run()
