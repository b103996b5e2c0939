"""Ctrl-C and SIGTERM, where no run takes note of them (`lstm_jax.training.host.interrupts`)."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType


class Interrupted(KeyboardInterrupt):
    """A command was told to end; the words are its last line.

    Attributes:
      status: what its process ends with.
    """

    def __init__(self, sentence: str, number: int = signal.SIGINT) -> None:
        super().__init__(sentence)
        self.number = number
        self.status = 128 + number


@contextlib.contextmanager
def end_by_signals() -> Iterator[None]:
    """SIGTERM raises `Interrupted`, as Ctrl-C does; in a process's main thread."""

    def end(number: int, frame: FrameType | None) -> None:
        del frame
        raise Interrupted("interrupted", number)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
