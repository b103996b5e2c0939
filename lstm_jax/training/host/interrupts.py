"""Handling of Ctrl-C and SIGTERM, which end a program at once or after a chunk."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

from lstm_jax.training.host.processes import any_process

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Interrupted(KeyboardInterrupt):
    """The end of a program by a signal, with its number and the exit status."""

    def __init__(self, message: str, number: int = signal.SIGINT) -> None:
        super().__init__(message)
        self.number = number
        self.status = 128 + number


class Interrupts:
    """The signal that this process has received, if any."""

    def __init__(self, notice: str | None = None) -> None:
        self.signal: signal.Signals | None = None
        self._notice = notice

    def requested(self) -> bool:
        """Return whether any process of the run has received a signal; all make this call."""
        return any_process(self.signal is not None)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        """Note the first signal; end the process at the second."""
        if self.signal is not None:
            _end(number, frame)
        self.signal = signal.Signals(number)
        if self._notice is not None and number == signal.SIGINT:
            _write_line(self._notice)


@contextlib.contextmanager
def defer_signals(notice: str | None = None) -> Iterator[Interrupts]:
    """Let SIGTERM and Ctrl-C wait for the end of a chunk, so that a checkpoint can be written.

    The first Ctrl-C writes `notice` to standard error. A second signal raises `Interrupted`
    wherever the process is. Outside of the main thread, which alone receives signals in Python,
    nothing changes.
    """
    interrupts = Interrupts(notice)
    with _handle_signals(interrupts._receive):
        yield interrupts


@contextlib.contextmanager
def end_on_signals() -> Iterator[None]:
    """Let SIGTERM and Ctrl-C raise `Interrupted`, in the main thread."""
    with _handle_signals(_end):
        yield


def end_at_second_signal() -> None:
    """Let the second SIGTERM or Ctrl-C from now on end the process at once, not only raise.

    Python calls a signal's handler between two of its own instructions, so only after a compilation
    or a chunk, and at its end waits for threads. A thread that receives the signals does not wait.
    Files are written atomically, so none is left incomplete. For programs with a process of their
    own; does nothing outside of the main thread.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    received, sent = os.pipe()
    os.set_blocking(sent, False)
    signal.set_wakeup_fd(sent, warn_on_full_buffer=False)
    threading.Thread(target=_end_at_second, args=(received,), daemon=True).start()


def _end_at_second(received: int) -> None:
    count = 0
    while True:
        for number in os.read(received, 1):
            count += number in SIGNALS
            if count == 2:
                _write_line("interrupted")
                os._exit(128 + number)


def _write_line(line: str) -> None:
    """Write a line to standard error, below a progress bar if it is a terminal."""
    below = "\n" if os.isatty(2) else ""
    # A `print` could interrupt another one to the same file, which Python refuses.
    os.write(2, f"{below}{line}\n".encode())


def _end(number: int, frame: FrameType | None) -> None:
    raise Interrupted("interrupted", number)


@contextlib.contextmanager
def _handle_signals(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    with contextlib.ExitStack() as stack:
        for number in SIGNALS:
            stack.callback(signal.signal, number, signal.getsignal(number))
            signal.signal(number, handler)
        yield
