"""Files written atomically: neither a reader nor a crash ever sees a part of one."""

from __future__ import annotations

import contextlib
import os
import pathlib
import stat
import uuid


def write_atomically(path: pathlib.Path, content: bytes, *, overwrite: bool = True) -> None:
    """Write a file completely or not at all.

    A new file has the mode that the umask gives it. A file that is replaced keeps its mode, owner
    and extended attributes, and a symbolic link stays one. Of several writers that may not
    overwrite, in any process, exactly one succeeds.

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
    unfinished = path.with_name(f".{path.name[:100]}.{uuid.uuid4().hex}")
    try:
        _write_new(unfinished, content)
        if before is not None:
            _copy_attributes(path, before, unfinished)
        if overwrite:
            os.replace(unfinished, path)
        else:
            _rename_new(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def check_writable(path: pathlib.Path, overwrite: bool) -> os.stat_result | None:
    """Raise the errors of `write_atomically` that are known beforehand.

    Returns:
      The status of the file that would be replaced; None if there is none.
    """
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


def _write_new(path: pathlib.Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)  # minus the umask
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


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
