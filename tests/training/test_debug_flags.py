"""Trials run under JAX's debug flags, to the same numbers."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from contextlib import AbstractContextManager

import jax
import pytest
from small_tasks import COPY, LATCH, assert_same_result, make_runner, sgd

from lstm_jax.tasks import StreamRule, make_task
from lstm_jax.training.trials.records import TrialResult
from lstm_jax.training.trials.training_loop import TrainingLoop

FLAGS: dict[str, Callable[[], AbstractContextManager]] = {
    "jax_debug_nans": lambda: jax.debug_nans(True),
    "jax_debug_infs": lambda: jax.debug_infs(True),
    "jax_check_tracer_leaks": jax.checking_leaks,
    "jax_enable_checks": lambda: jax.enable_checks(True),
    "jax_transfer_guard": lambda: jax.transfer_guard_device_to_device("disallow"),
}
CONSTRUCTED = dataclasses.replace(
    COPY, sequential_construction=True, construction_interval=10, max_sequences=40
)
LOOPS = {
    "a stream": sgd(dataclasses.replace(LATCH, max_sequences=40), chunk=20),
    "sequential construction": TrainingLoop(CONSTRUCTED),
    "prepared sets": TrainingLoop(
        dataclasses.replace(
            make_task("1-1"), rule=StreamRule(5), max_sequences=4, test_size=4
        ),
        chunk=2,
    ),
}  # fmt: skip


def run(name: str) -> list[TrialResult]:
    return make_runner(LOOPS[name], range(2)).run()


@pytest.fixture(scope="module")
def results() -> dict[str, list[TrialResult]]:
    return {name: run(name) for name in LOOPS}


@pytest.mark.parametrize("name", LOOPS)
@pytest.mark.parametrize("flag", FLAGS)
def test_a_flag_changes_nothing(flag: str, name: str, results: dict[str, list[TrialResult]]):
    with FLAGS[flag]():
        found = run(name)
    for one, expected in zip(found, results[name], strict=True):
        assert_same_result(one, expected)


def test_trials_run_without_jit():
    """The numbers may differ in their last bits: nothing is fused."""
    task = dataclasses.replace(LATCH, max_sequences=1, test_size=1)
    with jax.disable_jit():
        results = make_runner(TrainingLoop(task), range(2)).run()
    assert [result.sequences for result in results] == [1, 1]
