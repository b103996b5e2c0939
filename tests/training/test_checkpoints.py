"""A run restored from a checkpoint is bit for bit the run that was saved, or is refused."""

from __future__ import annotations

import concurrent.futures
import contextlib
import errno
import os
import pathlib
import resource
import shutil
from collections.abc import Callable

import jax
import numpy as np
import pytest
from helpers import assert_equal
from small_tasks import LATCH, assert_same_result, make_runner, sgd

from lstm_jax.training.runs import checkpoints
from lstm_jax.training.runs.checkpoints import Checkpoints, InUseError, check_unused, discard, lock
from lstm_jax.training.trials.records import RunState
from lstm_jax.training.trials.runner import TrialRunner
from lstm_jax.training.trials.training_loop import RUNNING

RUN = {"task": "latch", "seed": 0}
LOOP, TRIALS, CHUNKS = sgd(LATCH), 40, 4


def new_runner() -> TrialRunner:
    return make_runner(LOOP, range(TRIALS))


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> tuple[pathlib.Path, list[RunState]]:
    """A folder with checkpoints of the last two chunks, and the states after all of them."""
    folder = tmp_path_factory.mktemp("run") / "latch.checkpoints"
    runner, states = new_runner(), []
    with Checkpoints(folder, RUN) as opened:
        for number in range(CHUNKS):
            runner.run_chunk()
            assert opened.save(runner, seconds=float(number))
            states.append(runner.state())
    return folder, states


@pytest.fixture
def folder(saved: tuple[pathlib.Path, list[RunState]], tmp_path: pathlib.Path) -> pathlib.Path:
    """A copy of it."""
    return shutil.copytree(saved[0], tmp_path / "latch.checkpoints")


def restore(folder: pathlib.Path) -> tuple[RunState, float, list[str]]:
    runner = new_runner()
    with Checkpoints(folder, RUN) as opened:
        seconds, damaged = opened.restore(runner)
    return runner.state(), seconds, damaged


def assert_same_state(found: RunState, expected: RunState) -> None:
    """Assert equality of everything but the windows of trials that have ended, which are unused."""

    def used(state: RunState) -> RunState:
        running = state.trials.status == RUNNING
        window = jax.tree.map(lambda a: np.where(running, a, 0), state.trials.window)
        return state._replace(trials=state.trials._replace(window=window))

    assert_equal(used(found), used(expected))


def names(folder: pathlib.Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_last_two_checkpoints_are_kept_and_the_newest_is_restored(folder, saved):
    assert names(folder) == ["150", "200"]
    state, seconds, damaged = restore(folder)
    assert_same_state(state, saved[1][-1])
    assert (seconds, damaged) == (3.0, [])


def test_a_restored_run_ends_like_one_that_was_never_interrupted(folder):
    runner, finished = new_runner(), new_runner()
    with Checkpoints(folder, RUN) as opened:
        opened.restore(runner)
        assert not runner.finished
        for result, expected in zip(runner.run(), new_runner().run(), strict=True):
            assert_same_result(result, expected)
        assert opened.save(runner)  # a finished run can be saved and restored as well
        opened.restore(finished)
    assert finished.finished
    assert_same_state(finished.state(), runner.state())


def test_a_run_without_a_checkpoint_starts_anew_and_leaves_no_folder(tmp_path):
    folder = tmp_path / "latch.checkpoints"
    with Checkpoints(folder, RUN) as opened:
        runner = new_runner()
        assert opened.restore(runner) == (0.0, []) and folder.exists()
    assert_same_state(runner.state(), new_runner().state())
    assert names(tmp_path) == []


# Damage ----------------------------------------------------------------------------------------


def flip_a_bit(path: pathlib.Path, at: float) -> None:
    content = bytearray(path.read_bytes())
    content[int(at * (len(content) - 1))] ^= 1
    path.write_bytes(content)


def truncate(path: pathlib.Path, at: float) -> None:
    os.truncate(path, int(at * path.stat().st_size))


@pytest.mark.parametrize("damage", [flip_a_bit, truncate])
@pytest.mark.parametrize("at", [0.0, 0.001, 0.5, 0.9999])
def test_a_damaged_checkpoint_is_named_and_the_one_before_is_restored(
    folder, saved, damage: Callable, at: float
):
    newest = folder / "200"
    damage(newest, at)
    state, seconds, damaged = restore(folder)
    assert_same_state(state, saved[1][-2])
    assert seconds == 2.0 and len(damaged) == 1
    assert damaged[0].startswith(f"checkpoint {newest} is damaged: ") and "\n" not in damaged[0]


@pytest.mark.parametrize("names_of_damaged", [["200"], ["150", "200"]])
def test_new_checkpoints_replace_damaged_ones(folder, names_of_damaged: list[str]):
    for name in names_of_damaged:
        truncate(folder / name, 0.5)
    runner = new_runner()
    with Checkpoints(folder, RUN) as opened:
        _, damaged = opened.restore(runner)
        assert len(damaged) == len(names_of_damaged)
        assert runner.num_sequences == (150 if len(damaged) == 1 else 0)
        runner.run_chunk()
        assert opened.save(runner, seconds=7.0)
    state, seconds, damaged = restore(folder)
    assert (seconds, damaged) == (7.0, [])
    assert_same_state(state, runner.state())


def test_the_remains_of_a_killed_write_are_ignored_and_removed(folder, saved):
    (folder / ".250.abc").write_bytes(b"a part")
    state, _, damaged = restore(folder)
    assert damaged == [] and names(folder) == ["150", "200"]
    assert_same_state(state, saved[1][-1])


# Other runs and processes ----------------------------------------------------------------------


def test_checkpoints_of_another_run_or_format_are_refused(folder, monkeypatch):
    with (
        Checkpoints(folder, RUN | {"seed": 1, "task": "latch"}) as opened,
        pytest.raises(ValueError, match=r"200 differs in seed: 0, not 1$"),
    ):
        opened.restore(new_runner())
    monkeypatch.setattr(checkpoints, "FORMAT", checkpoints.FORMAT + 1)
    with pytest.raises(ValueError, match=r"200 differs in format: 7, not 8$"):
        restore(folder)
    assert names(folder) == ["150", "200"]  # nothing was changed


def test_a_folder_in_use_is_refused_and_not_discarded(folder):
    actions = (lambda folder: Checkpoints(folder, RUN), check_unused, discard)
    with Checkpoints(folder, RUN):
        for action in actions:
            with pytest.raises(ValueError, match=f"{folder} is in use by another process"):
                action(folder)
    assert names(folder) == ["150", "200"]
    with Checkpoints(folder, RUN) as opened:
        opened.remove()
    for action in (check_unused, discard):
        assert not folder.exists()
        action(folder)  # is harmless without a folder
    folder.mkdir()
    discard(folder)
    assert not folder.exists()


def test_many_that_make_and_remove_a_folder_have_it_one_at_a_time(tmp_path):
    folder, inside, most = tmp_path / "latch.checkpoints", [], []

    def use(_: int) -> None:
        while True:
            with contextlib.suppress(InUseError):
                held = lock(folder)
                break
        inside.append(1)
        most.append(len(inside))
        inside.pop()
        folder.rmdir()
        del held

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(use, range(200)))
    assert most == [1] * 200 and not folder.exists()


# Failures --------------------------------------------------------------------------------------


def assert_one_line_each(warnings: list[str], *beginnings: str) -> None:
    assert len(warnings) == len(beginnings), warnings
    for sentence, beginning in zip(warnings, beginnings, strict=True):
        assert sentence.startswith(beginning) and "\n" not in sentence


def test_a_full_disk_is_a_warning_and_the_next_checkpoint_is_tried(folder):
    """Files may not grow, as on a full disk, and then they may."""
    warnings: list[str] = []
    runner = new_runner()
    with Checkpoints(folder, RUN, warnings.append) as opened:
        opened.restore(runner)
        runner.run_chunk()
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
        try:
            assert [opened.save(runner), opened.save(runner)] == [False, False]
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert_one_line_each(warnings, *[f"checkpoints {folder} could not be written: "] * 2)
        assert names(folder) == ["150", "200"]
        assert opened.save(runner, seconds=5.0)
        with pytest.raises(ValueError, match="in use"):
            check_unused(folder)  # throughout
    state, seconds, damaged = restore(folder)
    assert (seconds, damaged, len(warnings)) == (5.0, [], 2)
    assert_same_state(state, runner.state())


def test_a_run_on_a_file_system_without_locks_goes_on(folder, saved, monkeypatch):
    def refuse(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(checkpoints.fcntl, "flock", refuse)
    warnings, runner = [], new_runner()
    with Checkpoints(folder, RUN, warnings.append) as opened:
        opened.restore(runner)
        assert_same_state(runner.state(), saved[1][-1])
        runner.run_chunk()
        assert opened.save(runner)
    assert_one_line_each(warnings, f"{folder} could not be locked against other processes: No lock")


def test_a_run_that_cannot_have_checkpoints_has_its_results(tmp_path):
    (tmp_path / "file").write_text("mine")
    folder, warnings, runner = tmp_path / "file" / "latch.checkpoints", [], new_runner()
    with Checkpoints(folder, RUN, warnings.append) as opened:
        assert opened.restore(runner) == (0.0, [])
        runner.run_chunk()
        assert not opened.save(runner)
        results = runner.run()
        opened.remove()
    verbs = ("opened", "read", "written")
    beginnings = (f"checkpoints {folder} could not be {verb}: Not a" for verb in verbs)
    assert_one_line_each(warnings, *beginnings)
    for result, expected in zip(results, new_runner().run(), strict=True):
        assert_same_result(result, expected)


def test_a_folder_that_is_deleted_during_a_run_is_made_again(folder):
    with Checkpoints(folder, RUN) as opened:
        runner = new_runner()
        runner.run_chunk()
        shutil.rmtree(folder)
        assert opened.save(runner)
        with pytest.raises(ValueError, match="in use"):
            check_unused(folder)
    assert_same_state(restore(folder)[0], runner.state())
