"""A user's mistake: one line that names the flag, and nothing is written.

Every binary's flags are in the table; a new flag or binary earns its cases by a row.
"""

from __future__ import annotations

import atexit
import functools
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import pytest
from binaries import BINARIES, ROOT, command_of, run_forks

from experiments import report
from experiments.ablations.cells import Results
from experiments.claims import CLAIMS
from experiments.rows import collection
from experiments.rows.collection import BASELINES, COMMANDS
from lstm_jax.training.trials.runner import TrialRunner

ROW_COMMANDS = (*dict.fromkeys(COMMANDS.values()), BASELINES)
ROWS = (*ROW_COMMANDS, "own_task", "reproduce", "search")
OWN_TASK = ROOT / "experiments" / "examples" / "own_task.py"
LARGE = ("100000000000000000000", "1e20", "9" * 5000)
NO_INTEGER = ("x", "1.5", "", "nan", *LARGE)

# Of every type of flag what it must refuse.
OF_ROWS: dict[str, tuple[str, ...]] = {
    "out": ("", " "),
    "logdir": ("", " "),
    "cache": ("", " "),
    "seed": (*NO_INTEGER, "-1", "4294967296", "9223372036854775808"),
    "batch_size": (*NO_INTEGER, "0", "-1", "4097"),
    "devices": (*NO_INTEGER, "0", "-1", "65", "1000"),
    "max_sequences": (*NO_INTEGER, "0", "-1", "1073741825"),
    "checkpoint_seconds": ("x", "", "nan", "-1", "-inf"),
    "trials": (*NO_INTEGER, "0", "-1", "1048577"),
    "num_processes": (*NO_INTEGER, "0", "-1"),
    "process_id": (*NO_INTEGER, "-1"),
    "recipe": ("", "unknown", "paper+", "paper+learning-rate=nan", "paper+unknown", "Paper"),
    "coordinator": ("", "host", "host:", "host:x", "host:0", "host:99999", ":1"),
    "overwrite": ("maybe",),
    "resume": ("2",),
    "quiet": ("x",),
}
OF_SEARCHES: dict[str, tuple[str, ...]] = {
    "task": ("", "7", "6A"),
    "sampler": ("", "grid"),
    "configurations": (*NO_INTEGER, "0", "-1"),
    "blocks": ("", "2y2", "0x2", "2x", "2x2,", "own,x", "-1x2", "99999x1", "2x2,own"),
    **dict.fromkeys(
        ("learning_rate", "init_range", "input_gate_bias"),
        ("", "9,1", "a,b", "1", "1,2,3", "nan,1", "1,nan", "0,inf", "own,1"),
    ),
}
OF_BINARIES: dict[str, dict[str, tuple[str, ...]]] = {
    "claims": {
        "claim": ("", "unknown", "Length"),
        "out": ("",),
        "seed": (*NO_INTEGER, "-1", "4294967296"),
        "trials": (*NO_INTEGER, "0", "1048577"),
    },
    "diagnose": {
        "files": ("",),
        "data": ("", "x.txt"),
        "ignore": ("x",),
        "task": ("", "none.py:task"),
        "pictures": ("", " "),
        "sequences": (*NO_INTEGER, "0", "100001"),
        "seed": (*NO_INTEGER, "-1", "4294967296"),
    },
    "real.study": {
        "problems": ("", "Vowels", "vowels,6a"),
        "out": ("",),
        "trials": (*NO_INTEGER, "0", "1048577"),
        "seed": (*NO_INTEGER, "-1", "4294967296"),
        **dict.fromkeys(("resume", "overwrite", "quiet"), ("x",)),
    },
    "real.transfer": {
        "pairs": ("", "3c-3a", "vowels,6a"),
        "out": ("",),
        "trials": (*NO_INTEGER, "0", "1", "1048577"),
        "seed": (*NO_INTEGER, "-1", "4294967296"),
        **dict.fromkeys(("resume", "overwrite", "quiet"), ("x",)),
    },
    "real.gates": {
        "data": ("", "Vowels", "vowels,chorales"),
        "out": ("",),
        "overwrite": ("x",),
    },
    "real": {
        "data": ("", "Vowels", "vowels,chorales"),
        "out": ("",),
        "trials": (*NO_INTEGER, "0", "1", "1048577"),
        "seed": (*NO_INTEGER, "-1", "4294967296"),
        **dict.fromkeys(("resume", "overwrite", "quiet"), ("x",)),
    },
    "fit": {
        "data": ("", "x.txt", "none.csv"),
        "task": ("", "unknown", "none.py:task", "classify:x"),
        "out": ("",),
        "ignore": ("unknown",),
        "target": ("unknown",),
        **dict.fromkeys(("window", "horizon"), (*NO_INTEGER, "0", "-1", "1000001")),
        "network": ("", "1996"),
        "cells": (*NO_INTEGER, "0", "4097"),
        "gradient": ("", "half"),
        "learning_rate": ("x", "", "nan", "-1", "1001"),
        **dict.fromkeys(("batch_size", "epochs"), (*NO_INTEGER, "0", "1000001")),
        "patience": (*NO_INTEGER, "0"),
        "seed": (*NO_INTEGER, "-1", "4294967296"),
        "logdir": ("", " "),
        **dict.fromkeys(("resume", "overwrite", "quiet"), ("x",)),
    },
    "stream": {
        "data": ("", "none.csv"),
        "out": ("",),
        "ignore": ("unknown",),
        "target": ("unknown",),
        "network": ("", "1996"),
        "cells": (*NO_INTEGER, "0", "4097"),
        "learning_rate": ("x", "", "nan", "-1", "1001"),
        "every": (*NO_INTEGER, "0"),
        "seed": (*NO_INTEGER, "-1", "4294967296"),
        **dict.fromkeys(("resume", "overwrite", "quiet"), ("x",)),
    },
    "predict": {
        "net": ("", "none.safetensors"),
        "data": ("", "x.txt", "none.csv"),
        "out": ("", "x.txt", "none/x.csv"),
        "ignore": ("unknown",),
        "overwrite": ("x",),
    },
    "export": {
        "net": ("", "none.safetensors"),
        "out": ("", "none/x.bin"),
        "format": ("", "onnx"),
        "symbols": ("x",),
        "overwrite": ("x",),
    },
    "error_flow": {
        "out": ("",),
        "steps": (*NO_INTEGER, "1", "100001"),
        "sequences": (*NO_INTEGER, "0"),
        "seed": (*NO_INTEGER, "-1", "4294967296"),
    },
    "benchmark": {
        "case": ("", "z", "a,z"),
        "out": ("",),
        "repeats": (*NO_INTEGER, "0", "10001"),
        "setting": ("", "fast"),
    },
    "ablations": {
        "out": ("",),
        "drawn": (*NO_INTEGER, "0", "65"),
        "rows": ("", "6A", "6a,"),
        "stages": ("unknown", "singles,unknown"),
    },
    "tables": {"pictures": ("x",)},
    "digests": {"rows": ("", "6A", "6a,")},
    "notebooks": {"names": ("unknown",)},
    "api_reference": {"out": ("",), "overwrite": ("x",)},
    "report": {"out": ("",), "into": ("",), "overwrite": ("x",)},
    "reproduce": {
        "rows": ("", "6A", "6a,", "6a,6a", "all,6a"),
        "workers": (*NO_INTEGER, "0", "257"),
    },
    "search": OF_SEARCHES,
    "own_task": {
        "task": ("", "6a", "x.py", "none.py:task", f"{OWN_TASK}:none", f"{OWN_TASK}:sample")
    },
    **{name: {"task": ("", "7", "unknown")} for name in ROW_COMMANDS},
}
# What a command says where it is not the flag itself that is out of its bounds.
NAMES = {"recipe": ("recipe", "override"), "rows": ("--rows", "row", "task")}


def cases() -> list[tuple[str, str, str]]:
    found = []
    for binary in BINARIES:
        table = OF_BINARIES.get(binary, {}) | (OF_ROWS if binary in ROWS else {})
        found += [(binary, flag, value) for flag, values in table.items() for value in values]
    return found


@functools.cache
def series() -> pathlib.Path:
    """Write a series that could be forecast."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="series-"), "series.csv")
    atexit.register(shutil.rmtree, path.parent)
    path.write_text("x\n" + "\n".join(map(str, range(100))))
    return path


def never(*arguments, **options) -> None:
    raise AssertionError("a mistake was taken for a run")


def arguments_of(binary: str, flag: str, value: str, out: pathlib.Path) -> list[str]:
    needed = {} if binary in ("digests", "notebooks", "tables") else {"out": str(out)}
    if binary in ("fit", "predict"):
        needed |= {"data": str(series()), "out": f"{out}.csv"}
        needed |= {"task": "forecast"} if binary == "fit" else {"net": "none.safetensors"}
    if binary == "stream":
        needed["data"] = str(series())
    if binary == "export":
        needed["net"] = str(collection.RESULTS / "6a" / "6a.json")
    if binary == "diagnose":
        needed = {"files": str(collection.RESULTS / "6a" / "6a.json")}
    if binary == "own_task":
        needed["task"] = f"{OWN_TASK}:TASK"
    if binary == "reproduce":
        needed["rows"] = "6a"
    if binary == "claims":
        needed["claim"] = "lags"
    if binary in ("real", "real.gates"):
        needed["data"] = "vowels"
    if flag == "coordinator":
        needed |= {"num_processes": "1", "process_id": "0"}
    return [f"--{name}={text}" for name, text in (needed | {flag: value}).items()]


def test_every_flag_of_every_binary_has_its_cases():
    """...but those that take any text, or nothing."""
    assert {*ROWS, *OF_BINARIES} == {*BINARIES}
    for binary in BINARIES:
        table = OF_BINARIES.get(binary, {}) | (OF_ROWS if binary in ROWS else {})
        own = command_of(binary).flags()
        missing = {flag for flag in own if flag not in table and not own[flag].boolean}
        assert missing <= {"recipes", "output_gate_bias"}, (binary, missing)


@pytest.mark.parametrize("binary", BINARIES)
def test_a_bad_value_is_refused_by_its_flag_s_name_and_nothing_is_written(
    binary: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(TrialRunner, "run_chunk", never)
    for _, flag, value in (case for case in cases() if case[0] == binary):
        given = f"--{flag}={value[:40]}"
        with pytest.raises(ValueError) as error:
            command_of(binary).call(arguments_of(binary, flag, value, tmp_path / "new"))
        line = str(error.value)
        assert any(name in line for name in NAMES.get(flag, (flag,))), (given, line)
        assert "\n" not in line and not [*tmp_path.iterdir()], (given, line)


@pytest.mark.parametrize("binary", BINARIES)
def test_a_run_is_resumed_or_begins_anew_not_both(binary: str, tmp_path: pathlib.Path):
    flags = command_of(binary).flags()
    if {"resume", "overwrite"} <= {*flags}:
        given = arguments_of(binary, "resume", "true", tmp_path / "new")
        with pytest.raises(ValueError, match=r"^--resume and --overwrite exclude each other"):
            command_of(binary).call([*given, "--overwrite"])
    assert not [*tmp_path.iterdir()]


# Messages: one line, before anything is computed or written ---------------------------------------

MISTAKES = {
    "temporal_order --task=7": "flag --task=7: value should be one of <6a|6b>; see --help",
    "temporal_order --seed=-1": "flag --seed=-1: -1 is not an integer in the range [0, 4294967295]",
    "temporal_order --checkpoint_seconds=nan": "flag --checkpoint_seconds=nan: must be a number",
    "temporal_order --recipe=unknown": "--recipe=unknown: recipe must begin with one of paper, ",
    "temporal_order --process_id=1": "--num_processes and --process_id need --coordinator, got ",
    "temporal_order --unknown=1": "Unknown command line flag 'unknown'",
    "temporal_order 6a": "unexpected argument '6a'; options begin with --",
    "temporal_order --resume --overwrite": "--resume and --overwrite exclude each other, got both",
    "temporal_order --out=": "flag --out=: must name a folder; . is the current one",
    "temporal_order --cache={0}/file": "--cache must be a writable folder, got {0}/file: ",
    "temporal_order --logdir={0}/file": "--logdir must be a writable folder, got {0}/file: ",
    "temporal_order --logdir={0}/log": "{0}/log/6a has scalars of a run; --overwrite replaces",
    "temporal_order --out={0}/file": "--out must be a writable folder, got {0}/file: ",
    "claims --claim=gates --out={0}/file/below": "--out must be a writable folder, got ",
    "benchmark --case=h --out={0}/file/below": "--out must be a writable folder, got ",
    "temporal_order --out={0}/old": "{0}/old/6a.json exists; --overwrite replaces it",
    "claims --claim=lags --out={0}/old": "{0}/old/claim.lags.json exists; --overwrite",
    "error_flow --out={0}/old": "{0}/old/error_flow.png exists; --overwrite replaces it",
    "benchmark --case=h --out={0}/old": "{0}/old/benchmark.h.json exists; --overwrite",
    "temporal_order --out={0}/cut": "{0}/cut/6a.checkpoints exists, of an interrupted run; ",
    "temporal_order --out={0}/old --resume": "{0}/old/6a.json differs in task: 6b, not 6a; ",
    "temporal_order --out={0}/no --resume": "{0}/no/6a.json is not JSON",
    "claims --claim=xor --redraw --out={0}/no": "{0}/no/claim.xor.json must be of the cl",
    "claims --claim=gates --redraw --out={0}/no": "{0}/no/claim.gates.json is not JSON",
    "reproduce --rows=2a-4.rtrl-1 --recipe=swapped": "--recipe must be paper for 2a-4.rtrl-1, got",
    "reproduce --rows=6A": "row must be one of 1-1, ",
    "reproduce --rows=6a,6a": "rows must be distinct, got 6a,6a",
    "reproduce": "flag --rows=None: Flag --rows must have a value other than None",
    "temporal_order --out={0}/dangling": "--out must be a writable folder, got {0}/dangling: ",
    "temporal_order --out=/proc/none": "--out must be a writable folder, got /proc/none: ",
    "temporal_order --out=/dev/full/x": "--out must be a writable folder, got /dev/full/x: ",
    "temporal_order --out={0}/a\0b": "flag --out={0}/a\0b: must not contain a null character",
    "temporal_order --out={0}/folders": "{0}/folders/6a.json exists; --overwrite replaces it",
    "temporal_order --out={0}/folders --overwrite": "path must be that of a regular file, got ",
    "temporal_order --out={0}/folders --resume": "{0}/folders/6a.json must be a file",
    "temporal_order --out={0}/pipes --resume": "{0}/pipes/6a.json must be a file",
    "temporal_order --out={0}/pipes --overwrite": "path must be that of a regular file, got ",
    "temporal_order --out={0}/links": "{0}/links/6a.json is a link into a folder that does not",
    "temporal_order --out={0}/links --overwrite": "{0}/links/6a.json is a link into a folder ",
    "temporal_order --out={0}/names --overwrite": "path must have one name, but {0}/names/6a.json ",
    "temporal_order --out={0}/marked": "{0}/marked/6a.checkpoints must be a folder",
    "temporal_order --out={0}/marked --resume": "{0}/marked/6a.checkpoints must be a folder",
    "temporal_order --out={0}/bytes --resume": "{0}/bytes/6a.json is not JSON: 'utf-8' codec",
    "temporal_order --logdir=/proc/none": "--logdir must be a writable folder, got /proc/none: ",
    "temporal_order --recipe=paper+blocks=1000000": "--recipe=paper+blocks=1000000 must have at mo",
    "temporal_order --recipe=paper+learning-rate=1e-400": "--recipe=paper+learning-rate=1e-400: o",
    "temporal_order --recipe=paper+learning-rate=1+learning-rate=2": "--recipe=paper+learning-ra",
    "temporal_order --recipe=../../x": "--recipe=../../x: recipe must begin with one of paper, ",
    "temporal_order --recipe=päper": "--recipe=päper: recipe must begin with one of paper, ",
    "temporal_order --flagfile={0}/nothing": "ERROR:: Unable to open flagfile: ",
    "temporal_order -- 6a": "unexpected argument '6a'; options begin with --",
    "reproduce --rows=6a,6b --num_processes=2": "--num_processes and --process_id need --coordinat",
    "reproduce --rows=6a,6b --out={0}/pipes --resume": "{0}/pipes/6a.json must be a file",
    "reproduce --rows=6b,6a --out={0}/marked": "{0}/marked/6a.checkpoints must be a folder",
    "claims --claim=gates --out={0}/links": "{0}/links/claim.gates.json is a link into a folder ",
    "claims --claim=gates --out={0}/pipes --redraw": "{0}/pipes/claim.gates.json must be a file",
    "error_flow --out={0}/links": "{0}/links/error_flow.png is a link into a folder that does not",
    "error_flow --sequences=2000000000": "flag --sequences=2000000000: 2000000000 is not an intege",
    "benchmark --case=h,h": "--case must be distinct, got h,h",
    "benchmark --case=h --out={0}/links": "{0}/links/benchmark.h.json is a link into a folder ",
    "ablations --rows=6a,6a": "--rows must be distinct, got 6a,6a",
    "ablations --rows=6b,6a --out={0}/no": "{0}/no/6a.json is not JSON",
    "ablations --rows=6a --out={0}/pipes": "{0}/pipes/6a.json must be a file",
    "ablations --stages=choose": "--stages=choose needs --recipes, got none",
    "ablations --stages=choose --recipes=unknown": "recipe must begin with one of paper, ",
    "ablations --stages=singles --recipes=adam": "--recipes needs --stages=choose, confirm or rep",
    "report --out={0}/pipes": "--out must be a folder with result files of rows, got {0}/pipes",
    "search --out={0}/links": "{0}/links/search.6a.json is a link into a folder that does not",
    "search --out={0}/pipes --resume": "path must be that of a regular file, got {0}/pipes/search",
    "search --sampler=random --out={0}/marked": "{0}/marked/search.6a.2x2.checkpoints must be a f",
    "search --out={0}/old": "{0}/old/search.6a.json exists; --overwrite replaces it",
    "search --out={0}/old --resume": "{0}/old/search.6a.json is not JSON: ",
}
# One of each way to fail, through the shell.
IN_THE_SHELL = {
    "temporal_order --coordinator=auto": "coordinator must be HOST:PORT, no cluster was found: ",
    "temporal_order --coordinator=no.invalid:9999 --num_processes=2 --process_id=1": "coordinator "
    "must be at a known host, got no.invalid:9999: ",
} | {
    mistake: MISTAKES[mistake]
    for mistake in (
        "temporal_order --task=7",
        "temporal_order 6a",
        "temporal_order --out={0}/cut",
        "claims --claim=gates --out={0}/file/below",
        "error_flow --out={0}/old",
    )
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A folder of files and folders that are in the way."""
    folder = tmp_path_factory.mktemp("mistakes")
    (folder / "file").write_text("a file")
    (folder / "cut" / "6a.checkpoints" / "1000").mkdir(parents=True)
    (folder / "log" / "6a").mkdir(parents=True)
    (folder / "log" / "6a" / "events.out.tfevents.1.mine").write_text("mine")
    for name in ("no", "old"):
        (folder / name).mkdir()
    (folder / "no" / "6a.json").write_text("no result")
    (folder / "no" / "claim.xor.json").write_text('{"claim": "gates"}')
    (folder / "no" / "claim.gates.json").write_text("[" * 100_000)
    (folder / "old" / "6a.json").write_text((collection.RESULTS / "6b" / "6b.json").read_text())
    for name in ("claim.lags.json", "error_flow.png", "benchmark.h.json", "search.6a.json"):
        (folder / "old" / name).write_text("mine")
    (folder / "dangling").symlink_to(folder / "nowhere")
    names = ("6a.json", "claim.gates.json", "error_flow.png", "benchmark.h.json", "search.6a.json")
    for kind in ("folders", "pipes", "links", "names", "marked", "bytes"):
        (folder / kind).mkdir()
    for name in names:
        (folder / "folders" / name).mkdir()
        os.mkfifo(folder / "pipes" / name)
        (folder / "links" / name).symlink_to(folder / "nowhere" / name)
    (folder / "names" / "6a.json").write_text("mine")
    os.link(folder / "names" / "6a.json", folder / "names" / "again")
    for name in ("6a.checkpoints", "search.6a.2x2.checkpoints"):
        (folder / "marked" / name).write_text("mine")
    (folder / "bytes" / "6a.json").write_bytes(b"\xff\xfe")
    return folder


def run_of(mistake: str, folder: pathlib.Path) -> list[str]:
    name, *flags = mistake.format(folder).split()
    return [name, f"--out={folder}/new", *flags]


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_named_before_anything_is_computed_or_written(
    mistake: str, folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(TrialRunner, "run_chunk", never)
    before = sorted(folder.rglob("*"))
    binary, *flags = run_of(mistake, folder)
    with pytest.raises((ValueError, OSError)) as error:
        command_of(binary).call(flags)
    assert str(error.value).startswith(MISTAKES[mistake].format(folder))
    assert "\n" not in str(error.value)
    assert sorted(folder.rglob("*")) == before


def test_a_mistake_ends_the_process_with_one_line_and_status_2(folder: pathlib.Path):
    outcomes = run_forks([run_of(mistake, folder) for mistake in IN_THE_SHELL])
    for message, (status, out, err) in zip(IN_THE_SHELL.values(), outcomes, strict=True):
        assert (status, out) == (2, ""), err
        assert err.startswith(f"error: {message.format(folder)}"), err
        assert err.count("\n") == 1 and err.endswith("\n")


def test_an_unknown_platform_is_named_in_one_line(tmp_path: pathlib.Path):
    commands = (["temporal_order"], ["claims", "--claim=gates"], ["error_flow"])
    runs = [[*command, f"--out={tmp_path}"] for command in commands]
    for status, out, err in run_forks(runs, os.environ | {"JAX_PLATFORMS": "abacus"}):
        assert (status, out) == (2, "")
        assert err.startswith("error: JAX_PLATFORMS must name platforms of this machine, got 'abac")
        assert err.count("\n") == 1


def test_a_reader_who_has_seen_enough_costs_no_traceback():
    line = f"{sys.executable} -m experiments.benchmark --help | true"
    done = subprocess.run(["bash", "-c", line], cwd=ROOT, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("", "")


def test_a_command_that_is_run_as_a_file_says_how_to_run_it():
    done = subprocess.run(
        [sys.executable, "experiments/adding.py", "--out=x"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "error: run python -m experiments.adding, in the folder that contains experiments\n"
    )


# Files from elsewhere ---------------------------------------------------------------------------

DAMAGE: dict = {
    "nested too deeply": "[" * 100_000,
    "cut off": '{"schema_version": 2, "task": "6',
    "no object": "[1]",
    "no version": "{}",
    "an integer beyond all bounds": '{"schema_version": 2, "seed": ' + "9" * 5000 + "}",
    "task missing": {"task": None},
    "of another row": {"task": "7z"},
    "trials no list": {"trials": 3},
    "no trials": {"trials": []},
    "a trial no object": {"trials": [1]},
    "a trial without its curve": {"trials": [{"index": 0, "solved": True, "sequences": 1}]},
    "a curve of text": {
        "trials": [{"index": 0, "solved": True, "sequences": 1, "curve": {"sequences": "a"}}]
    },
    "a number beyond all": {"wall_seconds": 10**400},
    "infinite": {"wall_seconds": float("inf")},
    "a number as text": {"max_sequences": "many"},
    "true for a number": {"seed": True},
    "published of another type": {"published": []},
    "a machine of another type": {"machine": []},
    "versions as text": {"versions": "0.10"},
    "a trial that was never tested": {
        "trials": [{"index": 0, "solved": True, "sequences": 1, "curve": {}}]
    },
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_result_is_one_line_that_names_the_file(
    damage: str, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
):
    content = DAMAGE[damage]
    if isinstance(content, dict):
        document = json.loads((collection.RESULTS / "6a" / "6a.json").read_text()) | content
        content = json.dumps({k: v for k, v in document.items() if v is not None})
    path = tmp_path / "6a.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=r"6a\.json") as error:
        collection.read_results(tmp_path)
    assert "\n" not in str(error.value) and len(str(error.value)) < 400
    if damage != "of another row":
        command = command_of("temporal_order")
        with pytest.raises(ValueError, match=r"6a\.json"):
            command.call(["--task=6a", f"--out={tmp_path}", "--resume"])
        with pytest.raises(ValueError, match="--out must be a folder with result files of rows"):
            report.read_folder(tmp_path)
        assert str(path) in capsys.readouterr().out
    with pytest.raises(ValueError, match=r"6a\.json") as error:
        command_of("diagnose").call([f"--files={path}"])
    assert "\n" not in str(error.value)
    assert path.read_text() == content and [*tmp_path.iterdir()] == [path]


NO_NETWORK: dict = {
    "none was finite": {"network": None},
    "no weights": {"network": {}},
    "weights as text": {"network": {"parameters": {".output.cell": "x"}}},
    "no architecture": {"architecture": None},
    "a baseline's architecture": {"architecture": {"num_hidden": 3}},
    "another architecture": {"architecture": {"num_inputs": 1, "blocks": [1], "num_outputs": 1}},
    "an architecture of one unit too large for a float": {
        "architecture": {"num_inputs": 8, "blocks": [2, 2], "num_outputs": 4}
        | {"initial_activation": 10**400}
    },
    "of a task with other inputs": {"task": "1-1"},
}


@pytest.mark.parametrize("damage", NO_NETWORK)
def test_a_result_without_a_network_is_not_diagnosed(damage: str, tmp_path: pathlib.Path):
    document = json.loads((collection.RESULTS / "6a" / "6a.json").read_text())
    path = tmp_path / "6a.json"
    path.write_text(json.dumps(document | NO_NETWORK[damage]))
    with pytest.raises(ValueError, match=r"6a\.json must hold an LSTM network") as error:
        command_of("diagnose").call([f"--files={path}"])
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("claim", sorted({*CLAIMS} - {"lags"}))  # drawn from rows' files alone
def test_a_damaged_claim_is_not_drawn(claim: str, tmp_path: pathlib.Path):
    path = tmp_path / f"claim.{claim}.json"
    committed = collection.RESULTS / "claims" / path.name
    found = json.loads(committed.read_text()) if committed.exists() else {}
    for content in ({}, {key: [1] for key in found}, dict.fromkeys(found, 3)):
        path.write_text(json.dumps(content | {"claim": claim}))
        with pytest.raises(ValueError, match=f"claim.{claim}.json must hold the results") as error:
            command_of("claims").call([f"--claim={claim}", f"--out={tmp_path}", "--redraw"])
        assert "\n" not in str(error.value) and [*tmp_path.iterdir()] == [path]


@pytest.mark.parametrize(
    "content",
    ["[" * 100_000, "[]", "{}", '{"row": "6a", "runs": [], "cells": {"a": {"trials": 3}}}'],
)
def test_damaged_ablations_are_one_line_that_names_the_file(content: str, tmp_path: pathlib.Path):
    (tmp_path / "6a.json").write_text(content)
    with pytest.raises(ValueError, match=r"6a\.json") as error:
        Results(tmp_path, "6a").cells()
    assert "\n" not in str(error.value)
