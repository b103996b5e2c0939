"""An exception at any moment leaves objects on the host as they were before a call or after it."""

from __future__ import annotations

import contextlib
import functools
import pathlib
import sys
from collections.abc import Callable
from types import FrameType

import jax
import numpy as np
import pytest
from jax.sharding import Mesh
from small_tasks import LATCH, assert_same_result, make_runner, sgd

import lstm_jax
from lstm_jax.training.runs.checkpoints import Checkpoints, check_unused, discard
from lstm_jax.training.trials.records import RunState, TrialResult
from lstm_jax.training.trials.runner import TrialRunner

LIBRARY = str(pathlib.Path(lstm_jax.__file__).parent)
LOOP, TRIALS = sgd(LATCH), 9


class Moment(KeyboardInterrupt):
    """Ctrl-C at a chosen moment."""


Line = tuple[str, int]


class Tracer:
    """A trace function that notes the lines of the library, in order, and may raise before one."""

    def __init__(self, raise_before: int | None = None) -> None:
        self.lines: list[Line] = []
        self._raise_before = raise_before

    def __call__(self, frame: FrameType, event: str, arg: object) -> object:
        del arg
        is_finaliser = frame.f_code.co_name == "__del__"  # whose exceptions Python only prints
        if is_finaliser or not frame.f_code.co_filename.startswith(LIBRARY):
            return None
        if event == "line":
            if len(self.lines) == self._raise_before:
                sys.settrace(None)
                raise Moment
            self.lines.append((frame.f_code.co_filename, frame.f_lineno))
        return self


def trace(action: Callable[[], object], raise_before: int | None = None) -> list[Line]:
    """Call `action` with Ctrl-C before a line, by its number, if any; return the lines before."""
    tracer = Tracer(raise_before)
    sys.settrace(tracer)
    try:
        with contextlib.suppress(Moment):
            action()
    finally:
        sys.settrace(None)
    return tracer.lines


def first_and_last(lines: list[Line]) -> list[int]:
    """Return the numbers at which each line is executed for the first and for the last time."""
    last = {line: number for number, line in enumerate(lines)}
    first = {line: number for number, line in reversed([*enumerate(lines)])}
    return sorted({*first.values(), *last.values()})


@pytest.fixture(scope="module")
def runner() -> TrialRunner:
    """A run of 9 trials on two devices, which are repacked."""
    mesh = Mesh(np.array(jax.devices()), ("trials",))
    return make_runner(LOOP, range(TRIALS), batch_size=4, mesh=mesh)


@pytest.fixture(scope="module")
def start(runner: TrialRunner) -> RunState:
    return runner.state()


@pytest.fixture(scope="module")
def results(runner: TrialRunner, start: RunState) -> list[TrialResult]:
    runner.restore(start)
    return runner.run()


ACTIONS: dict[str, Callable[[TrialRunner, RunState], object]] = {
    "run": lambda runner, start: runner.run(),
    "run_chunk": lambda runner, start: runner.run_chunk(),
    "restore": lambda runner, start: runner.restore(start),
    "state": lambda runner, start: runner.state(),
}


@pytest.mark.parametrize("name", ACTIONS)
def test_a_run_goes_on_after_an_exception_as_if_there_had_been_none(
    name: str, runner: TrialRunner, start: RunState, results: list[TrialResult]
):
    """The exception falls before each line of the library, where it is first or last executed."""
    action = functools.partial(ACTIONS[name], runner, start)

    def begin() -> None:
        runner.restore(start)
        if name != "run":
            runner.run_chunk()

    begin()
    numbers = first_and_last(trace(action))
    for number in numbers:
        begin()
        assert len(trace(action, raise_before=number)) == number
        for found, expected in zip(runner.run(), results, strict=True):
            assert_same_result(found, expected)
    assert len(numbers) > 10


def test_an_exception_while_checkpoints_are_open_leaves_the_folder_free(tmp_path: pathlib.Path):
    folder = tmp_path / "checkpoints"

    def use() -> None:
        with Checkpoints(folder, {"seed": 0}) as opened:
            opened.remove()
        check_unused(folder)
        discard(folder)

    numbers = first_and_last(trace(use))
    for number in numbers:
        trace(use, raise_before=number)
        check_unused(folder)
    assert len(numbers) > 10
