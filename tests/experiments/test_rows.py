"""The commands that run rows: what they write and print, and what becomes of existing results."""

from __future__ import annotations

import io
import pathlib
import shutil
import subprocess
import sys

import pytest
from binaries import BINARIES, assert_is_a_picture, run_forks
from small_tasks import binary_environment

from experiments import reproduce
from experiments.__main__ import overview
from experiments.rows import progress
from experiments.rows.collection import all_rows, rows_of
from experiments.rows.run import RowOptions, resolve
from lstm_jax.training.recipes.overrides import OVERRIDES
from lstm_jax.training.recipes.recipe import NAMED
from lstm_jax.training.runs import progress as bars
from lstm_jax.training.runs.result_file import read_result
from lstm_jax.training.trials.records import Progress

# Every command that runs rows: the row that its smoke test runs, and its flags.
ROWS = {
    "adding": ("4-100", []),
    "baselines": ("2a-4.rtrl-1", ["--task=2a-4.rtrl-1"]),
    "embedded_reber": ("1-1", []),
    "multiplication": ("5-140", []),
    "noise_free": ("2a", []),
    "reproduce": ("2c-50-50", ["--rows=2a,2c-50-50", "--workers=2"]),
    "temporal_order": ("6a", ["--task=6a"]),
    "two_sequence": ("3c-100-3", ["--task=3c-100-3"]),
    "very_long_lags": ("2c-50-50", []),
}
# Tested elsewhere:
OTHER_BINARIES = {"ablations", "benchmark", "claims", "diagnose", "digests", "error_flow"}
OTHER_BINARIES |= {"api_reference", "export", "fit", "notebooks", "predict", "report"}
OTHER_BINARIES |= {"own_task", "real", "real.gates", "real.study", "real.transfer", "search"}
OTHER_BINARIES |= {"stream", "tables"}
TINY = ["--trials=2", "--max_sequences=20", "--devices=1"]


def test_every_command_has_a_smoke_test():
    assert {*BINARIES} == ROWS.keys() | OTHER_BINARIES


def test_every_row_has_one_command_and_all_are_in_the_overview():
    found = [row for name in ROWS for row in rows_of(name)]
    assert sorted(found) == sorted(all_rows())
    words = {word.partition("=")[0] for word in overview().split()}
    assert {*found, *BINARIES, *NAMED, *OVERRIDES} <= words


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """The folder to which every command has written its row, with a tiny budget and --quiet."""
    folder = tmp_path_factory.mktemp("rows")
    runs = [
        [name, *flags, *TINY, f"--out={folder / name}", "--quiet"]
        for name, (_, flags) in ROWS.items()
    ]
    outcomes = run_forks(runs, binary_environment())
    assert outcomes == [(0, "", "")] * len(runs)
    return folder


@pytest.mark.parametrize("name", ROWS)
def test_a_command_writes_its_row(name: str, written: pathlib.Path):
    row, folder = ROWS[name][0], written / name
    document = read_result(folder / f"{row}.json")
    assert (document["task"], document["recipe"], document["seed"]) == (row, "paper", 0)
    assert [trial["index"] for trial in document["trials"]] == [0, 1]
    for trial in document["trials"]:
        assert (trial["sequences"], trial["solved"], trial["finite"]) == (20, False, True)
        assert [point[0] for point in trial["curve"]] == [20] and trial["test_error"] > 0
    assert document["max_sequences"] == 20 and document["wall_seconds"] > 0
    module = "very_long_lags" if name == "reproduce" else name
    assert document["command"] == (
        f"python -m experiments.{module} --task={row} --recipe=paper --trials=2 --seed=0 "
        f"--batch_size=8 --max_sequences=20 --out={folder}"
    )
    assert_is_a_picture(folder / f"{row}.png")
    rows = {"2a", row} if name == "reproduce" else {row}
    files = {f"{row}{ending}" for row in rows for ending in (".json", ".png")}
    assert {path.name for path in folder.iterdir()} == files


def test_a_result_is_not_run_again_with_resume_and_is_replaced_with_overwrite(
    written: pathlib.Path, tmp_path: pathlib.Path
):
    """...with lines of progress, the path of the result and a table."""
    path = tmp_path / "6a.json"
    shutil.copy2(written / "temporal_order" / "6a.json", path)
    flags = [*TINY, f"--out={tmp_path}"]
    runs = [["temporal_order", "--resume", *flags]]
    runs += [["temporal_order", "--overwrite", "--seed=1", *flags]]
    before = read_result(path)
    (status, table, err), replaced = run_forks(runs, binary_environment())
    header, _, row = table.splitlines()
    assert (status, err) == (0, "")  # nothing was run
    assert header.split()[0] == "row" and row.split()[:2] == ["6a", "paper"] and "31,390" in row
    status, out, err = replaced
    assert status == 0 and out.startswith(f"wrote {path} and {tmp_path / '6a.png'}\n")
    assert err.startswith("6a: 2/2 trials ended, 0 solved, 20 seq, ") and err.count("\n") == 1
    after = read_result(path)
    assert after["seed"] == 1 and after["trials"] != before["trials"]


# Progress --------------------------------------------------------------------------------------

# Prints lines on both outputs, each in two parts, and the last one without its end.
WORKER = """
import sys, time
for i in range(200):
    for file in (sys.stdout, sys.stderr):
        for part in (f"{sys.argv[1]}: " * (i % 2) + "a" * i, "b" * i + "\\n" * (i < 199)):
            print(part, end="", file=file, flush=True)
            time.sleep(0.0005)
"""


def test_lines_of_workers_are_whole_and_begin_with_their_row(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    """...none is lost, and each row's are in order, on both outputs."""
    popen = subprocess.Popen

    def start(command: list[str], **options) -> subprocess.Popen:
        row = command[3].removeprefix("--rows=")
        return popen([sys.executable, "-c", WORKER, row], **options)

    monkeypatch.setattr(reproduce.subprocess, "Popen", start)
    names = ["6a", "6b", "4-100"]
    values = reproduce.COMMAND.parse(["--rows=all", "--out=x", "--workers=3"])
    rows = [resolve(name, RowOptions(pathlib.Path("x"))) for name in names]
    assert reproduce.run_workers(rows, values) == dict.fromkeys(names, 0)
    for printed in capfd.readouterr():
        lines = printed.splitlines()
        assert len(lines) == 3 * 200
        for name in names:
            expected = [f"{name}: {'a' * i}{'b' * i}" for i in range(200)]
            assert [line for line in lines if line.startswith(f"{name}:")] == expected


def test_workers_print_their_progress_and_the_parent_one_table(tmp_path: pathlib.Path):
    flags = [*TINY, "--rows=2a,6a", "--workers=2", f"--out={tmp_path}"]
    [(status, out, err)] = run_forks([["reproduce", *flags]], binary_environment())
    assert status == 0, err
    assert sorted(line.partition(",")[0] for line in err.splitlines()) == [
        f"{row}: 2/2 trials ended" for row in ("2a", "6a")
    ]
    *wrote, titles, _, first, second = out.splitlines()
    paths = {row: tmp_path / row for row in ("2a", "6a")}
    assert sorted(wrote) == [f"{row}: wrote {p}.json and {p}.png" for row, p in paths.items()]
    assert titles.split()[0] == "row"
    assert [first.split()[0], second.split()[0]] == ["2a", "6a"]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


STATE = Progress(
    num_sequences=3000,
    total_sequences=9000,
    trials=3,
    running=1,
    solved=2,
    error=0.125,
    max_sequences=10_000,
)


def test_a_terminal_gets_a_bar(monkeypatch: pytest.MonkeyPatch):
    """...of the sequences, with the solved trials, the sequences of each and the error."""
    monkeypatch.setattr(sys, "stderr", Terminal())
    with progress.display_progress("6a") as display:
        display(STATE)
    displayed = sys.stderr.getvalue()
    for part in ("6a:", " 30%|", "2/3 solved, 3.00k seq, err 0.125"):
        assert part in displayed, displayed


def test_trials_are_counted_by_a_bar_or_by_lines_or_not_at_all(monkeypatch: pytest.MonkeyPatch):
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    displayed = []
    for stream, quiet in ((Terminal(), False), (io.StringIO(), False), (Terminal(), True)):
        monkeypatch.setattr(sys, "stderr", stream)
        with progress.count_trials("vowels", 4, quiet) as count:
            for step in (1.0, 20.0, 1.0):
                now[0] += step
                count()
        displayed.append(stream.getvalue())
    assert "vowels: 75%|" in displayed[0] and displayed[0].rstrip().endswith("3/4")
    assert displayed[1:] == ["vowels: 2/4 trials ended\n", ""]


def test_a_bar_is_readable_in_80_columns(monkeypatch: pytest.MonkeyPatch):
    """...with the longest title and the largest numbers, each line whole."""
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setenv("COLUMNS", "80")
    largest = {"num_sequences": 2**30 - 1, "max_sequences": 2**30, "trials": 100, "solved": 100}
    with progress.display_progress("2c-1000-1000") as display:
        display(STATE._replace(**largest))
    line = sys.stderr.getvalue().splitlines()[-1].split("\r")[-1]
    assert line.rstrip().endswith("err 0.125") and len(line) <= 80
    assert len(line.split("|")[1]) >= 10  # the bar itself


def test_other_outputs_get_a_line_now_and_then(monkeypatch: pytest.MonkeyPatch):
    """...with the rate since the first chunk, which includes the compilation."""
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(bars.time, "monotonic", lambda: now[0])
    with progress.display_progress("6a") as display:
        for now[0], n in ((1.0, 1000), (3.0, 2000), (20.0, 3000)):
            display(STATE._replace(num_sequences=n, total_sequences=3 * n))
        now[0] = 21.0
        display(STATE._replace(running=0, total_sequences=9000))
    lines = sys.stderr.getvalue().splitlines()
    assert lines == [
        "6a: 2/3 trials ended, 2 solved, 3,000 seq, err 0.125, 316 seq/s",
        "6a: 3/3 trials ended, 2 solved, 3,000 seq, err 0.125, 300 seq/s",
    ]
