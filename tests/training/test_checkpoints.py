"""A run restored from a checkpoint is the run that was saved, to the last bit, or is refused."""

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
from lstm_jax.training.runs.checkpoints import (
    KEEP,
    Checkpoints,
    InUseError,
    check_unused,
    discard,
    lock,
)
from lstm_jax.training.trials.records import RunState
from lstm_jax.training.trials.runner import TrialRunner
from lstm_jax.training.trials.training_loop import RUNNING

pytest.importorskip("orbax.checkpoint")

WHAT = ("opened", "read", "written")
RUN = {"task": "latch", "seed": 0}
# So many that the state fills a file of its own, as that of every real run.
LEARNING, TRIALS, ROUNDS = sgd(LATCH), 40, 4


def new_runner() -> TrialRunner:
    return make_runner(LEARNING, range(TRIALS))


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> tuple[pathlib.Path, list[RunState]]:
    """A folder with a checkpoint of each of the last rounds, and the states that were saved."""
    folder = tmp_path_factory.mktemp("run") / "latch.checkpoints"
    runner, states = new_runner(), []
    with Checkpoints(folder, RUN) as opened:
        for number in range(ROUNDS):
            runner.run_chunk()
            opened.save(runner, seconds=float(number))
            states.append(runner.state())
    return folder, states


@pytest.fixture
def folder(saved: tuple[pathlib.Path, list[RunState]], tmp_path: pathlib.Path) -> pathlib.Path:
    """A copy of it, to be spoilt."""
    return shutil.copytree(saved[0], tmp_path / "latch.checkpoints")


def restore(folder: pathlib.Path) -> tuple[RunState, float, list[str]]:
    runner = new_runner()
    with Checkpoints(folder, RUN) as opened:
        seconds, damaged = opened.restore(runner)
    return runner.state(), seconds, damaged


def assert_same_state(found: RunState, expected: RunState) -> None:
    """Asserts equality of all but the windows of trials that have ended, which nobody reads."""

    def readable(state: RunState) -> RunState:
        running = state.trials.status == RUNNING
        window = jax.tree.map(lambda a: np.where(running, a, 0), state.trials.window)
        return state._replace(trials=state.trials._replace(window=window))

    assert_equal(readable(found), readable(expected))


def largest(folder: pathlib.Path) -> pathlib.Path:
    """The file that holds the state."""
    return max(
        (path for path in folder.rglob("*") if path.is_file()), key=lambda path: path.stat().st_size
    )


def steps(folder: pathlib.Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_newest_checkpoint_serves_and_the_one_before_is_kept(folder, saved):
    assert KEEP == 2 and steps(folder) == ["150", "200"]
    state, seconds, damaged = restore(folder)
    assert_same_state(state, saved[1][-1])
    assert (seconds, damaged) == (3.0, [])


def test_a_restored_run_ends_as_one_that_was_never_cut_off(folder):
    runner = new_runner()
    with Checkpoints(folder, RUN) as opened:
        opened.restore(runner)
        assert not runner.finished
        for result, expected in zip(runner.run(), new_runner().run(), strict=True):
            assert_same_result(result, expected)
        opened.save(runner)  # a finished run can be saved and restored as well
        finished = new_runner()
        opened.restore(finished)
        assert finished.finished
        assert_same_state(finished.state(), runner.state())


def test_an_empty_folder_leaves_the_run_at_its_start(tmp_path):
    state, seconds, damaged = restore(tmp_path / "a" / "new" / "folder")
    assert_same_state(state, new_runner().state())
    assert (seconds, damaged) == (0.0, [])


def halve(path: pathlib.Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def garble(path: pathlib.Path) -> None:
    """Flips one bit in the middle."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("damage", [halve, garble, pathlib.Path.unlink], ids=lambda f: f.__name__)
def test_damage_to_any_file_is_found_or_does_no_harm(folder, saved, damage: Callable):
    """What is restored is the newest checkpoint, or the one before it with the newest one named.

    Some files matter to nobody, such as marks that the folder was complete; the large one, which
    holds the state, is never among these.
    """
    states, newest, found = saved[1], folder / "200", []
    paths = [p.relative_to(newest) for p in newest.rglob("*") if p.is_file() and p.stat().st_size]
    for number, path in enumerate(paths):
        copy = shutil.copytree(folder, folder.with_name(f"copy{number}"))
        damage(copy / "200" / path)
        state, seconds, damaged = restore(copy)
        if damaged:
            found.append(path)
            assert len(damaged) == 1
            assert damaged[0].startswith(f"checkpoint {copy / '200'} is damaged: ")
            assert "\n" not in damaged[0]
        assert_same_state(state, states[-2] if damaged else states[-1])
        assert seconds == (2.0 if damaged else 3.0)
    assert largest(newest).relative_to(newest) in found and len(found) >= 2


def test_a_folder_whose_files_are_gone_is_damaged(folder, saved):
    shutil.rmtree(folder / "200")
    (folder / "200").mkdir()
    state, _, damaged = restore(folder)
    assert len(damaged) == 1
    assert_same_state(state, saved[1][-2])


def test_when_all_are_damaged_the_run_starts_afresh_and_saves_again(folder):
    """New checkpoints take the place of damaged ones, older or younger."""
    for step in ("150", "200"):
        halve(largest(folder / step))
    runner = new_runner()
    with Checkpoints(folder, RUN) as opened:
        seconds, damaged = opened.restore(runner)
        assert (seconds, runner.num_sequences, len(damaged)) == (0.0, 0, 2)
        assert "200 is damaged" in damaged[0] and "150 is damaged" in damaged[1]
        runner.run_chunk()
        opened.save(runner)
    state, _, damaged = restore(folder)
    assert damaged == []
    assert_same_state(state, runner.state())


def test_a_damaged_checkpoint_is_replaced_when_the_run_comes_there_again(folder, saved):
    garble(largest(folder / "200"))
    runner = new_runner()
    with Checkpoints(folder, RUN) as opened:
        opened.restore(runner)
        runner.run_chunk()
        opened.save(runner, seconds=7.0)
    assert steps(folder) == ["150", "200"]
    state, seconds, damaged = restore(folder)
    assert_same_state(state, saved[1][-1])
    assert (seconds, damaged) == (7.0, [])


def test_what_a_killed_save_left_is_not_taken_for_a_checkpoint(folder, saved):
    shutil.copytree(folder / "200", folder / "240.orbax-checkpoint-tmp")
    halve(largest(folder / "240.orbax-checkpoint-tmp"))
    state, _, damaged = restore(folder)
    assert damaged == []
    assert_same_state(state, saved[1][-1])


def test_checkpoints_of_another_run_are_refused(folder):
    with (
        Checkpoints(folder, RUN | {"seed": 1}) as opened,
        pytest.raises(ValueError, match=r"200 is of the run .*'seed': 0.*, not .*'seed': 1"),
    ):
        opened.restore(new_runner())
    assert steps(folder) == ["150", "200"]  # nothing was touched


def test_checkpoints_of_another_format_are_refused(folder, monkeypatch):
    """The state's leaves might be taken for one another."""
    monkeypatch.setattr(checkpoints, "FORMAT", checkpoints.FORMAT + 1)
    with (
        Checkpoints(folder, RUN) as opened,
        pytest.raises(ValueError, match=r"200 is of the run .*'format': 5.*, not .*'format': 6"),
    ):
        opened.restore(new_runner())


def test_a_folder_serves_one_run_at_a_time(folder):
    with (
        Checkpoints(folder, RUN),
        pytest.raises(ValueError, match=f"{folder} is in use by another process"),
    ):
        Checkpoints(folder, RUN)
    with Checkpoints(folder, RUN) as opened:
        opened.remove()
    assert not folder.exists()


def test_of_many_that_make_and_remove_a_folder_each_has_it_alone(tmp_path):
    """...and none is told that it exists, or exists no longer."""
    folder, inside, most = tmp_path / "latch.checkpoints", [], []

    def use(_: int) -> None:
        while True:
            with contextlib.suppress(InUseError):
                descriptor = lock(folder)
                break
        inside.append(1)
        most.append(len(inside))
        inside.pop()
        folder.rmdir()
        os.close(descriptor)

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(use, range(200)))
    assert most == [1] * 200 and not folder.exists()


def test_checkpoints_that_are_in_use_are_not_discarded(folder):
    """...nor in the way of others once their run has ended."""
    with Checkpoints(folder, RUN):
        for action in (check_unused, discard):
            with pytest.raises(ValueError, match=f"{folder} is in use by another process"):
                action(folder)
    assert steps(folder) == ["150", "200"]
    check_unused(folder)
    discard(folder)
    assert not folder.exists()
    for action in (check_unused, discard):
        action(folder)  # there is nothing to be in use


def test_a_run_without_a_checkpoint_leaves_no_folder(tmp_path):
    with Checkpoints(tmp_path / "latch.checkpoints", RUN):
        assert steps(tmp_path) == ["latch.checkpoints"]
    assert steps(tmp_path) == []


# Trouble ---------------------------------------------------------------------------------------


def assert_one_line_each(said: list[str], *beginnings: str) -> None:
    assert len(said) == len(beginnings), said
    for sentence, beginning in zip(said, beginnings, strict=True):
        assert sentence.startswith(beginning) and "\n" not in sentence


def test_a_full_disk_is_said_in_a_line_and_tried_again(folder):
    """Files may not grow: the library's write fails, as on a full disk, and then does not."""
    said: list[str] = []
    runner = new_runner()
    with Checkpoints(folder, RUN, said.append) as opened:
        opened.restore(runner)
        runner.run_chunk()
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
        try:
            assert [opened.save(runner), opened.save(runner)] == [False, False]
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert_one_line_each(said, *[f"checkpoints {folder} could not be written: "] * 2)
        assert opened.save(runner, seconds=5.0)
        with pytest.raises(ValueError, match="in use"):
            check_unused(folder)  # all the while
    state, seconds, damaged = restore(folder)
    assert (seconds, damaged, len(said)) == (5.0, [], 2)
    assert_same_state(state, runner.state())


def test_many_lines_of_a_library_become_one():
    text = "RESOURCE_EXHAUSTED: Error writing\n  [write: No space left on device]\n  [and so on]"
    assert checkpoints._reason(ValueError(text)) == "No space left on device"
    assert checkpoints._reason(ValueError("first\nsecond")) == "first"
    assert checkpoints._reason(KeyError()) == "KeyError"


def test_a_file_system_without_locks_does_not_end_the_run(folder, saved, monkeypatch):
    def refuse(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(checkpoints.fcntl, "flock", refuse)
    said, runner = [], new_runner()
    with Checkpoints(folder, RUN, said.append) as opened:
        opened.restore(runner)
        assert_same_state(runner.state(), saved[1][-1])
        runner.run_chunk()
        assert opened.save(runner)
    assert_one_line_each(said, f"{folder} could not be locked against other processes: No locks")


def test_a_run_that_cannot_have_checkpoints_has_its_results(tmp_path):
    (tmp_path / "file").write_text("mine")
    folder, said, runner = tmp_path / "file" / "latch.checkpoints", [], new_runner()
    with Checkpoints(folder, RUN, said.append) as opened:
        assert opened.restore(runner) == (0.0, [])
        runner.run_chunk()
        assert not opened.save(runner)
        results = runner.run()
        opened.remove()
    trouble = (f"checkpoints {folder} could not be {what}: Not a" for what in WHAT)
    assert_one_line_each(said, *trouble)
    for result, expected in zip(results, new_runner().run(), strict=True):
        assert_same_result(result, expected)


def test_a_folder_that_is_deleted_under_a_run_is_made_again(folder):
    with Checkpoints(folder, RUN) as opened:
        runner = new_runner()
        runner.run_chunk()
        shutil.rmtree(folder)
        assert opened.save(runner)
        with pytest.raises(ValueError, match="in use"):
            check_unused(folder)
    assert_same_state(restore(folder)[0], runner.state())
