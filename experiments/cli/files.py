"""Output files of commands. No existing file is replaced without --overwrite."""

from __future__ import annotations

import itertools
import pathlib
import sys
import tempfile
from collections.abc import Callable, Iterable

from lstm_jax.network.files import Document
from lstm_jax.network.writing import check_writable, write_atomically
from lstm_jax.plots import style
from lstm_jax.training.runs.result_file import as_json, read_object


def make_folder(out: pathlib.Path, flag: str = "out") -> None:
    """Make the folder that a flag names; raise ValueError if nothing can be written into it."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out):
            pass
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ValueError(f"--{flag} must be a writable folder, got {out}: {reason}") from error


def check_free(path: pathlib.Path, overwrite: bool) -> None:
    """Raise ValueError if the file exists and may not, or cannot, be replaced."""
    if path.is_symlink() and not path.resolve().parent.is_dir():
        raise ValueError(f"{path} is a link into a folder that does not exist")
    try:
        check_writable(path, overwrite)
    except FileExistsError as error:
        raise ValueError(f"{error}; --overwrite replaces it") from error


def read_resumed(path: pathlib.Path, document: Document, names: Iterable[str]) -> Document:
    """Read a result that --resume continues; raise ValueError if it differs in one of the names."""
    found = read_object(path)
    for name in names:
        if found.get(name) != document[name]:
            raise ValueError(f"{path} must be of the same {name} to be resumed")
    return found


def save_result(
    path: pathlib.Path,
    document: Document,
    draw: Callable[[Document], style.Figure],
    *,
    overwrite: bool,
    quiet: bool,
) -> pathlib.Path:
    """Write a result, then its picture, and print where they are; return the result's path.

    If a file that may not be replaced has appeared at `path`, both get another name beside it.
    """
    saved = write_result(path, document, overwrite)
    picture = draw_beside(saved, lambda: draw(document), overwrite or saved != path)
    if not quiet:
        print(f"wrote {saved}" + (f" and {picture}" if picture else ""), flush=True)
    return saved


def write_result(path: pathlib.Path, document: Document, overwrite: bool) -> pathlib.Path:
    """Write a result, beside a file that has appeared, with a warning; return its path."""
    saved = write_file(path, as_json(document), overwrite)
    if saved != path:
        warning = f"warning: {path} appeared during this run, whose result is saved in {saved}"
        print(warning, file=sys.stderr, flush=True)
    return saved


def draw_beside(
    result: pathlib.Path, draw: Callable[[], style.Figure], overwrite: bool
) -> pathlib.Path | None:
    """Write the picture of a result under the same name; return None if it cannot be drawn."""
    try:
        return save_picture(draw(), result.with_suffix(".png"), overwrite)
    except Exception as error:  # whatever a drawing library raises
        reason = " ".join(str(error).split()) or type(error).__name__
        print(f"warning: no picture of {result}: {reason}", file=sys.stderr, flush=True)
        return None


def save_picture(figure: style.Figure, path: pathlib.Path, overwrite: bool) -> pathlib.Path:
    """Write a picture, beside an existing one; return its path."""
    return write_file(path, style.as_png(figure), overwrite)


def write_file(path: pathlib.Path, content: bytes, overwrite: bool) -> pathlib.Path:
    """Write a file, beside an existing one; return its path."""
    others = (path.with_name(f"{path.stem}.{n}{path.suffix}") for n in itertools.count(1))
    for free in itertools.chain([path], others):
        try:
            write_atomically(free, content, overwrite=overwrite)
        except FileExistsError:
            continue
        except OSError as error:  # such as a full disk, which names no file
            reason = error.strerror or " ".join(str(error).split())
            raise OSError(f"{path} could not be written: {reason}") from error
        return free
    raise AssertionError("names are never used up")
