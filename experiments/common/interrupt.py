"""Ctrl-C and SIGTERM: a run ends between two rounds, with a checkpoint, and says where it is."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType

import jax
import numpy as np
from jax.experimental import multihost_utils

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupted(KeyboardInterrupt):
    """A run was told to end.

    Attributes:
      status: what its process ends with.
    """

    def __init__(self, sentence: str, number: int = signal.SIGINT) -> None:
        super().__init__(sentence)
        self.number = number
        self.status = 128 + number


class Stop:
    """Whether a run is to end."""

    def __init__(self) -> None:
        self.number: int | None = None  # of the signal, once there was one

    def is_asked(self) -> bool:
        """Whether this process, or another one that runs the same, was told to end."""
        asked = self.number is not None
        if not jax.distributed.is_initialized():
            return asked
        return bool(multihost_utils.process_allgather(np.array(asked)).any())

    def on_signal(self, number: int, frame: FrameType | None) -> None:
        """Takes note of the first signal; a second one ends the run at once."""
        del frame
        if self.number is not None:
            raise Interrupted("interrupted at once", number)
        self.number = number
        print("stopping after this round; again to stop at once", file=sys.stderr, flush=True)


@contextlib.contextmanager
def heed_signals() -> Iterator[Stop]:
    """Signals are taken note of while this context is entered, in a process's main thread."""
    stop = Stop()
    with _handled_by(stop.on_signal):
        yield stop


@contextlib.contextmanager
def end_by_signals() -> Iterator[None]:
    """SIGTERM raises `Interrupted`, as Ctrl-C does."""

    def end(number: int, frame: FrameType | None) -> None:
        del frame
        raise Interrupted("interrupted", number)

    with _handled_by(end):
        yield


@contextlib.contextmanager
def _handled_by(handler: object) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number in SIGNALS}  # type: ignore[arg-type]
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)
