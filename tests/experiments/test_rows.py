"""The binaries under experiments/: what they write, what they print, what they refuse."""

from __future__ import annotations

import io
import json
import pathlib
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from binaries import ROOT, assert_is_a_picture, document_of, run_forks
from small_tasks import LATCH, binary_environment

from experiments.common import progress
from lstm_jax.training import progress as bars
from lstm_jax.training.recipes import SHORT_NAMES
from lstm_jax.training.results import read_json
from lstm_jax.training.trials import Progress, TrialResult

# Every binary that runs rows: the row that its smoke test runs, and how it is told.
BINARIES = {
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
OTHER_BINARIES = {"benchmark", "claims", "error_flow", "readings", "sweep", "tables"}


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return binary_environment(tmp_path_factory.getbasetemp() / "compiled")


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
    binaries = {
        path.parent.name if path.stem == "__main__" else path.stem
        for path in (ROOT / "experiments").rglob("*.py")
        if '__name__ == "__main__"' in path.read_text()
    }
    assert binaries == BINARIES.keys() | OTHER_BINARIES


@pytest.mark.parametrize("name", BINARIES)
def test_a_binary_writes_its_row(name: str, tmp_path: pathlib.Path, environment: dict[str, str]):
    """With --quiet, and nothing printed."""
    row, flags = BINARIES[name]
    printed = run_binary(name, *flags, f"--out={tmp_path}", "--quiet", environment=environment)
    assert printed == ("", "")
    document = read_json(tmp_path / f"{row}.json")
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
    assert err.startswith("6a: 2/2 trials ended, 20 sequences each, ") and err.count("\n") == 1
    header, _, row = out.splitlines()
    assert header.split()[0] == "row" and row.split()[:2] == ["6a", "paper"] and "31,390" in row
    path = tmp_path / "6a.json"
    document, written_at = read_json(path), path.stat().st_mtime_ns
    again, err = run_binary("temporal_order", "--resume", *flags, environment=environment)
    assert (again, err) == (out, "") and path.stat().st_mtime_ns == written_at
    flags = (*flags, "--overwrite", "--seed=1", "--recipe=paper")
    run_binary("temporal_order", *flags, environment=environment)
    replaced = read_json(path)
    assert replaced["seed"] == 1 and replaced["trials"] != document["trials"]


# Mistakes --------------------------------------------------------------------------------------

MISTAKES = {
    "--task=7": "flag --task=7: value should be one of <6a|6b>",
    "--trials=0": "--trials must be 'paper' or a positive number, got '0'",
    "--trials=abc": "--trials must be 'paper' or a positive number, got 'abc'",
    "--seed=-1": "flag --seed=-1: -1 is not a non-negative integer",
    "--lanes=0": "flag --lanes=0: 0 is not a positive integer",
    "--devices=0": "flag --devices=0: 0 is not a positive integer",
    "--max_sequences=0": "--max_sequences must be at least 1, got 0",
    "--checkpoint_seconds=-1": "flag --checkpoint_seconds=-1: -1.0 is not a non-negative number",
    "--recipe=unknown": f"recipe must begin with one of {', '.join(SHORT_NAMES)}, got 'unknown'",
    "--coordinator=host": "coordinator must be HOST:PORT or 'auto', got 'host'",
    "--coordinator=auto": "coordinator must be HOST:PORT, no cluster was found: ",
    "--coordinator=host:1 --num_processes=2": "process_id must be at least 0 and below 2, got None",
    "--process_id=1": "--num_processes and --process_id need --coordinator, got none",
    "sweep --blocks=2y2": "--blocks must be shapes such as 2x2, or 'own', got '2y2'",
    "sweep --learning_rate=9,1": "learning_rate must be two positive and finite numbers, the lower "
    "first, got (9.0, 1.0)",
    "sweep --init_range=a,b": "--init_range must be LOWEST,HIGHEST or 'own', got 'a,b'",
    "sweep --learning_rate=own": "--learning_rate and one of --init_range, --input_gate_bias, "
    "--output_gate_bias must have bounds, got 'own'",
    "--unknown=1": "Unknown command line flag 'unknown'",
    "6a": "unexpected argument '6a'; options begin with --",
    "--resume --overwrite": "--resume and --overwrite exclude each other, got both",
    "--out={folder}/file/below": "--out must be a writable folder, got {folder}/file/below: Not a",
    "--out={folder}/old": "{folder}/old/6a.json exists; --overwrite replaces it",
    "--out={folder}/cut": "{folder}/cut/6a.checkpoints exists, of a run that was cut off",
    "--out={folder}/old --resume": "{folder}/old/6a.json has task latch, not 6a; --overwrite",
    "--out={folder}/no --resume": "{folder}/no/6a.json is not JSON",
    "reproduce --rows=2a-4.rtrl-1 --recipe=swapped": "--recipe must be paper for 2a-4.rtrl-1, got",
    "reproduce --rows=unknown": "task must be one of 1-1, ",
    "reproduce --rows=6a,6a": "rows must be distinct, got 6a,6a",
    "reproduce": "flag --rows=None: Flag --rows must have a value other than None",
}


@pytest.fixture(scope="module")
def refusals(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What came of every mistake, and the folder that it was made in."""
    folder = tmp_path_factory.mktemp("mistakes")
    (folder / "file").write_text("a file")
    (folder / "cut" / "6a.checkpoints").mkdir(parents=True)
    for name, content in (("no", "no result"), ("old", json.dumps(_document()))):
        (folder / name).mkdir()
        (folder / name / "6a.json").write_text(content)
    before = sorted(folder.rglob("*"))
    runs = []
    for mistake in MISTAKES:
        flags = mistake.format(folder=folder).split()
        name = flags.pop(0) if mistake.startswith(("reproduce", "sweep")) else "temporal_order"
        runs.append([name, f"--out={folder}/new", *flags])
    outcomes = dict(zip(MISTAKES, run_forks(runs), strict=True))
    assert sorted(folder.rglob("*")) == before  # nothing was written
    return {"folder": folder, "outcomes": outcomes}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_ends_with_one_line_that_names_it(mistake: str, refusals: dict[str, Any]):
    """...a non-zero status and no traceback, before anything is computed or written."""
    status, out, err = refusals["outcomes"][mistake]
    assert (status, out) == (2, "")
    assert err.startswith(f"error: {MISTAKES[mistake].format(folder=refusals['folder'])}")
    assert err.count("\n") == 1 and err.endswith("\n")


# Parts -----------------------------------------------------------------------------------------


def _document() -> dict[str, Any]:
    """Of one solved trial and one whose error became NaN."""
    curves = ([[50, 0.4, 0.5], [90, 0.1, 0.0]], [[50, 0.4, 0.9], [60, np.nan, 1.0]])
    results = [
        TrialResult(
            i, i == 0, int(curve[-1][0]), i == 0, None, 0, 64, 0.1, 0.1, np.array(curve), None
        )
        for i, curve in enumerate(curves)
    ]
    return document_of(LATCH, results)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


STATE = Progress(presented=3000, trial_sequences=9000, trials=3, running=1, solved=2, error=0.125)


def test_a_terminal_gets_a_bar(monkeypatch: pytest.MonkeyPatch):
    """...with the trials ended, sequences, their rate, the solved trials and the error."""
    monkeypatch.setattr(sys, "stderr", Terminal())
    meter = progress.make_progress("6a")
    meter.show(STATE)
    meter.close()
    shown = sys.stderr.getvalue()
    for part in ("6a:", "67%", "| 2/3", "3,000 sequences each", "2 solved", "error 0.1250"):
        assert part in shown, shown


def test_other_outputs_get_a_line_now_and_then(monkeypatch: pytest.MonkeyPatch):
    """...with the rate since the first round, which has the compilation in it."""
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(bars.time, "monotonic", lambda: now[0])
    meter = progress.make_progress("6a")
    for now[0], presented in ((1.0, 1000), (3.0, 2000), (20.0, 3000)):
        meter.show(STATE._replace(presented=presented, trial_sequences=3 * presented))
    now[0] = 21.0
    meter.show(STATE._replace(running=0, trial_sequences=9000))
    lines = sys.stderr.getvalue().splitlines()
    assert lines == [
        "6a: 2/3 trials ended, 3,000 sequences each, 316/s in all, 2 solved, training error 0.1250",
        "6a: 3/3 trials ended, 3,000 sequences each, 300/s in all, 2 solved, training error 0.1250",
    ]
