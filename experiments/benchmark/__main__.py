"""Benchmarks of this library and its peers; every answer is checked before it is timed.

    python -m experiments.benchmark --case=a,d --out=DIR
    python -m experiments.benchmark --quick
    python -m experiments.benchmark --case=b --setting=default --repeats=3

Needs the extra `benchmark`. Peers that are not installed are left out. PyTorch is measured if its
CPU build is installed:

    pip install torch==2.13.0 --index-url https://download.pytorch.org/whl/cpu

Each case runs in a separate process for each of its settings of XLA's flags, with all contenders.
The best time of a contender over the settings is compared. Prints a table and writes
DIR/benchmark.CASE.json. With --quick, small sizes run under the first setting, to check that
everything works, and nothing is compared.
"""

from __future__ import annotations

import importlib.metadata
import os
import pathlib
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from experiments.benchmark import gradients, online_training
from experiments.benchmark.measure import OURS, BenchmarkPlan, Measurement
from experiments.cli.command import Command, FlagSet, FlagValues, command_line
from experiments.cli.files import check_free, draw_beside, make_folder, write_result
from experiments.rows.text import Column, show, text_table
from lstm_jax import configure_cpu
from lstm_jax.network.files import Document
from lstm_jax.training.runs.result_file import SCHEMA_VERSION, about_run, read_json, versions

PEERS = {"flax", "dm-haiku", "equinox", "torch"}

DEFAULT, SMALL_LOOPS, TWO_DEVICES = "default", "small loops", "small loops, 2 devices"
DEVICES = {TWO_DEVICES: 2}  # default: 1


class Case(NamedTuple):
    """One question that the benchmark answers."""

    title: str
    goal: str
    settings: tuple[str, ...]  # every contender runs under each
    run: Callable[[BenchmarkPlan], list[Measurement]]


_CASES = (
    ("a", "online training, 6a, one trial", "20,000/s, 4x", SMALL_LOOPS, DEFAULT),
    ("b", "online training, 6a, 20 trials", "150,000/s, 3x", TWO_DEVICES, DEFAULT),
    ("c", "online training, 6a, 1,000 trials", "300,000/s", TWO_DEVICES),
    ("d", "gradient, T = 200, batch 32, 64 inputs, 256 cells", "60 ms", DEFAULT, SMALL_LOOPS),
    ("e", "gradient, T = 1,000, batch 16, 32 inputs, 128 cells", "70 ms", DEFAULT, SMALL_LOOPS),
    ("f", "endless stream, 64 cells, loss at all steps", "3x forward", SMALL_LOOPS, DEFAULT),
    ("g", "2c, p = 1,000 against p = 50", "1.3x", SMALL_LOOPS),
    ("h", "compilation of a gradient, T = 10 to 10,000", "constant, 2 s", SMALL_LOOPS),
    ("i", "gradient of the modern cell, sizes of d", "1.2x truncated, 0.95x full", DEFAULT),
    ("j", "gradient of the modern cell, sizes of e", "1.2x truncated, 0.95x full", DEFAULT),
    ("scaling", "6a on one device and on two", "1.9x", TWO_DEVICES),
    ("width", "6a, trials side by side on one device", "more per trial", SMALL_LOOPS, DEFAULT),
    ("growth", "time and memory against every size", "linear", DEFAULT),
)
_RUN = {name: partial(online_training.run, name) for name in "abc"}
_RUN |= {name: partial(gradients.run_big_nets, name) for name in "deij"}
_RUN |= {"f": online_training.run_stream, "h": gradients.run_compilation}
_RUN |= {"g": online_training.run_alphabets, "width": online_training.run_batch_sizes}
_RUN |= {"scaling": online_training.run_scaling, "growth": gradients.run_growth}

CASES = {
    name: Case(title, goal, tuple(settings), _RUN[name]) for name, title, goal, *settings in _CASES
}
SETTINGS = sorted({setting for case in CASES.values() for setting in case.settings})


def define(flags: FlagSet) -> None:
    flags.items("case", list("abcdefghij"), f"Cases, of {', '.join(CASES)}.", list(CASES))
    flags.folder("out", "Folder for the JSON files (default: none are written).", required=False)
    flags.integer("repeats", 10, "Timed runs of each contender.", most=10_000)
    flags.switch("quick", False, "Use small sizes, to check that everything works.")
    flags.switch("overwrite", False, "Replace existing result files.")
    flags.text(
        "setting",
        None,
        f"Run under one setting of XLA's flags, of {SETTINGS} (default: the case's).",
    )


def main(values: FlagValues) -> None:
    """Run the cases of the flags."""
    if values.setting not in (None, *SETTINGS):
        raise ValueError(f"--setting must be one of {SETTINGS}, got {values.setting!r}")
    if len(set(values.case)) < len(values.case):
        raise ValueError(f"--case must be distinct, got {','.join(values.case)}")
    if values.out is not None:
        for case in values.case:
            check_free(_path(case, values.out), values.overwrite)
        make_folder(values.out)
    for case in values.case:
        documents = _measure(case, values)
        measurements = [m for document in documents for m in document["measurements"]]
        document = documents[0] | {"measurements": measurements, "command": command_line()}
        document["settings"] = {d["setting"]: d["flags"] for d in documents}
        print(table(document), flush=True)
        if values.out is None:
            continue
        path = write_result(_path(case, values.out), document, values.overwrite)
        print(f"wrote {path}", flush=True)
        if case == "growth":
            figure = partial(gradients.draw_growth, measurements)
            draw_beside(path.with_name("growth.png"), figure, values.overwrite)


def _measure(case: str, values: FlagValues) -> list[Document]:
    """Return a document per setting; that of --setting is measured in this process."""
    if values.setting is not None:
        return [_run(case, values.setting, values)]
    settings = CASES[case].settings[: 1 if values.quick else None]
    return [_run_apart(case, setting, values) for setting in settings]


def _run(case: str, setting: str, values: FlagValues) -> Document:
    """Measure in this process, where JAX must not have started under another setting."""
    with_torch = setting == CASES[case].settings[0]  # XLA's flags do not affect it: once is enough
    plan = BenchmarkPlan(values.repeats, values.quick, with_torch, setting)
    if setting != DEFAULT:
        configure_cpu(DEVICES.get(setting))
    measurements = CASES[case].run(plan)
    installed = {d.name: d.version for d in importlib.metadata.distributions() if d.name in PEERS}
    return {
        "schema_version": SCHEMA_VERSION,
        "case": case,
        "title": CASES[case].title,
        "goal": CASES[case].goal,
        "quick": plan.quick,
        "repeats": plan.repeats,
        "setting": setting,
        "flags": os.environ.get("XLA_FLAGS", ""),
        "measurements": [measurement.to_json() for measurement in measurements],
        **about_run(0, command_line()),
        "versions": versions() | installed,
    }


def _run_apart(case: str, setting: str, values: FlagValues) -> Document:
    """Measure in a separate process, or raise OSError if that fails."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "experiments.benchmark", f"--case={case}"]
        command += [f"--setting={setting}", f"--out={folder}", f"--repeats={values.repeats}"]
        command += ["--quick"] * values.quick
        if subprocess.run(command, stdout=subprocess.DEVNULL).returncode != 0:
            raise OSError(f"case {case} failed under XLA setting {setting!r}")
        return read_json(_path(case, pathlib.Path(folder)))


def table(document: Document) -> str:
    """Return all measurements of a case, each with its ratio to the best peer.

    A quick run has other sizes than the goal's, and therefore neither goal nor ratio.
    """
    quick, measurements = document["quick"], document["measurements"]
    goal = "quick, at other sizes" if quick else f"goal: {document['goal']}"
    peers = [m["rate"] for m in measurements if not m["contender"].startswith(OURS)]
    best = None if quick else max(peers, default=None)
    columns: tuple[Column[Document], ...] = (
        ("contender", lambda m: m["contender"]),
        ("XLA", lambda m: m["setting"]),
        ("per s", lambda m: show(m["rate"], 1)),
        ("to peer", lambda m: show(best and m["rate"] / best, 2)),
        ("run ms", lambda m: show(1e3 * m["run_seconds"], 3)),
        ("compile s", lambda m: show(m["compile_seconds"], 2)),
        ("temp MB", lambda m: show(m["temporary_bytes"] and 1e-6 * m["temporary_bytes"], 2)),
    )
    remarks = [f"{m['contender']}: {m['check']}" for m in measurements]
    if not quick:
        remarks += [
            f"{m['contender']}: {k}: {v}" for m in measurements for k, v in m["notes"].items()
        ]
    title = f"{document['case']}. {document['title']} ({goal})"
    checks = ["answers checked, and notes:", *(f"  {remark}" for remark in dict.fromkeys(remarks))]
    return "\n".join([title, text_table(measurements, columns), *checks])


def _path(case: str, out: pathlib.Path) -> pathlib.Path:
    return out / f"benchmark.{case}.json"


COMMAND = Command("benchmark", __doc__, define, main)
if __name__ == "__main__":
    COMMAND.run()
