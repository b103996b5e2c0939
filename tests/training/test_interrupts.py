"""A run that receives a signal ends after its chunk, and a checkpoint can be written."""

from __future__ import annotations

import os
import pathlib
import signal
import subprocess
import sys
import threading

import pytest
from resumable import ROOT
from small_tasks import LATCH, assert_same_result, make_runner, sgd

from lstm_jax.training.host.interrupts import SIGNALS, defer_signals
from lstm_jax.training.runs.checkpoints import Checkpoints

LOOP = sgd(LATCH)
PATIENCE = 30.0  # seconds


@pytest.mark.parametrize("number", SIGNALS)
def test_a_checkpoint_can_be_written_after_a_signal(number: signal.Signals, tmp_path: pathlib.Path):
    """The resumed run has the results of a run without a signal."""
    runner = make_runner(LOOP, range(3))
    with Checkpoints(tmp_path, {}) as checkpoints, defer_signals() as interrupts:
        while not interrupts.requested():
            runner.run_chunk()
            if runner.num_sequences == 100:
                os.kill(os.getpid(), number)
        assert (runner.num_sequences, interrupts.signal) == (100, number)
        assert checkpoints.save(runner)
    resumed = make_runner(LOOP, range(3))
    with Checkpoints(tmp_path, {}) as checkpoints:
        checkpoints.restore(resumed)
    assert resumed.num_sequences == 100
    for found, expected in zip(resumed.run(), make_runner(LOOP, range(3)).run(), strict=True):
        assert_same_result(found, expected)


def test_a_second_signal_ends_the_process_at_once_and_handlers_are_restored():
    before = [signal.getsignal(number) for number in SIGNALS]
    with pytest.raises(KeyboardInterrupt), defer_signals() as interrupts:
        assert [signal.getsignal(number) for number in SIGNALS] != before
        signal.raise_signal(signal.SIGTERM)
        assert interrupts.requested()
        signal.raise_signal(signal.SIGINT)
    assert [signal.getsignal(number) for number in SIGNALS] == before


def test_outside_the_main_thread_nothing_changes():
    requested: list[bool] = []

    def run() -> None:
        with defer_signals() as interrupts:
            requested.append(interrupts.requested())

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert requested == [False]


# The main thread is in a function of C for long, as when XLA compiles, and another never ends.
BUSY = """
import hashlib, threading, time
from lstm_jax.training.host.interrupts import defer_signals, end_at_second_signal
end_at_second_signal()
threading.Thread(target=time.sleep, args=(10_000,)).start()
with defer_signals():
    print("up", flush=True)
    hashlib.pbkdf2_hmac("sha256", b"", b"", 2**31 - 1)
"""


@pytest.mark.parametrize("number", SIGNALS)
def test_the_second_signal_ends_a_busy_command_at_once(number: signal.Signals):
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", BUSY], cwd=ROOT, text=True, **pipes) as process:
        assert process.stdout.readline() == "up\n"
        process.send_signal(signal.SIGTERM)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=0.5)
        process.send_signal(number)
        try:
            assert process.wait(timeout=PATIENCE) == 128 + number
        finally:
            process.kill()
        assert process.stderr.read() == "interrupted\n"
