"""Times this library beside its peers; every answer is checked before its time is taken.

    python -m experiments.benchmark --case=a,d --out=DIR

Needs the extra `benchmark`; peers that are not installed are left out. PyTorch is measured where
its CPU build is installed:

    pip install torch==2.13.0 --index-url https://download.pytorch.org/whl/cpu

A case runs in a process of its own for each of its settings of XLA, all contenders one after the
other; what a contender is worth is its best over the settings, so none suffers from flags that
were made for another. Prints a table and writes DIR/benchmark.CASE.json.
"""

from __future__ import annotations

import pathlib
import subprocess
import sys
import tempfile
from typing import Any, NamedTuple

from absl import flags

from experiments import cli
from lstm_jax.training.runtime import configure_cpu

_CASE = flags.DEFINE_list("case", list("abcdefgh"), "Letters of the cases, 'scaling', 'growth'.")
_OUT = flags.DEFINE_string("out", None, "Folder for the JSON files; none are written without.")
_REPEATS = flags.DEFINE_integer("repeats", 10, "Timed runs of each.", lower_bound=1)
_QUICK = flags.DEFINE_bool("quick", False, "Small sizes, to see that everything works.")
_OVERWRITE = flags.DEFINE_bool("overwrite", False, "Replace result files that exist.")
_SETTING = flags.DEFINE_string("setting", None, "Only this setting of XLA, in this process.")

DEFAULT, SMALL_LOOPS, TWO_DEVICES = "default", "small loops", "small loops, 2 devices"
MANY_DEVICES = "small loops, 64 devices"
DEVICES = {TWO_DEVICES: 2, MANY_DEVICES: 64}  # where not 1


class Case(NamedTuple):
    """A line of the table."""

    title: str
    goal: str
    settings: tuple[str, ...]  # of XLA; all contenders run under each


CASES = {
    "a": Case("online training, 6a, one trial", "20,000/s, 4x", (SMALL_LOOPS, DEFAULT)),
    "b": Case("online training, 6a, 20 trials", "150,000/s, 3x", (TWO_DEVICES, DEFAULT)),
    "c": Case("online training, 6a, 1,000 trials", "300,000/s", (TWO_DEVICES,)),
    "d": Case("gradient, T = 200, batch 32, 64 inputs, 256 cells", "60 ms", (DEFAULT, SMALL_LOOPS)),
    "e": Case(
        "gradient, T = 1,000, batch 16, 32 inputs, 128 cells", "70 ms", (DEFAULT, SMALL_LOOPS)
    ),
    "f": Case(
        "endless stream, 64 cells, errors at all steps", "3x forward", (SMALL_LOOPS, DEFAULT)
    ),
    "g": Case("2c, p = 1,000 against p = 50", "1.3x", (SMALL_LOOPS,)),
    "h": Case("compilation of a gradient, T = 10 to 10,000", "constant, 2 s", (SMALL_LOOPS,)),
    "scaling": Case("6a on 2 devices, and on up to 64", "1.9x on 2", (TWO_DEVICES, MANY_DEVICES)),
    "growth": Case("time and memory against every size", "straight lines", (DEFAULT,)),
}


def main() -> None:
    """Runs the cases of the flags."""
    unknown = [case for case in _CASE.value if case not in CASES]
    if unknown or not _CASE.value:
        raise ValueError(f"--case must be of {','.join(CASES)}, got {','.join(unknown)!r}")
    settings = {setting for case in CASES.values() for setting in case.settings}
    if _SETTING.value is not None and _SETTING.value not in settings:
        raise ValueError(f"--setting must be one of {sorted(settings)}, got {_SETTING.value!r}")
    for case in _CASE.value:
        path = _path(case)
        if path is not None and path.exists() and not _OVERWRITE.value:
            raise ValueError(f"{path} exists; --overwrite replaces it")
    if _OUT.value is not None:
        pathlib.Path(_OUT.value).mkdir(parents=True, exist_ok=True)
    for case in _CASE.value:
        run_case(case)


def run_case(case: str) -> None:
    """Measures a case under each of its settings, prints its table and writes its file."""
    settings = CASES[case].settings if _SETTING.value is None else (_SETTING.value,)
    here = len(settings) == 1 and len(_CASE.value) == 1
    documents = [_run_here(case, settings[0])] if here else _run_apart(case, settings)
    measurements = [m for document in documents for m in document["measurements"]]
    document = documents[0] | {"measurements": measurements}
    document |= {"command": _command(), "settings": {d["setting"]: d["flags"] for d in documents}}
    print(table(case, measurements), flush=True)
    path = _path(case)
    if path is not None:
        from lstm_jax.training.results import write_json

        write_json(path, document)


def table(case: str, measurements: list[dict[str, Any]]) -> str:
    """All measurements of a case, each with its ratio to the best one of any peer."""
    peers = [m["rate"] for m in measurements if not m["contender"].startswith("lstm_jax")]
    best = max(peers, default=None)
    lines = [f"{case}. {CASES[case].title} (goal: {CASES[case].goal})"]
    head = ("contender", "XLA", "compile s", "run ms", "CPU ms", "per s", "temp MB", "peak MB")
    row = "  {:<34} {:<22} {:>9} {:>10} {:>10} {:>12} {:>8} {:>8} {:>9}"
    lines.append(row.format(*head, "to peer"))
    for m in measurements:
        lines.append(
            row.format(
                m["contender"],
                m["setting"],
                _number(m["compile_seconds"], 1, 2),
                _number(m["run_seconds"], 1e3, 3),
                _number(m["cpu_seconds"], 1e3, 3),
                f"{m['rate']:,.1f}",
                _number(m["temporary_bytes"], 1e-6, 2),
                _number(m["peak_bytes"], 1e-6, 0),
                "" if best is None else f"{m['rate'] / best:.2f}x",
            )
        )
        lines += [f"      {name}: {value}" for name, value in m["notes"].items()]
    checks = dict.fromkeys(f"      {m['contender']}: {m['check']}" for m in measurements)
    return "\n".join([*lines, "    answers checked:", *checks])


def _number(value: float | None, factor: float, digits: int) -> str:
    return "-" if value is None else f"{value * factor:,.{digits}f}"


def _run_here(case: str, setting: str) -> dict[str, Any]:
    """Measures in this process, in which JAX must not have started."""
    import os

    if setting != DEFAULT:
        configure_cpu(DEVICES.get(setting))
    from experiments.benchmarks import big_nets, growth, long_sequences, online_training, scaling
    from experiments.benchmarks.measure import Plan
    from lstm_jax.training.results import SCHEMA_VERSION, machine

    beside_xla = setting == CASES[case].settings[0]  # once is enough
    plan = Plan(repeats=_REPEATS.value, quick=_QUICK.value, beside_xla=beside_xla)
    if case in "abc":
        measurements = online_training.run(case, plan)
    elif case in "de":
        measurements = big_nets.run(case, plan)
    elif case == "growth":
        measurements = growth.run(plan, _out("growth.png"))
    else:
        run = {
            "f": long_sequences.run_stream,
            "g": online_training.run_alphabets,
            "h": long_sequences.run_compilation,
            "scaling": scaling.run,
        }[case]
        measurements = run(plan)
    for measurement in measurements:
        measurement.setting = setting
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
        "versions": _versions(),
        "machine": machine(),
        "date": _today(),
        "command": _command(),
    }


def _run_apart(case: str, settings: tuple[str, ...]) -> list[dict[str, Any]]:
    """Measures each setting in a process of its own.

    Raises:
      OSError: if one of them fails.
    """
    from lstm_jax.training.results import read_json

    documents = []
    for setting in settings:
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, "-m", "experiments.benchmark", f"--case={case}"]
            command += [f"--setting={setting}", f"--out={folder}", f"--repeats={_REPEATS.value}"]
            command += ["--quick"] * _QUICK.value
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
            if done.returncode != 0:
                raise OSError(f"case {case} failed under XLA setting {setting!r}")
            documents.append(read_json(pathlib.Path(folder) / f"benchmark.{case}.json"))
    return documents


def _out(name: str) -> pathlib.Path | None:
    return None if _OUT.value is None else pathlib.Path(_OUT.value) / name


def _path(case: str) -> pathlib.Path | None:
    return _out(f"benchmark.{case}.json")


def _versions() -> dict[str, str]:
    import importlib.metadata

    from lstm_jax.training.results import versions

    found = versions()
    for name in ("flax", "dm-haiku", "equinox", "torch"):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _today() -> str:
    import datetime

    return datetime.date.today().isoformat()


def _command() -> str:
    import shlex

    return shlex.join(["python", "-m", "experiments.benchmark", *sys.argv[1:]])


if __name__ == "__main__":
    cli.run(main)
