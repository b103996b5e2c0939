"""Locks on folders, by which each belongs to one process at a time."""

from __future__ import annotations

import contextlib
import errno
import os
import pathlib
from collections.abc import Callable

try:
    import fcntl
except ImportError:  # Windows has no such locks
    fcntl = None

_MAX_RACES = 100  # attempts to open a folder that other processes make and remove


class InUseError(ValueError):
    """A folder that another process has locked."""


def lock(folder: pathlib.Path, warn: Callable[[str], None] = lambda sentence: None) -> int:
    """Make `folder` and lock it until the returned descriptor is closed, or this process ends.

    On a file system without locks, `warn` is called, and the folder is open to all processes.

    Raises:
      InUseError: if another process has locked it.
      OSError: if there is no such folder and it cannot be made.
    """
    if fcntl is None:
        folder.mkdir(parents=True, exist_ok=True)
        return os.open(os.devnull, os.O_RDONLY)
    while True:
        descriptor = _make_and_open(folder)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise InUseError(f"{folder} is in use by another process") from None
        except OSError as error:
            warn(f"{folder} could not be locked against other processes: {error.strerror}")
        if is_at(descriptor, folder):
            return descriptor
        os.close(descriptor)  # its folder has been removed meanwhile


def _make_and_open(folder: pathlib.Path) -> int:
    for _ in range(_MAX_RACES):
        with contextlib.suppress(FileExistsError, FileNotFoundError):
            folder.mkdir(parents=True, exist_ok=True)
            return os.open(folder, os.O_RDONLY)
    raise FileNotFoundError(errno.ENOENT, "other processes remove it", str(folder))


def is_at(descriptor: int, folder: pathlib.Path) -> bool:
    """Whether the open folder is the one that has this name now; always true without locks."""
    if fcntl is None:
        return True
    try:
        return os.path.samestat(os.fstat(descriptor), folder.stat())
    except FileNotFoundError:
        return False
