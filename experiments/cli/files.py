"""Files that a command writes: nothing that is there is replaced unasked, whenever it came."""

from __future__ import annotations

import itertools
import json
import os
import pathlib
import sys
import tempfile
from collections.abc import Callable
from typing import TYPE_CHECKING

from lstm_jax.network.files import Document
from lstm_jax.plots import style
from lstm_jax.training.runs.result_file import write_atomically, write_json

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def make_folder(out: pathlib.Path, flag: str = "out") -> None:
    """Makes the folder that a flag names.

    Raises:
      ValueError: if nothing can be written into it.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out):
            pass
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ValueError(f"--{flag} must be a writable folder, got {out}: {reason}") from error


def check_free(path: pathlib.Path, overwrite: bool) -> None:
    """Raises ValueError if the file is there and may not be replaced."""
    if path.exists() and not overwrite:
        raise ValueError(f"{path} exists; --overwrite replaces it")


def keep(
    path: pathlib.Path,
    document: Document,
    draw: Callable[[Document], Figure],
    *,
    overwrite: bool,
    quiet: bool,
) -> pathlib.Path:
    """Writes a result, then its picture, and says where.

    If a file has appeared at `path` that may not be replaced, both go beside it, under another
    name. A picture that fails costs a line on stderr, not the result.

    Returns:
      Where the result is.
    """
    kept = write_result(path, document, overwrite)
    picture = draw_beside(kept, lambda: draw(document), overwrite or kept != path)
    if not quiet:
        print(f"wrote {kept}" + (f" and {picture}" if picture else ""), flush=True)
    return kept


def write_result(path: pathlib.Path, document: Document, overwrite: bool) -> pathlib.Path:
    """Writes a result, beside one that has appeared, of which it then tells; returns where."""
    kept = _write(path, lambda place: write_json(place, document), overwrite)
    if kept != path:
        _warn(f"{path} appeared while this ran; its result is kept in {kept}")
    return kept


def draw_beside(
    result: pathlib.Path, draw: Callable[[], Figure], overwrite: bool
) -> pathlib.Path | None:
    """Writes the picture of a result, whose ending alone is another; None if it cannot be drawn."""
    try:
        return save_picture(draw(), result.with_suffix(".png"), overwrite)
    except Exception as error:  # whatever a drawing library raises
        reason = " ".join(str(error).split()) or type(error).__name__
        _warn(f"no picture of {result}: {reason}")
        return None


def save_picture(figure: Figure, path: pathlib.Path, overwrite: bool) -> pathlib.Path:
    """Writes a picture, beside one that is there; returns where."""
    return write_file(path, style.as_png(figure), overwrite)


def write_file(path: pathlib.Path, content: bytes, overwrite: bool) -> pathlib.Path:
    """Writes a file, beside one that is there; returns where."""
    return _write(path, lambda place: write_atomically(place, content), overwrite)


def _write(
    path: pathlib.Path, write: Callable[[pathlib.Path], None], overwrite: bool
) -> pathlib.Path:
    try:
        return _write_or_beside(path, write, overwrite)
    except OSError as error:  # such as a full disk, which names no file
        reason = error.strerror or " ".join(str(error).split())
        raise OSError(f"{path} could not be written: {reason}") from error


def _write_or_beside(
    path: pathlib.Path, write: Callable[[pathlib.Path], None], overwrite: bool
) -> pathlib.Path:
    if overwrite:
        write(path)
        return path
    for number in itertools.count():
        place = path if number == 0 else path.with_name(f"{path.stem}.{number}{path.suffix}")
        if _write_new(place, write):
            return place
    raise AssertionError


def _write_new(path: pathlib.Path, write: Callable[[pathlib.Path], None]) -> bool:
    """Writes a file unless there is one; whether it did. Of two processes, one alone does."""
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as folder:
        whole = pathlib.Path(folder) / path.name
        write(whole)
        try:
            os.link(whole, path)
        except FileExistsError:
            return False
        except OSError:  # a file system without links
            if path.exists():
                return False
            os.replace(whole, path)
    return True


def read_object(path: pathlib.Path) -> Document:
    """Reads a JSON file that holds an object.

    Raises:
      ValueError: if it holds none.
    """
    try:
        document = json.loads(path.read_text())
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise ValueError(f"{path} must hold a JSON object, got {type(document).__name__}")
    return document


def _warn(sentence: str) -> None:
    print(f"warning: {sentence}", file=sys.stderr, flush=True)
