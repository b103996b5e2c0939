"""Deferral of SIGTERM, which clusters send, and Ctrl-C to the end of a chunk."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

from lstm_jax.training.host.processes import any_process

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Interrupts:
    """The first signal that this process has received, if any."""

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None

    def requested(self) -> bool:
        """Return whether any process of the run has received a signal; all must make this call."""
        return any_process(self.signal is not None)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        """Note the first signal; end the process at the second."""
        del frame
        if self.signal is not None:
            raise KeyboardInterrupt
        self.signal = signal.Signals(number)


@contextlib.contextmanager
def defer_signals() -> Iterator[Interrupts]:
    """Note SIGTERM and Ctrl-C instead of ending, so that a checkpoint can be written first.

    A second signal raises KeyboardInterrupt at once. Outside the main thread, where Python does not
    deliver signals, nothing changes.

    >>> with defer_signals() as interrupts:
    ...     interrupts.requested()
    False
    """
    interrupts = Interrupts()
    if threading.current_thread() is not threading.main_thread():
        yield interrupts
        return
    before = {number: signal.signal(number, interrupts._handle) for number in SIGNALS}
    try:
        yield interrupts
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
