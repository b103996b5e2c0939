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
from matplotlib import image
from small_tasks import LATCH, binary_environment

from experiments import plots, progress
from lstm_jax.training.recipes import SHORT_NAMES, make_recipe
from lstm_jax.training.results import make_document, read_json
from lstm_jax.training.trials import Progress, TrialResult

ROOT = pathlib.Path(__file__).parents[2]

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
OTHER_BINARIES = {"benchmark", "claims", "error_flow", "sweep", "tables"}  # tested elsewhere


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


def assert_is_a_picture(path: pathlib.Path) -> None:
    """Asserts that a PNG opens, and that between 1 and 50 percent of it is not white."""
    pixels = image.imread(path)
    assert pixels.shape[0] > 300 and pixels.shape[1] > 500
    assert 0.01 < (pixels[..., :3] < 0.9).any(-1).mean() < 0.5


def test_every_binary_has_a_smoke_test():
    binaries = {
        path.stem
        for path in (ROOT / "experiments").glob("*.py")
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

# Runs binaries one after the other, each in a fork of a process that has imported JAX, which is
# what takes the time: [module, flags] each to [exit status, stdout, stderr].
FORKS = """
import json, os, runpy, sys, tempfile
import experiments.runner
results = []
for name, *flags in json.loads(sys.argv[1]):
    files = [tempfile.TemporaryFile("w+"), tempfile.TemporaryFile("w+")]
    child = os.fork()
    if not child:
        for descriptor, file in zip((1, 2), files):
            os.dup2(file.fileno(), descriptor)
        sys.argv = [name, *flags]
        runpy.run_module("experiments." + name, run_name="__main__", alter_sys=True)
        sys.exit()
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    texts = [(file.seek(0), file.read())[1] for file in files]
    results.append([status, *texts])
print(json.dumps(results))
"""

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
    command = [sys.executable, "-c", FORKS, json.dumps(runs)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert sorted(folder.rglob("*")) == before  # nothing was written
    outcomes = dict(zip(MISTAKES, json.loads(done.stdout), strict=True))
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
    return make_document(
        LATCH, make_recipe("paper"), results, wall_seconds=1.0, seed=0, command="python -m x"
    )


def test_learning_curves_of_a_trial_that_is_not_finite(tmp_path: pathlib.Path):
    plots.learning_curves(_document(), tmp_path / "a.png")
    assert_is_a_picture(tmp_path / "a.png")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


STATE = Progress(presented=3000, trial_sequences=9000, trials=3, running=1, solved=2, error=0.125)


def test_a_terminal_gets_a_bar(monkeypatch: pytest.MonkeyPatch):
    """...with the trials ended, sequences, their rate, the solved trials and the error."""
    monkeypatch.setattr(sys, "stderr", Terminal())
    with progress.make_progress("6a") as meter:
        meter.show(STATE)
    shown = sys.stderr.getvalue()
    for part in ("6a:", "67%", "| 2/3", "3,000 sequences each", "2 solved", "error 0.1250"):
        assert part in shown, shown


def test_other_outputs_get_a_line_now_and_then(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    clock = iter([0.0, 1.0, 3.0, 20.0, 21.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    with progress.make_progress("6a") as meter:
        for presented in (1000, 2000, 3000):  # after 1, 3 and 20 seconds
            meter.show(STATE._replace(presented=presented, trial_sequences=3 * presented))
        meter.show(STATE._replace(running=0, trial_sequences=9000))
    lines = sys.stderr.getvalue().splitlines()
    assert lines == [
        "6a: 2/3 trials ended, 3,000 sequences each, 316/s in all, 2 solved, training error 0.1250",
        "6a: 3/3 trials ended, 3,000 sequences each, 300/s in all, 2 solved, training error 0.1250",
    ]
