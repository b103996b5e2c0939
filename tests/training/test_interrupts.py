"""A run that is asked to end does so after its round, and what it has done is not lost."""

from __future__ import annotations

import os
import pathlib
import signal
import threading

import pytest
from small_tasks import LATCH, assert_same_result, make_runner, sgd

from lstm_jax.training.host.interrupts import SIGNALS, defer_signals
from lstm_jax.training.runs.checkpoints import Checkpoints

LEARNING = sgd(LATCH)


@pytest.mark.parametrize("number", SIGNALS)
def test_a_run_that_is_asked_to_end_can_write_a_checkpoint(
    number: signal.Signals, tmp_path: pathlib.Path
):
    """...from which it ends as one that was never asked."""
    runner = make_runner(LEARNING, range(3))
    with Checkpoints(tmp_path, {}) as checkpoints, defer_signals() as interrupts:
        while not interrupts.requested():
            runner.run_chunk()
            if runner.num_sequences == 100:
                os.kill(os.getpid(), number)
        assert (runner.num_sequences, interrupts.signal) == (100, number)
        assert checkpoints.save(runner)
    resumed = make_runner(LEARNING, range(3))
    with Checkpoints(tmp_path, {}) as checkpoints:
        checkpoints.restore(resumed)
    assert resumed.num_sequences == 100
    for found, expected in zip(resumed.run(), make_runner(LEARNING, range(3)).run(), strict=True):
        assert_same_result(found, expected)


def test_the_impatient_are_heard():
    with pytest.raises(KeyboardInterrupt), defer_signals() as interrupts:
        signal.raise_signal(signal.SIGTERM)
        assert interrupts.requested()
        signal.raise_signal(signal.SIGINT)


def test_handlers_are_what_they_were():
    before = [signal.getsignal(number) for number in SIGNALS]
    with defer_signals():
        assert [signal.getsignal(number) for number in SIGNALS] != before
    assert [signal.getsignal(number) for number in SIGNALS] == before


def test_other_threads_may_run_trials_too():
    heard: list[bool] = []

    def run() -> None:
        with defer_signals() as interrupts:
            heard.append(interrupts.requested())

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert heard == [False]
