"""A run that is killed at any moment, however often, ends with the numbers of one that is not."""

from __future__ import annotations

import pathlib
import random
import signal
import subprocess
import sys
import time

import pytest
from binaries import run_forks
from resumable import (
    PATIENCE,
    ROOT,
    RUN,
    finish,
    kill_after_another_checkpoint,
    newest,
    numbers,
    small_row,
    start,
    with_options,
)
from small_tasks import binary_environment, make_runner

from experiments.cli import files
from experiments.rows import run as runner
from lstm_jax.training.trials.runner import TrialRunner


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    out = tmp_path_factory.mktemp("uninterrupted")
    assert finish(start(out)) == ("", "")
    assert len(numbers(out)["trials"][0]["curve"]) == 21  # chunks
    return out


def test_killed_again_and_again(uninterrupted: pathlib.Path, tmp_path: pathlib.Path):
    """...before there was a checkpoint, then twice in the midst, on one device or two."""
    moments = random.Random(0)
    process = start(tmp_path)
    time.sleep(moments.uniform(0.0, 2.0))
    process.kill()
    process.communicate()
    assert not (tmp_path / "6a.json").exists()
    reached = newest(tmp_path)
    for devices in (2, 1):
        flags = ("--resume", f"--devices={devices}")
        process = start(tmp_path, *flags)
        again = kill_after_another_checkpoint(process, tmp_path, moments.uniform(0.0, 0.3))
        assert reached < again <= 20500
        reached = again
    assert finish(start(tmp_path, "--resume")) == ("", "")
    assert numbers(tmp_path) == numbers(uninterrupted)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["6a.json", "6a.png"]


def test_a_run_that_the_second_ctrl_c_ended_continues(
    uninterrupted: pathlib.Path, tmp_path: pathlib.Path
):
    process = start(tmp_path)
    while newest(tmp_path) < 2000 and process.poll() is None:
        time.sleep(0.01)
    for _ in range(2):
        process.send_signal(signal.SIGINT)
        time.sleep(0.05)  # two pending signals would be one
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode in (130, -signal.SIGINT)  # the latter, if Python was about to end
    assert err.splitlines()[-1].startswith("interrupted")
    assert not (tmp_path / "6a.json").exists()
    assert finish(start(tmp_path, "--resume")) == ("", "")
    assert numbers(tmp_path) == numbers(uninterrupted)


def test_a_damaged_checkpoint_is_named_and_the_one_before_serves(
    uninterrupted: pathlib.Path, tmp_path: pathlib.Path
):
    """An interrupted run is neither repeated nor resumed as another one."""
    process = start(tmp_path)
    while newest(tmp_path) < 2000 and process.poll() is None:
        time.sleep(0.01)
    process.kill()
    process.communicate()
    folder = tmp_path / "6a.checkpoints"
    damaged = folder / str(newest(tmp_path))
    damaged.write_bytes(damaged.read_bytes()[:-9])

    flags = ([], ["--resume", "--seed=1"])
    runs = [["temporal_order", f"--out={tmp_path}", *RUN, *more] for more in flags]
    repeated, other = run_forks(runs, binary_environment())
    assert repeated[0] == 2 and f"{folder} exists, of an interrupted run" in repeated[2]
    assert other[0] == 2 and f"error: checkpoint {folder}" in other[2]
    assert other[2].endswith(" differs in seed: 0, not 1\n") and other[2].count("\n") == 1

    _, err = finish(start(tmp_path, "--resume"))
    assert err.startswith(f"checkpoint {damaged} is damaged: ") and err.count("\n") == 1
    assert numbers(tmp_path) == numbers(uninterrupted)


def test_the_numbers_are_those_of_a_trial_alone_on_one_device(
    uninterrupted: pathlib.Path, tmp_path: pathlib.Path
):
    """Under the flags that binaries set for XLA as well."""
    finish(start(tmp_path, "--trials=1", "--devices=1"))
    assert numbers(tmp_path)["trials"] == numbers(uninterrupted)["trials"][:1]


def test_what_fails_between_the_last_chunk_and_the_result_file_costs_no_chunk(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
):
    """The checkpoints stay until the result file is there, with the seconds spent before."""
    monkeypatch.setattr(runner, "TrialRunner", make_runner)
    row = small_row(tmp_path, checkpoint_seconds=0.0)

    def fail(*arguments, **options) -> None:
        raise OSError("no space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(files, "write_atomically", fail)
        with pytest.raises(OSError, match="no space left"):
            runner.run_row(row)
    assert [path.name for path in tmp_path.iterdir()] == ["6a.checkpoints"]

    monkeypatch.setattr(TrialRunner, "run_chunk", fail)
    started = time.monotonic()
    document = runner.run_row(with_options(row, resume=True))
    seconds = time.monotonic() - started
    assert document["summary"]["solved"] == 3 and document["wall_seconds"] > seconds
    assert sorted(path.name for path in tmp_path.iterdir()) == ["6a.json", "6a.png"]


def test_a_worker_ends_with_its_parent():
    """...whose end closes the pipe between them, so that no row is run twice at a time."""
    code = """
import threading, time
from experiments.reproduce import _end_with_parent
threading.Thread(target=_end_with_parent, daemon=True).start()
print("up", flush=True)
time.sleep(600)
"""
    command = [sys.executable, "-c", code]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, cwd=ROOT, **pipes) as worker:
        assert worker.stdout.readline() == b"up\n"
        assert worker.poll() is None
        worker.stdin.close()
        assert worker.wait(timeout=PATIENCE) == 1
