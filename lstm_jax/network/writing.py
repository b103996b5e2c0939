"""Files written atomically: neither a reader nor a crash ever sees a part of one."""

from __future__ import annotations

import contextlib
import os
import pathlib
import re
import stat
import uuid
from collections.abc import Iterator
from typing import BinaryIO

try:
    import fcntl
except ImportError:  # Windows has no such locks
    fcntl = None


def write_atomically(path: pathlib.Path, content: bytes, *, overwrite: bool = True) -> None:
    """Write a file completely or not at all.

    A new file has the mode that the umask gives it. A file that is replaced keeps its mode, owner
    and extended attributes, and a symbolic link stays one. Of several writers that may not
    overwrite, in any process, exactly one succeeds. What a killed writer of the same file left
    unfinished is removed.

    Args:
      path: the file, in an existing folder.
      content: the whole content.
      overwrite: whether an existing file is replaced.

    Raises:
      FileExistsError: if the file exists and `overwrite` is False.
      ValueError: if `path` is not a regular file, or has further names (hard links), which would
        keep the old content.
      OSError: if the file may not be written, for example on a full disk.
    """
    path = pathlib.Path(os.path.realpath(path))
    before = check_writable(path, overwrite)
    with _naming(path), _open_unfinished(path) as (file, unfinished):
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
        if before is not None:
            _copy_attributes(path, before, unfinished)
        if overwrite:
            os.replace(unfinished, path)
        else:
            _rename_new(unfinished, path)


def check_writable(path: pathlib.Path, overwrite: bool) -> os.stat_result | None:
    """Raise the errors of `write_atomically` that are known beforehand.

    What a killed writer left unfinished, perhaps as a second name of the file, is removed.

    Returns:
      The status of the file that would be replaced; None if there is none.
    """
    _remove_abandoned(pathlib.Path(os.path.realpath(path)))
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    if not overwrite:
        raise FileExistsError(f"{path} exists")
    if not stat.S_ISREG(found.st_mode):
        raise ValueError(f"path must be that of a regular file, got {path}")
    if found.st_nlink > 1:
        raise ValueError(f"path must have one name, but {path} has {found.st_nlink} hard links")
    if not os.access(path, os.W_OK):
        raise PermissionError(f"{path} is read-only")
    return found


@contextlib.contextmanager
def _naming(path: pathlib.Path) -> Iterator[None]:
    """Let errors of the operating system, such as that of a full disk, name the file."""
    try:
        yield
    except OSError as error:
        if error.errno is None:  # an error of ours
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error


def _unfinished_name(path: pathlib.Path) -> str:
    return f".{path.name[:100]}."


@contextlib.contextmanager
def _open_unfinished(path: pathlib.Path) -> Iterator[tuple[BinaryIO, pathlib.Path]]:
    """Open a new file beside `path`, locked until it is closed; remove what remains of it."""
    descriptor, unfinished = _make_unfinished(path)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file, unfinished
    finally:
        unfinished.unlink(missing_ok=True)


def _make_unfinished(path: pathlib.Path) -> tuple[int, pathlib.Path]:
    """Make a file beside `path` and lock it, so that no process takes it for abandoned."""
    while True:
        unfinished = path.with_name(_unfinished_name(path) + uuid.uuid4().hex)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        descriptor = os.open(unfinished, flags, 0o666)  # minus the umask
        if _lock(descriptor) is not False and os.fstat(descriptor).st_nlink:
            return descriptor, unfinished
        os.close(descriptor)  # another process took it before it was locked, and removes it


def _remove_abandoned(path: pathlib.Path) -> None:
    """Remove the unfinished files of killed writers of `path`: those that nobody has locked."""
    with contextlib.suppress(OSError):  # no such folder, or not a readable one
        for name in os.listdir(path.parent):
            is_unfinished = name.startswith(_unfinished_name(path))
            if is_unfinished and re.fullmatch("[0-9a-f]{32}", name[-32:]):
                _remove_unlocked(path.with_name(name))


def _remove_unlocked(path: pathlib.Path) -> None:
    with contextlib.suppress(OSError):  # removed meanwhile, or of another user
        descriptor = os.open(path, os.O_RDONLY)
        try:
            if _lock(descriptor):
                path.unlink()
        finally:
            os.close(descriptor)


def _lock(descriptor: int) -> bool | None:
    """Lock an open file; return False if it is locked, None on a file system without locks."""
    if fcntl is None:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def _copy_attributes(source: pathlib.Path, found: os.stat_result, path: pathlib.Path) -> None:
    """Copy owner, extended attributes (access control lists among them) and mode to a new file."""
    made = path.stat()
    if (made.st_uid, made.st_gid) != (found.st_uid, found.st_gid):
        try:
            os.chown(path, found.st_uid, found.st_gid)
        except PermissionError as error:
            raise PermissionError(f"{source} belongs to another user or group") from error
    with contextlib.suppress(AttributeError, OSError):  # where the file system has none
        for name in os.listxattr(source):
            os.setxattr(path, name, os.getxattr(source, name))
    os.chmod(path, stat.S_IMODE(found.st_mode))


def _rename_new(unfinished: pathlib.Path, path: pathlib.Path) -> None:
    """Give a finished file its name, or raise FileExistsError if the name is taken."""
    try:
        os.link(unfinished, path)
    except FileExistsError:
        raise
    except OSError:  # a file system without links: claim the name first
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
        os.replace(unfinished, path)
