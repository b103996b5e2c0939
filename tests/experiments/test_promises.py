"""What the commands promise: their help, their words, and that nothing is lost."""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import time
from typing import Any

import jax
import pytest
from absl import flags
from binaries import BINARIES, ROOT, command_of, run_forks
from resumable import PATIENCE
from small_tasks import LATCH, binary_environment, make_runner

from experiments.cli import command, files
from experiments.cli.interrupt import Interrupted
from experiments.cli.progress import make_progress
from experiments.rows import options
from experiments.rows import run as runner
from experiments.search import flags as search
from lstm_jax import plots
from lstm_jax.tasks import StreamRule
from lstm_jax.training.runs.checkpoints import Checkpoints
from lstm_jax.training.runs.result_file import read_json
from lstm_jax.training.trials.runner import Progress

# Help ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def helps() -> dict[str, tuple[int, str, str]]:
    return dict(zip(BINARIES, run_forks([[name, "--help"] for name in BINARIES]), strict=True))


@pytest.mark.parametrize("binary", BINARIES)
def test_help_tells_what_a_command_does_three_examples_and_its_own_flags(binary: str, helps):
    status, out, err = helps[binary]
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == f"experiments.{binary}" and lines[2].endswith((".", ":"))
    examples = [line for line in lines if line.startswith(f"    python -m experiments.{binary}")]
    assert len(examples) >= 3
    told = re.findall(r"^  --(\w+)", out, re.MULTILINE)
    assert told == list(command_of(binary).flags())  # in their order, and none of absl's
    if "out" in told:
        assert "--out=" in "\n".join(examples) or binary in ("benchmark", "readings")
    assert max(map(len, lines)) <= 100


@pytest.mark.parametrize("binary", BINARIES)
def test_the_examples_of_the_help_are_right(binary: str, tmp_path: pathlib.Path):
    """...as far as their flags go."""
    for line in (command_of(binary).about or "").splitlines():
        words = line.replace("DIR", str(tmp_path)).split()
        if words[:2] == ["python", "-m"]:
            command_of(words[2].removeprefix("experiments.")).parse(words[3:])


def test_h_is_help_and_helpfull_has_absl_s_flags_too():
    outcomes = run_forks([["adding", flag] for flag in ("--help", "-h", "--helpfull")])
    assert outcomes[0] == outcomes[1]
    own, full = outcomes[0][1], outcomes[2][1]
    assert "--verbosity" in full and "--verbosity" not in own and "--task" in full


# Commands in one process ------------------------------------------------------------------------


def test_commands_may_be_imported_and_called_side_by_side(tmp_path, monkeypatch):
    """...and again, in a process that has flags of its own; what they are called is told."""
    before = set(flags.FLAGS)
    called = []
    monkeypatch.setattr(
        runner, "run_row", lambda row, of_run: called.append((row, command.command_line())) or {}
    )
    arguments = [f"--out={tmp_path}", "--quiet", "--devices=2"]
    for name, task in (("adding", "4-500"), ("noise_free", "2b"), ("adding", "4-100")):
        command_of(name).call([f"--task={task}", *arguments])
    assert set(flags.FLAGS) == before
    assert [row for row, _ in called] == ["4-500", "2b", "4-100"]
    told = f"--out={tmp_path} --quiet --devices=2"
    assert called[1][1] == f"python -m experiments.noise_free --task=2b {told}"
    assert command.command_line() == "called from Python"


def test_the_home_folder_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert command_of("adding").parse(["--out=~/x"]).out == tmp_path / "x"


# Files -----------------------------------------------------------------------------------------

DOCUMENT = {"schema_version": 2, "a": [1, 2]}


def draw(document: Any) -> Any:
    return plots.error_flow({"a": [1.0]})


def test_numbers_come_first_and_a_picture_that_fails_costs_a_line(tmp_path, capsys):
    def fail(document: Any) -> Any:
        assert read_json(tmp_path / "a.json") == DOCUMENT  # is there already
        raise IndexError("no\npoints")

    kept = files.keep(tmp_path / "a.json", DOCUMENT, fail, overwrite=False, quiet=False)
    out, err = capsys.readouterr()
    assert kept == tmp_path / "a.json" and read_json(kept) == DOCUMENT
    assert out == f"wrote {kept}\n" and err == f"warning: no picture of {kept}: no points\n"


def test_what_is_there_when_a_file_is_written_is_not_replaced(tmp_path, capsys):
    for name in ("a.json", "a.1.json"):
        (tmp_path / name).write_text("mine")
    kept = files.keep(tmp_path / "a.json", DOCUMENT, draw, overwrite=False, quiet=False)
    assert kept == tmp_path / "a.2.json" and read_json(kept) == DOCUMENT
    assert (tmp_path / "a.json").read_text() == (tmp_path / "a.1.json").read_text() == "mine"
    assert (tmp_path / "a.2.png").exists() and not (tmp_path / "a.png").exists()
    out, err = capsys.readouterr()
    assert out == f"wrote {kept} and {tmp_path / 'a.2.png'}\n"
    assert err.endswith(f"its result is kept in {kept}\n") and err.count("\n") == 1


def test_what_may_be_replaced_is(tmp_path, capsys):
    for name in ("a.json", "a.png"):
        (tmp_path / name).write_text("mine")
    files.keep(tmp_path / "a.json", DOCUMENT, draw, overwrite=True, quiet=True)
    assert read_json(tmp_path / "a.json") == DOCUMENT
    assert (tmp_path / "a.png").read_bytes()[:4] == b"\x89PNG"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json", "a.png"]
    assert capsys.readouterr() == ("", "")


def test_a_picture_that_is_there_is_not_replaced(tmp_path):
    (tmp_path / "a.png").write_text("mine")
    kept = files.save_picture(draw(None), tmp_path / "a.png", overwrite=False)
    assert kept == tmp_path / "a.1.png" and (tmp_path / "a.png").read_text() == "mine"


def test_a_full_disk_is_said_of_the_file_that_it_takes(tmp_path, monkeypatch):
    def full(*arguments: Any) -> None:
        raise OSError(28, "No space left on device")

    for overwrite in (True, False):
        with monkeypatch.context() as patch:
            patch.setattr(files, "write_json", full)
            with pytest.raises(OSError, match=r"a\.json could not be written: No space left on"):
                files.write_result(tmp_path / "a.json", DOCUMENT, overwrite)
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize("command_", ["report", "reference"])
def test_pages_that_are_there_are_not_replaced(command_: str, tmp_path, monkeypatch):
    """Be they there at the start, or only once they are written."""
    from experiments import reference, report

    def page(documents: Any, title: str) -> str:
        (tmp_path / "report.html").write_text("mine")
        return "ours"

    def pages(folder: pathlib.Path) -> list[pathlib.Path]:
        (folder / "index.html").write_text("ours")
        return [folder / "index.html"]

    monkeypatch.setattr(report, "read_folder", lambda folder: {})
    monkeypatch.setattr(report, "page", page)
    monkeypatch.setattr(reference, "write_reference", pages)
    mine = tmp_path / ("report.html" if command_ == "report" else "index.html")
    call = lambda: command_of(command_).call([f"--out={tmp_path}"])
    if command_ == "report":
        call()
        assert mine.read_text() == "mine" and (tmp_path / "report.1.html").read_text() == "ours"
    mine.write_text("mine")
    with pytest.raises(ValueError, match="exists; --overwrite replaces it"):
        call()
    assert mine.read_text() == "mine"


def test_a_file_system_without_links_keeps_what_is_there_too(tmp_path, monkeypatch):
    def fail(*arguments: Any) -> None:
        raise PermissionError("no links here")

    monkeypatch.setattr(os, "link", fail)
    (tmp_path / "a.json").write_text("mine")
    assert files.write_result(tmp_path / "a.json", DOCUMENT, False) == tmp_path / "a.1.json"
    assert files.write_result(tmp_path / "b.json", DOCUMENT, False) == tmp_path / "b.json"
    assert (tmp_path / "a.json").read_text() == "mine" and read_json(tmp_path / "b.json")


# Rows ------------------------------------------------------------------------------------------


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every row is a task that is learned in a second."""
    monkeypatch.setattr(options, "make_task", lambda row: LATCH)
    monkeypatch.setattr(runner, "TrialRunner", make_runner)


def test_a_result_that_appears_during_a_run_stands_and_so_does_the_run_s(
    small: None, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys
):
    of_run = options.Options(tmp_path, quiet=True)

    def progress(title: str, quiet: bool) -> Any:
        (tmp_path / "latch.json").write_text("mine")
        return make_progress(title, quiet)

    monkeypatch.setattr(runner, "make_progress", progress)
    runner.run_row("latch", of_run)
    assert (tmp_path / "latch.json").read_text() == "mine"
    assert read_json(tmp_path / "latch.1.json")["task"] == "latch"
    assert "its result is kept in" in capsys.readouterr().err


def test_a_folder_in_use_is_in_use_for_overwrite_too(small: None, tmp_path: pathlib.Path):
    of_run = options.Options(tmp_path, overwrite=True, quiet=True)
    folder = tmp_path / "latch.checkpoints"
    with Checkpoints(folder, {}) as live:
        (folder / "100").mkdir()
        for refuse in (runner.prepare, lambda of_run, rows: runner.run_row(rows[0], of_run)):
            with pytest.raises(ValueError, match="is in use by another process"):
                refuse(of_run, ["latch"])
        assert (folder / "100").exists()
        (folder / "100").rmdir()
        del live
    assert runner.run_row("latch", of_run)["summary"]["solved"] == 3


@pytest.mark.parametrize("wrong", [{"batch_size": 0}, {"seed": 2**32}, {"seed": -1}])
def test_a_refused_run_leaves_no_checkpoints_behind(small: None, wrong: Any, tmp_path):
    of_run = options.Options(tmp_path, quiet=True, **wrong)
    with pytest.raises(ValueError, match=next(iter(wrong))):
        runner.run_row("latch", of_run)
    assert [*tmp_path.iterdir()] == []


UNSOLVABLE = dataclasses.replace(LATCH, rule=StreamRule(window=20, mean_error=1e-30))


class Sending:
    """A display that sends this process a signal after its first round."""

    def __init__(self, number: int) -> None:
        self.number: int | None = number

    def show(self, progress: Progress) -> None:
        if self.number is not None:
            os.kill(os.getpid(), self.number)
        self.number = None

    def close(self) -> None:
        pass


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_told_to_end_leaves_a_checkpoint_and_says_so(
    small: None, number: int, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
):
    """...from which it ends as one that was not."""
    monkeypatch.setattr(options, "make_task", lambda row: UNSOLVABLE)
    of_run = options.Options(tmp_path / "cut", quiet=True, max_sequences=3000)
    of_run.out.mkdir()
    with monkeypatch.context() as patch:
        patch.setattr(runner, "make_progress", lambda title, quiet: Sending(number))
        with pytest.raises(Interrupted) as error:
            runner.run_row("latch", of_run)
    assert str(error.value) == "interrupted: latch, --resume goes on after 1,000 sequences a trial"
    assert error.value.status == 128 + number
    with pytest.raises(ValueError, match="--resume continues"):
        runner.prepare(of_run, ["latch"])
    resumed = runner.run_row("latch", dataclasses.replace(of_run, resume=True))
    whole = runner.run_row("latch", dataclasses.replace(of_run, out=tmp_path))
    assert resumed["trials"] == whole["trials"]
    assert sorted(path.name for path in of_run.out.iterdir()) == ["latch.json", "latch.png"]


def test_an_old_result_is_not_taken_for_that_of_a_run_that_was_to_replace_it(
    small: None, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(options, "make_task", lambda row: UNSOLVABLE)
    of_run = options.Options(tmp_path, quiet=True, max_sequences=3000)
    runner.run_row("latch", of_run)
    os.utime(tmp_path / "latch.json", (0, 0))
    with monkeypatch.context() as patch:
        patch.setattr(runner, "make_progress", lambda title, quiet: Sending(signal.SIGINT))
        with pytest.raises(Interrupted, match=r"once the old .* is moved, --resume goes on after"):
            runner.run_row("latch", dataclasses.replace(of_run, overwrite=True))
    with pytest.raises(ValueError, match="is older than"):
        runner.prepare(dataclasses.replace(of_run, resume=True), ["latch"])
    (tmp_path / "latch.json").rename(tmp_path / "old")
    runner.prepare(dataclasses.replace(of_run, resume=True), ["latch"])


def test_ctrl_c_to_the_parent_alone_ends_the_workers_too(tmp_path: pathlib.Path):
    """...each with a checkpoint, from which the rows go on."""
    rows = ("4-100", "6b")  # neither is solved before the other has begun
    flags_ = ["--rows=4-100,6b", f"--out={tmp_path}", "--checkpoint_seconds=0", "--quiet"]
    parent = subprocess.Popen(
        [sys.executable, "-m", "experiments.reproduce", "--trials=2", *flags_],
        cwd=ROOT,
        env=binary_environment(),
        stderr=subprocess.PIPE,
        text=True,
    )
    patience_ends = time.monotonic() + PATIENCE
    folders = [tmp_path / f"{row}.checkpoints" for row in rows]
    try:
        while not all(map(runner.newest, folders)):
            assert parent.poll() is None and time.monotonic() < patience_ends
            time.sleep(0.05)
        parent.send_signal(signal.SIGINT)
        _, err = parent.communicate(timeout=PATIENCE)
    finally:
        parent.kill()
    assert parent.returncode == 130, err
    *of_rows, last = err.splitlines()
    assert last == "interrupted; --resume goes on with the rows that remain"
    found = [
        f"interrupted: {row}, --resume goes on after {runner.newest(folder):,} sequences a trial"
        for row, folder in zip(rows, folders, strict=True)
    ]
    assert sorted(of_rows) == found


def test_a_row_that_fails_is_named(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch):
    from experiments import reproduce

    monkeypatch.setattr(reproduce, "run_workers", lambda rows, values: {"6a": 0, "6b": 2})
    with pytest.raises(ValueError, match="1 of 2 rows failed: 6b"):
        reproduce.COMMAND.call(["--rows=6a,6b", f"--out={tmp_path}", "--quiet"])


# Sweeps ----------------------------------------------------------------------------------------


def test_rates_whose_ratio_is_beyond_float32_are_drawn_and_reported(tmp_path: pathlib.Path, capsys):
    """...log-uniform; the file is whole, whatever becomes of the trials."""
    from experiments import sweep

    out = [f"--out={tmp_path}", "--devices=1"]
    sweep.COMMAND.call(
        ["--task=6a", "--trials=8", "--max_sequences=20", "--learning_rate=1e-10,1e30", *out]
    )
    document = read_json(tmp_path / "sweep.6a.2x2.json")
    columns = dict(zip(document["columns"], zip(*document["trials"], strict=True), strict=True))
    rates = columns["learning rate"]
    assert all(1e-10 <= rate <= 1e30 for rate in rates) and max(rates) > 1e10 > 1 > min(rates)
    assert document["non_finite"] == columns["error"].count(None)
    assert (tmp_path / "sweep.6a.2x2.png").exists()


def test_where_nothing_is_finite_there_is_a_file_and_no_picture(tmp_path: pathlib.Path, capsys):
    from experiments import sweep

    space = sweep.SearchSpace(learning_rate=(0.1, 1.0), init_range=(0.1, 1.0))
    of_run = sweep.Sweep(tmp_path, trials=1, space=space, quiet=True)
    document = json.loads((SWEEP).read_text())
    place = document["columns"].index("error")
    document["trials"] = [[*t[:place], None, *t[place + 1 :]] for t in document["trials"][:5]]
    files.keep(tmp_path / "a.json", document, of_run.draw, overwrite=False, quiet=True)
    assert read_json(tmp_path / "a.json") == document and not (tmp_path / "a.png").exists()
    assert "no trial's error is finite" in capsys.readouterr().err


SWEEP = ROOT / "experiments" / "results" / "claims" / "sweep.6a.2x2.json"


@pytest.mark.parametrize("task", ["2a", "2b", "2c-50-50"])
def test_a_sweep_s_own_bounds_are_of_what_its_task_has(task: str, tmp_path: pathlib.Path):
    from experiments import sweep

    values = sweep.COMMAND.parse([f"--task={task}", f"--out={tmp_path}"])
    space = search.space_of(values)
    assert space.input_gate_bias is None and space.learning_rate == (0.1, 10.0)
    loop = sweep.Sweep(tmp_path, space=space).loop(f"sweep.{task}.1x1")
    settings = loop.update_rule.init_trial(jax.random.key(0))[1].settings
    assert settings.input_gate_bias is None and 0.1 <= settings.learning_rate <= 10.0
