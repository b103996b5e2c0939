"""The binaries under experiments/: what they write, what they print, what they refuse."""

from __future__ import annotations

import io
import pathlib
import subprocess
import sys

import pytest
from binaries import BINARIES, ROOT, assert_is_a_picture
from small_tasks import binary_environment

from experiments.cli import progress
from lstm_jax.training.runs import progress as bars
from lstm_jax.training.runs.result_file import read_result
from lstm_jax.training.trials.runner import Progress

# Every binary that runs rows: the row that its smoke test runs, and how it is told.
ROWS = {
    "adding": ("4-100", []),
    "embedded_reber": ("1-1", []),
    "multiplication": ("5-140", []),
    "noise_free": ("2a", []),
    "reproduce": ("2c-50-50", ["--rows=2a,2c-50-50", "--workers=2"]),
    "rivals": ("2a-4.rtrl-1", []),
    "temporal_order": ("6a", ["--task=6a"]),
    "two_sequence": ("3c-100-3", ["--task=3c-100-3"]),
    "very_long_lags": ("2c-50-50", []),
}
# Tested elsewhere:
OTHER_BINARIES = {"benchmark", "claims", "diagnose", "error_flow", "notebooks", "readings"}
OTHER_BINARIES |= {"reference", "report", "sweep", "tables", "tune"}


@pytest.fixture(scope="module")
def environment() -> dict[str, str]:
    return binary_environment()


def run_binary(name: str, *flags: str, environment: dict[str, str]) -> tuple[str, str]:
    """Runs a binary with a tiny budget to its end; returns what it printed."""
    tiny = ["--trials=2", "--max_sequences=20", "--devices=1"]
    done = subprocess.run(
        [sys.executable, "-m", f"experiments.{name}", *tiny, *flags],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


def test_every_binary_has_a_smoke_test():
    assert {*BINARIES} == ROWS.keys() | OTHER_BINARIES


@pytest.mark.parametrize("name", ROWS)
def test_a_binary_writes_its_row(name: str, tmp_path: pathlib.Path, environment: dict[str, str]):
    """With --quiet, and nothing printed."""
    row, flags = ROWS[name]
    printed = run_binary(name, *flags, f"--out={tmp_path}", "--quiet", environment=environment)
    assert printed == ("", "")
    document = read_result(tmp_path / f"{row}.json")
    assert (document["task"], document["recipe"], document["seed"]) == (row, "paper", 0)
    assert [trial["index"] for trial in document["trials"]] == [0, 1]
    for trial in document["trials"]:
        assert (trial["sequences"], trial["solved"], trial["finite"]) == (20, False, True)
        assert [point[0] for point in trial["curve"]] == [20] and trial["test_error"] > 0
    assert document["max_sequences"] == 20 and document["wall_seconds"] > 0
    assert f"-m experiments.{name} " in document["command"]
    assert_is_a_picture(tmp_path / f"{row}.png")
    rows = {"2a", row} if name == "reproduce" else {row}
    written = {f"{row}{ending}" for row in rows for ending in (".json", ".png")}
    assert {path.name for path in tmp_path.iterdir()} == written


def test_lines_of_progress_a_table_and_the_word_of_existing_results(
    tmp_path: pathlib.Path, environment: dict[str, str]
):
    """A result is replaced if told so, is not run again with --resume, and not as another run."""
    flags = (f"--out={tmp_path}",)
    out, err = run_binary("temporal_order", *flags, environment=environment)
    assert err.startswith("6a: 2/2 trials ended, 0 solved, 20 seq, ") and err.count("\n") == 1
    wrote, header, _, row = out.splitlines()
    assert wrote == f"wrote {tmp_path / '6a.json'} and {tmp_path / '6a.png'}"
    assert header.split()[0] == "row" and row.split()[:2] == ["6a", "paper"] and "31,390" in row
    path = tmp_path / "6a.json"
    document, written_at = read_result(path), path.stat().st_mtime_ns
    again, err = run_binary("temporal_order", "--resume", *flags, environment=environment)
    assert (again, err) == (
        out.removeprefix(f"{wrote}\n"),
        "",
    ) and path.stat().st_mtime_ns == written_at
    flags = (*flags, "--overwrite", "--seed=1", "--recipe=paper")
    run_binary("temporal_order", *flags, environment=environment)
    replaced = read_result(path)
    assert replaced["seed"] == 1 and replaced["trials"] != document["trials"]


# Parts -----------------------------------------------------------------------------------------


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


STATE = Progress(
    num_sequences=3000, total_sequences=9000, trials=3, running=1, solved=2, error=0.125
)


def test_a_terminal_gets_a_bar(monkeypatch: pytest.MonkeyPatch):
    """...with the trials ended and solved, their sequences and the error."""
    monkeypatch.setattr(sys, "stderr", Terminal())
    meter = progress.make_progress("6a")
    meter.show(STATE)
    meter.close()
    displayed = sys.stderr.getvalue()
    for part in ("6a:", "67%", "| 2/3", "3,000 seq", "2 solved", "err 0.125"):
        assert part in displayed, displayed


def test_other_outputs_get_a_line_now_and_then(monkeypatch: pytest.MonkeyPatch):
    """...with the rate since the first round, which has the compilation in it."""
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(bars.time, "monotonic", lambda: now[0])
    meter = progress.make_progress("6a")
    for now[0], num_sequences in ((1.0, 1000), (3.0, 2000), (20.0, 3000)):
        meter.show(STATE._replace(num_sequences=num_sequences, total_sequences=3 * num_sequences))
    now[0] = 21.0
    meter.show(STATE._replace(running=0, total_sequences=9000))
    lines = sys.stderr.getvalue().splitlines()
    assert lines == [
        "6a: 2/3 trials ended, 2 solved, 3,000 seq, err 0.125, 316 seq/s",
        "6a: 3/3 trials ended, 2 solved, 3,000 seq, err 0.125, 300 seq/s",
    ]
