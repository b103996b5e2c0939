"""Checkpoints of a run: written at intervals, whole or not at all, the last two kept."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import pathlib
import shutil
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import jax
import numpy as np

from lstm_jax.network.files import Document
from lstm_jax.training.host.processes import is_first_process, on_first_process
from lstm_jax.training.trials.records import RunState
from lstm_jax.training.trials.runner import TrialRunner

if TYPE_CHECKING:
    import orbax.checkpoint as ocp

try:
    import fcntl
except ImportError:  # Windows has no such locks
    fcntl = None

KEEP = 2
_RACES = 100  # that may be lost in a row for a folder
# Of the leaves of `RunState` and their order, which a checkpoint relies on: to be raised with them,
# so that one of another order is refused and not misread.
FORMAT = 5

T = TypeVar("T")


class ForeignError(ValueError):
    """A folder of checkpoints that belongs to another run."""


class InUseError(ForeignError):
    """A folder of checkpoints that another process has open."""


class Restored(NamedTuple):
    """What a run goes on from."""

    seconds: float
    """That the run had taken; 0.0 if it starts afresh."""
    damaged: list[str]
    """A sentence for every damaged checkpoint that was passed over."""


def say(sentence: str) -> None:
    """Writes a line to standard error."""
    print(sentence, file=sys.stderr, flush=True)


class Checkpoints:
    """The checkpoints of one run, in a folder that is locked while this context is entered.

    Orbax writes each into a temporary folder that gets its name when it is complete, so a run
    killed at any moment leaves whole checkpoints only. What a damaged disk does to one is found
    when it is read, by a digest of its content; then the one before it serves.

    A run never ends for want of a checkpoint. Where the folder cannot be locked, made or written
    to, a line says so, the run goes on, and the next checkpoint is tried as if nothing had been.

    Of several processes, the first alone sees the folder; all make the same calls.
    """

    def __init__(
        self,
        folder: pathlib.Path,
        run: Mapping[str, object],
        warn: Callable[[str], None] = say,
    ) -> None:
        """Opens `folder`, which need not exist; needs the extra `experiments`.

        Args:
          folder: where the checkpoints are, and nothing else; removed at the end if empty.
          run: all that decides the numbers of the run, as plain data for JSON.
          warn: is told, on the first process, of trouble, in one line each.

        Raises:
          InUseError: a ValueError, if another process has the folder open.
        """
        self._folder = folder.absolute()
        self._run = json.loads(json.dumps(run)) | {"format": FORMAT}
        self._warn = warn
        self._lock: int | None = None
        self._manager: ocp.CheckpointManager | None = None
        on_first_process(self._open_or_warn)

    def _open_or_warn(self) -> None:
        self._try("opened", self._open)

    def _try(self, what: str, action: Callable[[], T]) -> T | None:
        """What an action returns; None, after a warning, if the disk refuses it."""
        try:
            return action()
        except (ForeignError, ImportError):
            raise
        except Exception as error:  # OSError, or whatever the library makes of one
            self._close()
            self._warn(f"checkpoints {self._folder} could not be {what}: {_reason(error)}")
            return None

    def _open(self) -> ocp.CheckpointManager:
        """The library's manager of the folder, which is locked; opened anew after trouble."""
        if self._lock is None or not _is_at(self._lock, self._folder):
            self._close()
            self._lock = lock(self._folder, self._warn)
        if self._manager is not None:
            return self._manager
        import orbax.checkpoint as ocp  # slow to import, and needed here alone

        self._args = ocp.args
        self._manager = ocp.CheckpointManager(
            self._folder,
            options=ocp.CheckpointManagerOptions(
                max_to_keep=KEEP,
                create=False,
                cleanup_tmp_directories=True,
                enable_async_checkpointing=False,
                multiprocessing_options=ocp.options.MultiprocessingOptions(active_processes={0}),
            ),
        )
        return self._manager

    def _close(self) -> None:
        """Leaves the library's manager, but not the lock."""
        manager, self._manager = self._manager, None
        if manager is not None:
            with contextlib.suppress(OSError):
                manager.close()

    def __enter__(self) -> Checkpoints:
        return self

    def __exit__(self, *exception: object) -> None:
        if is_first_process():
            self._close()
            with contextlib.suppress(OSError):  # it is not empty, or has been removed
                self._folder.rmdir()
            if self._lock is not None:
                os.close(self._lock)

    def save(self, runner: TrialRunner, seconds: float = 0.0) -> bool:
        """Writes where the run stands, after so many seconds.

        Returns:
          Whether it could be written. If not, there was a warning.
        """
        state = _pack(runner.state())
        write = lambda: self._write(runner.num_sequences, state, seconds)
        return on_first_process(lambda: self._try("written", write)) is not None

    def _write(self, num_sequences: int, state: np.ndarray, seconds: float) -> bool:
        manager = self._open()
        for step in manager.all_steps():
            if step >= num_sequences:  # damaged, or the run would not have to come here again
                manager.delete(step)
        about = {"run": self._run, "seconds": seconds}
        about |= {"digest": _digest(about, state)}
        # All arrays in one: orbax would report damage to several many times over.
        content = self._args.StandardSave({"state": state})
        manager.save(
            num_sequences,
            args=self._args.Composite(state=content, about=self._args.JsonSave(about)),
            force=True,
        )
        return True

    def restore(self, runner: TrialRunner) -> Restored:
        """Lets the run go on from the newest checkpoint that can be read, if there is one.

        Raises:
          ValueError: if that checkpoint is of another run.
        """
        found = on_first_process(lambda: self._try("read", self._newest))
        restored, state = found or (Restored(0.0, []), None)
        if state is not None:
            runner.restore(_unpack(state, runner.state()))
        return restored

    def _newest(self) -> tuple[Restored, np.ndarray | None]:
        damaged = []
        for step in sorted(self._open().all_steps(), reverse=True):
            path = self._folder / str(step)
            try:
                about, state = self._read(step)
            except Exception as error:  # whatever a damaged file makes the reader raise
                damaged.append(f"checkpoint {path} is damaged: {_reason(error)}")
                continue
            if about["run"] != self._run:
                raise ForeignError(
                    f"checkpoint {path} differs in {differences(about['run'], self._run)}"
                )
            return Restored(about["seconds"], damaged), state
        return Restored(0.0, damaged), None

    def remove(self) -> None:
        """Deletes all of them: the run has its results."""
        on_first_process(lambda: shutil.rmtree(self._folder, ignore_errors=True))

    def _read(self, step: int) -> tuple[Document, np.ndarray]:
        items = self._args.Composite(
            state=self._args.StandardRestore(), about=self._args.JsonRestore()
        )
        content = self._manager.restore(step, args=items)
        state, about = np.asarray(content["state"]["state"]), dict(content["about"])
        if about.pop("digest") != _digest(about, state):
            raise ValueError("its digest is another than that of its content")
        return about, state


def _pack(state: RunState) -> np.ndarray:
    """The leaves of `state`, one after the other as NumPy files, as bytes."""
    file = io.BytesIO()
    for leaf in jax.tree.leaves(state):
        np.save(file, leaf, allow_pickle=False)
    return np.frombuffer(file.getvalue(), np.uint8)


def _unpack(packed: np.ndarray, like: RunState) -> RunState:
    """What was packed, in the structure of `like`."""
    file = io.BytesIO(packed.tobytes())
    leaves, structure = jax.tree.flatten(like)
    return jax.tree.unflatten(structure, [np.load(file, allow_pickle=False) for _ in leaves])


def _digest(about: Document, state: np.ndarray) -> str:
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode() + state.tobytes()).hexdigest()


def differences(found: Mapping[str, object], expected: Mapping[str, object]) -> str:
    """Return the fields in which a run differs from the expected one, in words.

    >>> differences({"task": "6a", "seed": 0}, {"task": "6a", "seed": 5})
    'seed: 0, not 5'
    """
    names = dict.fromkeys([*expected, *found])
    pairs = {name: (found.get(name), expected.get(name)) for name in names}
    return "; ".join(f"{name}: {a}, not {b}" for name, (a, b) in pairs.items() if a != b)


def _reason(error: Exception) -> str:
    """One line of what may be the many lines of a library."""
    text = str(error)
    if "No space left on device" in text:
        return "No space left on device"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return text.splitlines()[0][:200] if text else type(error).__name__


# The folder ------------------------------------------------------------------------------------


def check_unused(folder: pathlib.Path) -> None:
    """Raises InUseError, a ValueError, if a run has the folder of its checkpoints open."""
    if folder.is_dir():
        os.close(lock(folder))


def discard(folder: pathlib.Path) -> None:
    """Deletes the checkpoints of a run that was cut off, if there are any.

    Raises:
      InUseError: a ValueError, if the run goes on; nothing is deleted.
    """
    if folder.is_dir():
        descriptor = lock(folder)
        shutil.rmtree(folder, ignore_errors=True)
        os.close(descriptor)


def lock(folder: pathlib.Path, warn: Callable[[str], None] = lambda sentence: None) -> int:
    """Makes `folder` and locks it until the returned descriptor is closed, or this process ends.

    Where the file system has no locks, `warn` is told so, and the folder is open to all.

    Raises:
      InUseError: if another process has locked it.
      OSError: if there is no such folder, and it cannot be made.
    """
    if fcntl is None:
        folder.mkdir(parents=True, exist_ok=True)
        return os.open(os.devnull, os.O_RDONLY)
    while True:
        descriptor = _made(folder)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise InUseError(f"{folder} is in use by another process") from None
        except OSError as error:
            warn(f"{folder} could not be locked against other processes: {error.strerror}")
        if _is_at(descriptor, folder):
            return descriptor
        os.close(descriptor)  # of a folder that was removed meanwhile


def _made(folder: pathlib.Path) -> int:
    """Makes `folder` and opens it, though others may make and remove it at the same moment."""
    for _ in range(_RACES):
        with contextlib.suppress(FileExistsError, FileNotFoundError):
            folder.mkdir(parents=True, exist_ok=True)
            return os.open(folder, os.O_RDONLY)
    folder.mkdir(parents=True, exist_ok=True)
    return os.open(folder, os.O_RDONLY)


def _is_at(descriptor: int, folder: pathlib.Path) -> bool:
    """Whether the open folder is the one that now has this name; always so without locks."""
    if fcntl is None:
        return True
    try:
        return os.path.samestat(os.fstat(descriptor), folder.stat())
    except FileNotFoundError:
        return False
