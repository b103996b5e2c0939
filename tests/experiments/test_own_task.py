"""The trials of a user's task at the shell are those of the same task in Python."""

from __future__ import annotations

import dataclasses
import pathlib

import pytest
from binaries import assert_is_a_picture, command_of, run_forks
from small_tasks import binary_environment

import lstm_jax as lstm
from experiments import own_task
from experiments.examples.own_task import TASK
from experiments.own_data.tasks import find_task
from experiments.rows.run import RowOptions
from lstm_jax.training.runs.result_file import read_result

MY = """
from experiments.examples.own_task import TASK
from experiments.own_data.tasks import TASKS
number = 3
"""


@pytest.fixture(autouse=True)
def file(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """A user's file in the current folder."""
    monkeypatch.chdir(tmp_path)
    path = pathlib.Path("my.py")
    path.write_text(MY)
    return path


def test_trials_at_the_shell_are_those_in_python(tmp_path: pathlib.Path):
    path = tmp_path / "my.TASK.json"
    flags = [f"--task={tmp_path}/my.py:TASK", "--trials=2", "--max_sequences=20", "--devices=1"]
    [(status, out, _)] = run_forks(
        [["own_task", *flags, f"--out={tmp_path}"]], binary_environment()
    )
    assert status == 0 and out.startswith(f"wrote {path} and {tmp_path}/my.TASK.png\n")
    small = dataclasses.replace(TASK, max_sequences=20)
    results = lstm.TrialRunner(lstm.TrainingLoop(small), range(2)).run()
    found = read_result(path)["trials"]
    assert [trial["test_wrong"] for trial in found] == [result.test_wrong for result in results]
    for trial, result in zip(found, results, strict=True):
        assert trial["test_error"] == pytest.approx(result.test_error, rel=1e-5)
    assert lstm.load(path)[0] == TASK.architecture
    with pytest.raises(ValueError, match=r"needs --task=FILE.py:NAME"):
        command_of("diagnose").call([f"--files={path}"])
    command_of("diagnose").call([f"--files={path}", "--task=my.py:TASK", "--pictures=pictures"])
    assert_is_a_picture(pathlib.Path("pictures/my.TASK.network.png"))


def test_a_run_does_not_go_on_with_another_task(file: pathlib.Path):
    options = RowOptions(pathlib.Path("out"))
    fingerprint = lambda: own_task.resolve("my.py:TASK", options).fingerprint()
    before = fingerprint()
    assert fingerprint() == before
    file.write_text(f"{MY}\nTASK = TASK\n")
    assert fingerprint() != before


def test_either_command_names_the_other_for_its_kind_of_task():
    with pytest.raises(ValueError, match=r"python -m experiments.own_task --task=my.py:TASK"):
        find_task("my.py:TASK")
    with pytest.raises(ValueError, match=r"must name an lstm_jax.Task, got dict"):
        own_task.load_task("my.py:TASKS")
    with pytest.raises(ValueError, match="does not define 'none'"):
        find_task("my.py:none")
