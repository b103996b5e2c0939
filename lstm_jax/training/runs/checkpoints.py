"""Checkpoints of a run: one file each, written atomically, the last two of which remain.

A checkpoint is a line with the SHA-256 digest of the rest, a line of JSON (`run`, `seconds`) and
the leaves of the run's state in NumPy's format. Reading one never unpickles anything.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import json
import os
import pathlib
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple, TypeVar

import jax
import numpy as np

from lstm_jax.network.files import Document
from lstm_jax.network.writing import write_atomically
from lstm_jax.training.host.interrupts import Interrupts
from lstm_jax.training.host.processes import is_first_process, on_first_process
from lstm_jax.training.trials.records import Progress, RunState
from lstm_jax.training.trials.runner import TrialRunner

try:
    import fcntl
except ImportError:  # Windows has no such locks
    fcntl = None

KEEP = 2
# Of the file and of the leaves of `RunState`: raise it with either, so that older checkpoints are
# refused instead of misread.
FORMAT = 7

_MAX_RACES = 1000  # attempts to open a folder that other processes make and remove

T = TypeVar("T")


class ForeignError(ValueError):
    """A folder of checkpoints that belongs to another run."""


class InUseError(ValueError):
    """A folder that another process has locked."""


class Restored(NamedTuple):
    """The past of a run that continues.

    Attributes:
      seconds: time that the run has taken so far; 0.0 for a new run.
      damaged: a sentence for each damaged checkpoint that was skipped.
    """

    seconds: float
    damaged: list[str]


def run_trials(
    runner: TrialRunner,
    checkpoints: Checkpoints,
    *,
    started: float,
    checkpoint_seconds: float = 60.0,
    interrupts: Interrupts | None = None,
    on_chunk: Callable[[Progress], bool | None] = lambda progress: None,
) -> bool:
    """Run all trials to their end, with checkpoints.

    Args:
      runner: the trials, before their first chunk or as restored.
      checkpoints: the checkpoints of the run.
      started: the start of the run, in seconds of `time.monotonic`, less the seconds that it took
        before it was interrupted.
      checkpoint_seconds: the least time between two checkpoints, in seconds.
      interrupts: deferred signals, which raise KeyboardInterrupt after a checkpoint.
      on_chunk: called after every chunk; returns True to stop the trials there.

    Returns:
      Whether all trials have ended; False if `on_chunk` stopped them.
    """
    saved_at = time.monotonic()
    while not runner.finished:
        if on_chunk(runner.run_chunk()):
            return runner.finished
        elapsed = on_first_process(lambda since=saved_at: time.monotonic() - since)
        is_interrupted = interrupts is not None and interrupts.requested() and not runner.finished
        if is_interrupted or elapsed >= checkpoint_seconds:
            checkpoints.save(runner, time.monotonic() - started)
            saved_at = time.monotonic()
        if is_interrupted:
            raise KeyboardInterrupt
    return True


class Checkpoints:
    """The checkpoints of one run, in a folder that is locked while this context is entered.

    A run that is killed at any moment leaves only complete checkpoints. If the newest one is
    damaged, the one before it is used. A checkpoint that cannot be written never ends the run:
    there is a warning, and the next checkpoint is tried as usual.

    With several processes, only the first one accesses the folder; all make the same calls.
    """

    def __init__(
        self,
        folder: pathlib.Path,
        run: Mapping[str, object],
        warn: Callable[[str], None] = lambda line: print(line, file=sys.stderr, flush=True),
    ) -> None:
        """Open `folder`, which is made if it does not exist.

        Args:
          folder: holds nothing but the checkpoints; removed at the end if it is empty.
          run: everything that decides the numbers of the run, as plain data for JSON.
          warn: called on the first process with a one-line message about each failure.

        Raises:
          InUseError: a ValueError, if another process has the folder open.
        """
        self._folder = folder.absolute()
        self._run = json.loads(json.dumps(run)) | {"format": FORMAT}
        self._warn = warn
        self._lock: Lock | None = None
        on_first_process(lambda: self._try("opened", self._open))

    def __enter__(self) -> Checkpoints:
        return self

    def __exit__(self, *exception: object) -> None:
        if is_first_process():
            with contextlib.suppress(OSError):  # it is not empty, or has been removed
                self._folder.rmdir()
            self._lock = None

    def save(self, runner: TrialRunner, seconds: float = 0.0) -> bool:
        """Write the state of a run that has taken `seconds`; return whether this succeeded."""
        state = io.BytesIO()
        for leaf in jax.tree.leaves(runner.state()):
            np.save(state, leaf, allow_pickle=False)
        write = lambda: self._write(runner.num_sequences, state.getvalue(), seconds)
        return on_first_process(lambda: self._try("written", write)) is not None

    def restore(self, runner: TrialRunner) -> Restored:
        """Set the run to its newest readable checkpoint, if any; ForeignError if of another run."""
        found = on_first_process(lambda: self._try("read", self._read_newest))
        restored, state = found or (Restored(0.0, []), None)
        if state is not None:
            runner.restore(_unpack(state, runner.state()))
        return restored

    def remove(self) -> None:
        """Delete all checkpoints of a run that has its results."""
        on_first_process(lambda: shutil.rmtree(self._folder, ignore_errors=True))

    def _try(self, verb: str, action: Callable[[], T]) -> T | None:
        """Return what `action` returns, or None after a warning if it fails."""
        try:
            return action()
        except (ForeignError, InUseError):
            raise
        except Exception as error:
            self._warn(f"checkpoints {self._folder} could not be {verb}: {_reason(error)}")
            return None

    def _open(self) -> list[int]:
        """Lock the folder and return the numbers of its checkpoints, the newest first."""
        if self._lock is None or not self._lock.is_at(self._folder):
            self._lock = None
            self._lock = lock(self._folder, self._warn)
            for unfinished in self._folder.glob(".*"):  # by a process that was killed
                unfinished.unlink()
        names = [path.name for path in self._folder.iterdir()]
        return sorted((int(name) for name in names if name.isdecimal()), reverse=True)

    def _write(self, number: int, state: bytes, seconds: float) -> bool:
        found = self._open()
        for later in (n for n in found if n > number):  # damaged, or the run had continued there
            (self._folder / str(later)).unlink()
        header = json.dumps({"run": self._run, "seconds": seconds}).encode()
        content = header + b"\n" + state
        write_atomically(self._folder / str(number), _digest(content) + b"\n" + content)
        for old in [number, *(n for n in found if n < number)][KEEP:]:
            (self._folder / str(old)).unlink()
        return True

    def _read_newest(self) -> tuple[Restored, bytes | None]:
        damaged = []
        for number in self._open():
            path = self._folder / str(number)
            try:
                digest, _, content = path.read_bytes().partition(b"\n")
                if digest != _digest(content):
                    raise ValueError("its content does not have its digest")
                packed, _, state = content.partition(b"\n")
                header: Document = json.loads(packed)
            except Exception as error:  # whatever a damaged file makes the reader raise
                damaged.append(f"checkpoint {path} is damaged: {_reason(error)}")
                continue
            if header["run"] != self._run:
                differing = differences(header["run"], self._run)
                raise ForeignError(f"checkpoint {path} differs in {differing}")
            return Restored(header["seconds"], damaged), state
        return Restored(0.0, damaged), None


def _unpack(packed: bytes, like: RunState) -> RunState:
    file = io.BytesIO(packed)
    load = lambda leaf: np.load(file, allow_pickle=False).view(np.asarray(leaf).dtype)
    return jax.tree.map(load, like)  # a file does not hold the name of bfloat16


def _digest(content: bytes) -> bytes:
    return hashlib.sha256(content).hexdigest().encode()


def differences(found: Mapping[str, object], expected: Mapping[str, object]) -> str:
    """Return the fields in which a run differs from the expected one, in words.

    >>> differences({"seed": 0, "space": {"a": 1, "b": 2}}, {"seed": 5, "space": {"a": 1, "b": 3}})
    'seed: 0, not 5; space.b: 2, not 3'
    """
    found, expected = _flat(found), _flat(expected)
    names = dict.fromkeys([*expected, *found])
    pairs = {name: (found.get(name), expected.get(name)) for name in names}
    return "; ".join(f"{name}: {a}, not {b}" for name, (a, b) in pairs.items() if a != b)


def _flat(run: Mapping[str, object], prefix: str = "") -> dict[str, object]:
    """Return the fields of a run and of the mappings in it, each by its path."""
    fields: dict[str, object] = {}
    for name, value in run.items():
        path = f"{prefix}{name}"
        fields |= _flat(value, f"{path}.") if isinstance(value, Mapping) else {path: value}
    return fields


def _reason(error: Exception) -> str:
    """Return a line that says why something failed."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return " ".join(str(error).split()) or type(error).__name__


# Locks on folders ------------------------------------------------------------------------------


class Lock:
    """A lock on a folder, until nothing refers to this object any more, or this process ends."""

    _descriptor: int | None = None

    def __init__(self, path: pathlib.Path | str) -> None:
        self._descriptor = os.open(path, os.O_RDONLY)

    def __del__(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)

    def fileno(self) -> int:
        """Return the descriptor of the folder, for functions that take a file."""
        assert self._descriptor is not None
        return self._descriptor

    def is_at(self, folder: pathlib.Path) -> bool:
        """Return whether the locked folder is the one that has this name now."""
        try:
            return fcntl is None or os.path.samestat(os.fstat(self.fileno()), folder.stat())
        except FileNotFoundError:
            return False


def lock(folder: pathlib.Path, warn: Callable[[str], None] = lambda line: None) -> Lock:
    """Make `folder` and lock it.

    Raise InUseError if another process has locked it. On a file system without locks, `warn` is
    called, and the folder is open to all processes.
    """
    if fcntl is None:
        folder.mkdir(parents=True, exist_ok=True)
        return Lock(os.devnull)
    for _ in range(_MAX_RACES):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            found = Lock(folder)
        except (FileExistsError, FileNotFoundError):
            continue
        try:
            fcntl.flock(found, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InUseError(f"{folder} is in use by another process") from None
        except OSError as error:
            warn(f"{folder} could not be locked against other processes: {error.strerror}")
        if found.is_at(folder):
            return found
        del found  # its folder has been removed meanwhile
    raise FileNotFoundError(errno.ENOENT, "other processes remove it", str(folder))


@contextlib.contextmanager
def locked(folder: pathlib.Path) -> Iterator[None]:
    """Make `folder` and lock it while this context is entered; raise InUseError as `lock` does."""
    held = lock(folder)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # without locks, another process may have removed it
            folder.rmdir()
        del held


def check_unused(folder: pathlib.Path) -> None:
    """Raise ValueError if the path is not of a folder; InUseError if a run has the folder open."""
    if folder.is_dir():
        lock(folder)  # and unlock it
    elif os.path.lexists(folder):
        raise ValueError(f"{folder} must be a folder")


def discard(folder: pathlib.Path) -> None:
    """Delete the checkpoints of an interrupted run, if any; InUseError if it is still going on."""
    if folder.is_dir():
        held = lock(folder)
        shutil.rmtree(folder, ignore_errors=True)
        del held
