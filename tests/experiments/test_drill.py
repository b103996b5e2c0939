"""Every long command, killed by SIGKILL twice and run again, ends as if nothing had happened.

Nor does it lose anything, or say more than a line, on a full disk, in a read-only folder, beside
another run in its folder, and when the clocks jump.
"""

from __future__ import annotations

import itertools
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator

import numpy as np
import pytest
from killing import Drill
from resumable import PATIENCE, ROOT, newest, numbers, small_row, with_options
from safetensors.numpy import load_file
from small_tasks import binary_environment, make_runner

from experiments.cli.files import check_free
from experiments.rows import collection
from experiments.rows import run as runner
from lstm_jax.network.writing import write_atomically

ROW = ["--out=out", "--trials=2", "--checkpoint_seconds=0", "--quiet", "--devices=1"]
SEARCH = [*ROW, "--max_sequences=1000"]
FIT = ["--data=d.csv", "--task=forecast", "--window=6", "--cells=3", "--epochs=3", "--out=out"]
SHORT_ABLATIONS = """
from experiments.ablations import cells, design
cells.CHECKPOINT_SECONDS = 0.0
design.published_sequences = lambda row: 1000
"""
SHORT_CLAIM = """
import dataclasses
from experiments import claims
from lstm_jax import TrainingLoop, make_task
task = dataclasses.replace(make_task("6a"), max_sequences=1000)
claims.CLAIMS["blocks"] = claims.compare_trials(lambda: {"cut": TrainingLoop(task)})
"""
NO_TRAINING = """
from experiments import error_flow
error_flow.over_training = lambda sequences, seed: {}
"""
IN_OUT = """
import pathlib
from experiments import tables
out = pathlib.Path("out").absolute()
tables.ROOT, tables.RESULTS = out, out / "results"
read = tables.collection.read_results
tables.collection.read_results = lambda: read(out / "results")
"""
FIT_OFTEN = "from experiments import fit\nfit.WRITE_SECONDS = 0.0"

# By name: the command, its flags, those when it is run again, and code that makes it short.
COMMANDS: dict[str, tuple[str, list[str], list[str], str]] = {
    "row": ("temporal_order", [*ROW, "--max_sequences=4500"], ["--resume"], ""),
    "baseline": (
        "baselines",
        [*ROW, "--task=2a-4.rtrl-1", "--max_sequences=9000"],
        ["--resume"],
        "",
    ),
    "tpe": ("search.__main__", [*SEARCH, "--configurations=3"], ["--resume"], ""),
    "random": (
        "search.__main__",
        [*ROW, "--sampler=random", "--max_sequences=3000"],
        ["--resume"],
        "",
    ),
    "ablations": (
        "ablations.__main__",
        ["--rows=6a", "--stages=choose", "--recipes=paper", "--out=out"],
        [],
        SHORT_ABLATIONS,
    ),
    "fit": ("fit", [*FIT, "--quiet"], ["--resume"], FIT_OFTEN),
    "claims": (
        "claims.__main__",
        ["--claim=blocks", "--trials=2", "--out=out", "--quiet"],
        ["--overwrite"],
        SHORT_CLAIM,
    ),
    "error_flow": ("error_flow", ["--steps=20", "--out=out"], ["--overwrite"], NO_TRAINING),
    "report": ("report", ["--out=out"], ["--overwrite"], ""),
    "tables": ("tables", [], [], IN_OUT),
}
CONTINUE = ("row", "baseline", "tpe", "random", "ablations", "fit")  # where they were killed
VARY = {  # what differs from run to run
    "wall_seconds", "seconds", "sequences_per_second", "date", "command", "machine", "commit",
}  # fmt: skip


def prepare(name: str, folder: pathlib.Path) -> Drill:
    """Make the folder of a drill, with what the command reads."""
    out = folder / "start" / "out"
    out.mkdir(parents=True)
    result = collection.RESULTS / "6a" / "6a.json"
    if name == "report":
        shutil.copy(result, out)
    if name == "tables":
        shutil.copy(ROOT / "README.md", out)
        (out / "results" / "6a").mkdir(parents=True)
        shutil.copy(result, out / "results" / "6a")
    wave = [f"{x:.4f}" for x in np.sin(np.arange(90) / 4)]
    (folder / "start" / "d.csv").write_text("\n".join(["load", *wave]))
    command, flags, again, before = COMMANDS[name]
    drill = {"command": command, "flags": flags, "again": again, "before": before}
    return Drill(folder=str(folder), **drill)


@pytest.fixture(scope="module")
def drills(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[pathlib.Path, dict]]:
    """Perform all drills, in two processes: folders, and runs by the name of their folder."""
    folders = {name: tmp_path_factory.mktemp(name.replace("_", "")) for name in COMMANDS}
    halves = [list(COMMANDS)[i::2] for i in range(2)]
    script, environment = str(ROOT / "tests" / "killing.py"), binary_environment()
    environment["PYTHONPATH"] = str(ROOT)
    processes = []
    for names in halves:
        todo = json.dumps([prepare(name, folders[name]) for name in names])
        command = [sys.executable, script, todo]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        processes.append(subprocess.Popen(command, env=environment, text=True, **pipes))
    found = {}
    for names, process in zip(halves, processes, strict=True):
        out, err = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, err
        runs = zip(names, json.loads(out), strict=True)
        found |= {name: (folders[name], run) for name, run in runs}
    return found


def without_varying(value: object) -> object:
    """Return a document without the fields that differ between equal runs."""
    if isinstance(value, dict):
        return {k: without_varying(v) for k, v in value.items() if k not in VARY}
    return [without_varying(v) for v in value] if isinstance(value, list) else value


def content(path: pathlib.Path) -> object:
    """Return what a file says, without the fields that differ between equal runs."""
    if path.suffix == ".json":
        return without_varying(json.loads(path.read_text()))
    if path.suffix == ".safetensors":  # whose header has no order
        return {name: array.tobytes() for name, array in load_file(path).items()}
    return path.read_bytes()


def contents(folder: pathlib.Path) -> dict[str, object]:
    """Return all files by their paths, hidden ones too, and None for folders."""
    paths = sorted((folder / "out").rglob("*"))
    return {str(p.relative_to(folder)): content(p) if p.is_file() else None for p in paths}


def visible(folder: pathlib.Path) -> Iterator[pathlib.Path]:
    """Yield the files of a killed run that are not hidden, without checkpoints."""
    for path in (folder / "out").rglob("*"):
        if path.is_file() and path.name[0] != "." and path.suffix:
            yield path


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_that_is_killed_twice_ends_like_one_that_is_not(name: str, drills):
    """...with the same files and numbers, and without a word about it."""
    folder, runs = drills[name]
    whole, last = runs["whole"], runs["last"]
    assert whole["status"] == last["status"] == 0, last["err"]
    assert runs["first"]["status"] == runs["second"]["status"] == -9, runs["second"]["err"]
    assert last["err"].count("damaged") == 0
    assert contents(folder / "last") == contents(folder / "whole")
    assert any(contents(folder / "first").values())


@pytest.mark.parametrize("name", COMMANDS)
def test_a_killed_command_leaves_whole_files_only(name: str, drills):
    folder, _ = drills[name]
    before = contents(folder / "start")
    for killed, path in ((k, p) for k in ("first", "second") for p in visible(folder / k)):
        relative = str(path.relative_to(folder / killed))
        if path.suffix == ".json":
            json.loads(path.read_text())
        elif before.get(relative) != path.read_bytes() and name not in ("fit",):
            assert path.read_bytes() == (folder / "whole" / relative).read_bytes()


@pytest.mark.parametrize("name", CONTINUE)
def test_a_command_goes_on_where_it_was_killed(name: str, drills):
    """...because what it had done leaves fewer changes to the folder to be made."""
    _, runs = drills[name]
    assert len(runs["last"]["changes"]) < len(runs["whole"]["changes"])


def test_what_a_writer_leaves_is_removed_by_the_next_one_and_by_no_other(tmp_path: pathlib.Path):
    """...even a second name of the file, but not what a writer in another process still writes."""
    path = tmp_path / "a.ipynb"
    code = f"""
import os, pathlib, signal
from lstm_jax.network import writing
{{}}
writing.write_atomically(pathlib.Path({str(path)!r}), b"new", overwrite=False)
"""
    kill = "os.{0} = lambda *_: os.kill(os.getpid(), signal.SIGKILL)"
    killed_at_removal = (
        "pathlib.Path.unlink = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)"
    )
    for line, links in ((kill.format("link"), 0), (killed_at_removal, 2)):
        done = subprocess.run([sys.executable, "-c", code.format(line)], cwd=ROOT)
        assert done.returncode == -9 and len([*tmp_path.iterdir()]) == max(links, 1)
        check_free(path, overwrite=True)
        assert [*tmp_path.iterdir()] == [path] * bool(links)
    write_atomically(path, b"newer")
    assert path.read_bytes() == b"newer" and path.stat().st_nlink == 1

    wait = "os.replace = os.link = lambda *_: (print(flush=True), input())"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    path.unlink()
    with subprocess.Popen([sys.executable, "-c", code.format(wait)], cwd=ROOT, **pipes) as writer:
        writer.stdout.readline()
        (unfinished,) = tmp_path.iterdir()
        write_atomically(path, b"mine")
        assert {*tmp_path.iterdir()} == {unfinished, path}
        writer.communicate(b"\n", timeout=PATIENCE)
    assert [*tmp_path.iterdir()] == [path]


def test_reproduce_is_killed_and_goes_on(tmp_path: pathlib.Path):
    """...and while it runs, another one in its folder is refused in one line."""
    flags = ["--rows=6a,4-100", "--trials=2", "--max_sequences=6000", "--quiet"]
    command = [sys.executable, "-m", "experiments.reproduce", "--checkpoint_seconds=0", *flags]
    options = {"cwd": ROOT, "env": binary_environment(), "text": True}

    def start(out: str, *more: str) -> subprocess.Popen[str]:
        line = [*command, f"--out={tmp_path / out}", *more]
        return subprocess.Popen(line, stderr=subprocess.PIPE, **options)

    process, patience_ends = start("cut"), time.monotonic() + PATIENCE
    while not newest(tmp_path / "cut"):
        assert process.poll() is None and time.monotonic() < patience_ends
        time.sleep(0.01)
    second = start("cut", "--resume")
    _, err = second.communicate(timeout=PATIENCE)
    process.kill()
    process.communicate()
    if second.returncode:  # otherwise the first had ended by then
        assert second.returncode == 2 and err.count("\n") == 1
        assert re.match("error: .*checkpoints is in use by another process\n", err)
    last, whole = start("cut", "--resume"), start("whole")
    for one in (last, whole):
        _, err = one.communicate(timeout=PATIENCE)
        assert (one.returncode, err) == (0, "")
    assert numbers(tmp_path / "cut") == numbers(tmp_path / "whole")
    names = [sorted(path.name for path in (tmp_path / out).iterdir()) for out in ("cut", "whole")]
    assert names == [["4-100.json", "4-100.png", "6a.json", "6a.png"]] * 2


def test_a_row_that_is_killed_after_its_result_has_its_picture_too(tmp_path, monkeypatch):
    monkeypatch.setattr(runner, "TrialRunner", make_runner)
    row = small_row(tmp_path)
    document = runner.run_row(row)
    picture = (tmp_path / "6a.png").read_bytes()
    (tmp_path / "6a.png").unlink()
    row.checkpoints.mkdir()
    assert runner.run_row(with_options(row, resume=True)) == document
    assert (tmp_path / "6a.png").read_bytes() == picture and not row.checkpoints.exists()


# Surroundings --------------------------------------------------------------------------------


def run_limited(
    name: str, folder: pathlib.Path, limit: str
) -> tuple[subprocess.CompletedProcess[str], pathlib.Path]:
    """Run a command after a line of Python that limits its process."""
    drill = prepare(name, folder)
    code = f"""
import importlib, os, pathlib, resource, sys
module = importlib.import_module("experiments.{drill["command"]}")
{drill["before"]}
sys.argv = ["x", *{drill["flags"]}]
{limit}
module.COMMAND.run()
"""
    environment = binary_environment() | {"PYTHONPATH": str(ROOT)}
    environment["JAX_ENABLE_COMPILATION_CACHE"] = "0"  # whose files would be limited too
    start = folder / "start"
    command = [sys.executable, "-c", code]
    return subprocess.run(command, cwd=start, env=environment, capture_output=True, text=True), (
        start / "out"
    )


@pytest.mark.parametrize("name", ["report", "fit", "tables"])
def test_a_full_disk_is_one_line_that_names_the_file(name: str, tmp_path: pathlib.Path):
    """...and what was there is still there, alone."""
    limit = "resource.setrlimit(resource.RLIMIT_FSIZE, (300, 300))"
    done, out = run_limited(name, tmp_path, limit)
    assert done.returncode == 2, done.stderr
    assert re.search(r"^error: .*(File too large: '\S*/out/\w|out/\S+ could not be)", done.stderr)
    assert done.stderr.count("\n") == 1
    prepare(name, tmp_path / "again")
    assert contents(out.parent) == contents(tmp_path / "again" / "start")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to give its rights up")
@pytest.mark.parametrize("name", ["row", "tpe", "fit", "report", "tables"])
def test_a_read_only_folder_is_one_line_that_names_it(name: str, tmp_path: pathlib.Path):
    limit = "import encodings.utf_8_sig, optuna\n"  # which others than root may not read
    limit += 'os.chmod("out", 0o555); os.setgroups([]); os.setgid(65534); os.setuid(65534)'
    for parent in (tmp_path, *tmp_path.parents[:3]):
        parent.chmod(0o755)
    done, out = run_limited(name, tmp_path, limit)
    assert done.returncode == 2, done.stderr
    assert re.fullmatch(r"error: .*\bout\b.*(Permission denied|is read-only).*\n", done.stderr), (
        done.stderr
    )
    prepare(name, tmp_path / "again")
    assert contents(out.parent) == contents(tmp_path / "again" / "start")


def test_clocks_that_jump_change_no_number(tmp_path: pathlib.Path, monkeypatch):
    """...whatever they say of the time that a run takes."""
    monkeypatch.setattr(runner, "TrialRunner", make_runner)
    expected = runner.run_row(small_row(tmp_path / "steady"))
    for clock in ("time", "monotonic"):
        steps = itertools.cycle([0.0, 1e6, -1e6, 0.0, 0.0])
        now = getattr(time, clock)
        monkeypatch.setattr(time, clock, lambda now=now, steps=steps: now() + next(steps))
    for options in ({"checkpoint_seconds": 0.0}, {"quiet": False}):
        found = runner.run_row(small_row(tmp_path / next(iter(options)), **options))
        assert found["trials"] == expected["trials"]
