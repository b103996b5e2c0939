"""SIGTERM, which clusters send, and Ctrl-C: taken note of, to be acted on between rounds."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

from lstm_jax.training.host.processes import any_process

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Interrupts:
    """Which signal has asked this process to end, if one has."""

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None

    def requested(self) -> bool:
        """Whether this process, or another of the run's, was asked to end; all make this call."""
        return any_process(self.signal is not None)

    def _take_note(self, number: int, frame: FrameType | None) -> None:
        """Of the first; the second ends the process at once, as without this module."""
        del frame
        if self.signal is not None:
            raise KeyboardInterrupt
        self.signal = signal.Signals(number)


@contextlib.contextmanager
def defer_signals() -> Iterator[Interrupts]:
    """Lets SIGTERM and Ctrl-C wait for the end of a round, so that a checkpoint can be written.

    A second one raises KeyboardInterrupt wherever the process is. Outside of the main thread, where
    Python hears no signals, nothing changes.

    >>> with defer_signals() as interrupts:
    ...     interrupts.requested()
    False
    """
    interrupts = Interrupts()
    if threading.current_thread() is not threading.main_thread():
        yield interrupts
        return
    before = {number: signal.signal(number, interrupts._take_note) for number in SIGNALS}
    try:
        yield interrupts
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
