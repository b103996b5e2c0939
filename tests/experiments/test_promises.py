"""What the commands promise: their help, their words, and that nothing is lost."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pathlib
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
from absl import flags
from binaries import BINARIES, ROOT, command_of, run_forks
from resumable import PATIENCE, small_row, with_options
from small_tasks import LATCH, binary_environment, make_runner, sgd

from experiments import report, reproduce
from experiments.cli import command, files
from experiments.rows import run as runner
from experiments.rows.collection import BASELINES, COMMANDS
from experiments.search import picture
from lstm_jax import plots
from lstm_jax.tasks import StreamRule
from lstm_jax.training.host.interrupts import Interrupted
from lstm_jax.training.runs.checkpoints import Checkpoints
from lstm_jax.training.runs.result_file import read_json

# Help ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def helps() -> dict[str, tuple[int, str, str]]:
    runs = [(name, "--help") for name in BINARIES] + [("adding", "-h")]
    return {" ".join(run): outcome for run, outcome in zip(runs, run_forks(runs), strict=True)}


@pytest.mark.parametrize("binary", BINARIES)
def test_help_has_what_a_command_does_examples_and_its_flags(binary: str, helps):
    status, out, err = helps[f"{binary} --help"]
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == f"experiments.{binary}" and lines[2].endswith((".", ":", "?"))
    examples = [line for line in lines if line.startswith(f"    python -m experiments.{binary}")]
    assert len(examples) >= 2
    listed = re.findall(r"^  --(?:\[no\])?(\w+):", out, re.MULTILINE)
    assert sorted(listed) == sorted(command_of(binary).flags())  # and none of absl's
    if "out" in listed:
        assert "--out=" in "\n".join(examples) or binary in ("ablations", "benchmark")
    assert max(map(len, lines)) <= 100


ROW_COMMANDS = [*sorted({*COMMANDS.values()}), BASELINES, "reproduce", "search"]


@pytest.mark.parametrize("binary", ROW_COMMANDS)
def test_help_lists_everyday_flags_first(binary: str, helps):
    """...then rare ones and those of several processes, and says where overrides are listed."""
    text = helps[f"{binary} --help"][1]
    parts = re.split(r"^\S.*:\n(?=  --)", text, flags=re.MULTILINE)[1:]
    everyday, rare, several = [
        re.findall(r"^  --(?:\[no\])?(\w+):", part, re.MULTILINE) for part in parts
    ]
    assert {"out", "recipe", "trials", "seed", "resume", "overwrite"} <= {*everyday}
    assert rare == ["batch_size", "cache", "checkpoint_seconds", "devices", "logdir"]
    assert several == ["coordinator", "num_processes", "process_id"]
    assert "`python -m experiments` lists the overrides" in " ".join(text.split())


def test_h_is_help(helps):
    assert helps["adding --help"] == helps["adding -h"]


def test_arguments_that_are_not_flags_may_come_before_and_after_them():
    values = command_of("diagnose").parse(["a.json", "--seed=1", "b.json"])
    assert (values.files, values.seed) == (["a.json", "b.json"], 1)


# Commands in one process ------------------------------------------------------------------------


def test_commands_may_be_imported_and_called_side_by_side(tmp_path, monkeypatch):
    """...and again, in a process that has flags of its own; each knows its command line."""
    before = set(flags.FLAGS)
    called = []
    monkeypatch.setattr(
        runner, "run_row", lambda row: called.append((row.name, command.command_line())) or {}
    )
    arguments = [f"--out={tmp_path}", "--quiet", "--devices=2"]
    for name, task in (("adding", "4-500"), ("noise_free", "2b"), ("adding", "4-100")):
        command_of(name).call([f"--task={task}", *arguments])
    assert set(flags.FLAGS) == before
    assert [row for row, _ in called] == ["4-500", "2b", "4-100"]
    rest = f"--out={tmp_path} --quiet --devices=2"
    assert called[1][1] == f"python -m experiments.noise_free --task=2b {rest}"
    assert command.command_line() == "called from Python"


def test_the_home_folder_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert command_of("adding").parse(["--out=~/x"]).out == tmp_path / "x"


# Files -----------------------------------------------------------------------------------------

DOCUMENT = {"schema_version": 2, "a": [1, 2]}


def draw(document):
    return plots.error_flow({"a": [1.0]})


def test_numbers_come_first_and_a_picture_that_fails_costs_a_line(tmp_path, capsys):
    def fail(document):
        assert read_json(tmp_path / "a.json") == DOCUMENT  # is there already
        raise IndexError("no\npoints")

    saved = files.save_result(tmp_path / "a.json", DOCUMENT, fail, overwrite=False, quiet=False)
    out, err = capsys.readouterr()
    assert saved == tmp_path / "a.json" and read_json(saved) == DOCUMENT
    assert out == f"wrote {saved}\n" and err == f"warning: no picture of {saved}: no points\n"


def test_what_is_there_when_a_file_is_written_is_not_replaced(tmp_path, capsys):
    for name in ("a.json", "a.1.json"):
        (tmp_path / name).write_text("mine")
    saved = files.save_result(tmp_path / "a.json", DOCUMENT, draw, overwrite=False, quiet=False)
    assert saved == tmp_path / "a.2.json" and read_json(saved) == DOCUMENT
    assert (tmp_path / "a.json").read_text() == (tmp_path / "a.1.json").read_text() == "mine"
    assert (tmp_path / "a.2.png").exists() and not (tmp_path / "a.png").exists()
    out, err = capsys.readouterr()
    assert out == f"wrote {saved} and {tmp_path / 'a.2.png'}\n"
    assert err.endswith(f"whose result is saved in {saved}\n") and err.count("\n") == 1


def test_what_may_be_replaced_is(tmp_path, capsys):
    for name in ("a.json", "a.png"):
        (tmp_path / name).write_text("mine")
    files.save_result(tmp_path / "a.json", DOCUMENT, draw, overwrite=True, quiet=True)
    assert read_json(tmp_path / "a.json") == DOCUMENT
    assert (tmp_path / "a.png").read_bytes()[:4] == b"\x89PNG"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json", "a.png"]
    assert capsys.readouterr() == ("", "")


def test_a_picture_that_is_there_is_not_replaced(tmp_path):
    (tmp_path / "a.png").write_text("mine")
    saved = files.save_picture(draw(None), tmp_path / "a.png", overwrite=False)
    assert saved == tmp_path / "a.1.png" and (tmp_path / "a.png").read_text() == "mine"


def test_a_full_disk_is_said_of_the_file_that_it_takes(tmp_path, monkeypatch):
    def full(*arguments, **options) -> None:
        raise OSError(28, "No space left on device")

    for overwrite in (True, False):
        with monkeypatch.context() as patch:
            patch.setattr(files, "write_atomically", full)
            with pytest.raises(OSError, match=r"a\.json could not be written: No space left on"):
                files.write_result(tmp_path / "a.json", DOCUMENT, overwrite)
    assert not [*tmp_path.iterdir()]


def test_a_report_that_appears_is_not_replaced(tmp_path, monkeypatch):
    """...neither at the start, nor if it appears before the page is written."""

    def page(documents, title: str) -> str:
        (tmp_path / "report.html").write_text("mine")
        return "ours"

    monkeypatch.setattr(report, "read_folder", lambda folder: {})
    monkeypatch.setattr(report, "page", page)
    report.COMMAND.call([f"--out={tmp_path}"])
    assert (tmp_path / "report.html").read_text() == "mine"
    assert (tmp_path / "report.1.html").read_text() == "ours"
    with pytest.raises(ValueError, match="exists; --overwrite replaces it"):
        report.COMMAND.call([f"--out={tmp_path}"])


def test_a_file_system_without_links_keeps_what_is_there_too(tmp_path, monkeypatch):
    def fail(*arguments) -> None:
        raise PermissionError("no links here")

    monkeypatch.setattr(os, "link", fail)
    (tmp_path / "a.json").write_text("mine")
    assert files.write_result(tmp_path / "a.json", DOCUMENT, False) == tmp_path / "a.1.json"
    assert files.write_result(tmp_path / "b.json", DOCUMENT, False) == tmp_path / "b.json"
    assert (tmp_path / "a.json").read_text() == "mine" and read_json(tmp_path / "b.json")


# Rows ------------------------------------------------------------------------------------------


@pytest.fixture
def shared_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "TrialRunner", make_runner)


def test_a_result_that_appears_during_a_run_stays_and_so_does_the_run_s(
    shared_programs: None, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys
):
    row = small_row(tmp_path)
    monkeypatch.setattr(runner, "run_trials", lambda *a, **k: row.result.write_text("mine"))
    runner.run_row(row)
    assert row.result.read_text() == "mine"
    assert read_json(tmp_path / "6a.1.json")["task"] == "6a"
    assert "whose result is saved in" in capsys.readouterr().err


def test_a_folder_in_use_is_in_use_for_overwrite_too(shared_programs: None, tmp_path: pathlib.Path):
    row = small_row(tmp_path, overwrite=True)
    with Checkpoints(row.checkpoints, {}):
        (row.checkpoints / "100").mkdir()
        for refuse in (runner.run_row, lambda row: runner.prepare([row])):
            with pytest.raises(ValueError, match="is in use by another process"):
                refuse(row)
        (row.checkpoints / "100").rmdir()  # which is still there
    assert runner.run_row(row)["summary"]["solved"] == 3


@pytest.mark.parametrize("wrong", [{"batch_size": 0}, {"seed": 2**32}, {"seed": -1}])
def test_a_refused_run_leaves_no_checkpoints(shared_programs: None, wrong, tmp_path):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        runner.run_row(small_row(tmp_path, **wrong))
    assert [*tmp_path.iterdir()] == []


UNSOLVABLE = dataclasses.replace(
    LATCH, rule=StreamRule(window=20, mean_error=1e-30), max_sequences=3000
)


@contextlib.contextmanager
def sending(number: int) -> Iterator[None]:
    """Sends this process a signal after the first chunk of a run."""
    signals = [number]
    on_chunk = lambda progress: signals and os.kill(os.getpid(), signals.pop())
    with pytest.MonkeyPatch.context() as patch:
        display = lambda title, quiet: contextlib.nullcontext(on_chunk)
        patch.setattr(runner, "display_progress", display)
        yield


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_interrupted_leaves_a_checkpoint_and_says_so(
    shared_programs: None, number: int, tmp_path: pathlib.Path, capfd: pytest.CaptureFixture[str]
):
    """...from which it continues to the result of one that was not."""
    loop = sgd(UNSOLVABLE, chunk=1000)
    row = small_row(tmp_path / "cut", loop)
    row.options.out.mkdir()
    with sending(number), pytest.raises(Interrupted) as error:
        runner.run_row(row)
    assert str(error.value) == (
        "interrupted: 6a, --resume continues after 1,000 sequences per trial"
    )
    assert error.value.status == 128 + number
    notice = f"{runner.ENDING}\n" if number == signal.SIGINT else ""
    assert capfd.readouterr().err == notice
    with pytest.raises(ValueError, match="--resume continues"):
        runner.prepare([row])
    resumed = runner.run_row(with_options(row, resume=True))
    assert resumed["trials"] == runner.run_row(small_row(tmp_path, loop))["trials"]
    assert sorted(path.name for path in row.options.out.iterdir()) == ["6a.json", "6a.png"]


def test_an_old_result_is_not_taken_for_that_of_a_run_that_was_to_replace_it(
    shared_programs: None, tmp_path: pathlib.Path
):
    row = small_row(tmp_path, sgd(UNSOLVABLE, chunk=1000))
    runner.run_row(row)
    os.utime(row.result, (0, 0))
    continues = r"once the old .* is moved, --resume continues after"
    with sending(signal.SIGINT), pytest.raises(Interrupted, match=continues):
        runner.run_row(with_options(row, overwrite=True))
    resuming = with_options(row, resume=True)
    with pytest.raises(ValueError, match="is older than"):
        runner.prepare([resuming])
    row.result.rename(tmp_path / "old")
    runner.prepare([resuming])


def test_ctrl_c_to_the_parent_alone_ends_the_workers_too(tmp_path: pathlib.Path):
    """...each with a checkpoint, from which the rows continue."""
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
    first, *of_rows, last = err.splitlines()
    assert first == runner.ENDING
    assert last == "interrupted; --resume continues the remaining rows"
    assert sorted(of_rows) == [
        f"{row}: interrupted: {row}, --resume continues after {int(n.name):,} sequences per trial"
        for row, n in zip(rows, map(runner.newest, folders), strict=True)
    ]


def test_a_row_that_fails_is_named(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(reproduce, "run_workers", lambda rows, values: {"6a": 0, "6b": 2})
    with pytest.raises(ValueError, match="1 of 2 rows failed: 6b"):
        reproduce.COMMAND.call(["--rows=6a,6b", f"--out={tmp_path}", "--quiet"])


# Searches --------------------------------------------------------------------------------------


def test_rates_whose_ratio_is_beyond_float32_are_drawn_and_reported(tmp_path: pathlib.Path, capsys):
    """...log-uniform; where no error is finite, there is a file and no picture."""
    flags = ["--sampler=random", "--task=6a", "--trials=8", "--max_sequences=20", "--devices=1"]
    command_of("search").call([*flags, "--learning_rate=1e-10,1e30", f"--out={tmp_path}"])
    path = tmp_path / "search.6a.2x2.json"
    assert path.with_suffix(".png").exists()
    document = read_json(path)
    columns = dict(zip(document["columns"], zip(*document["trials"], strict=True), strict=True))
    rates = columns["learning rate"]
    assert all(1e-10 <= rate <= 1e30 for rate in rates) and max(rates) > 1e10 > 1 > min(rates)
    assert document["non_finite"] == columns["error"].count(None)

    column = document["columns"].index("error")
    document["trials"] = [[*t[:column], None, *t[column + 1 :]] for t in document["trials"]]
    path = tmp_path / "a.json"
    files.save_result(path, document, picture.random_search, overwrite=False, quiet=True)
    assert read_json(path) == document and not path.with_suffix(".png").exists()
    assert "no trial's error is finite" in capsys.readouterr().err
