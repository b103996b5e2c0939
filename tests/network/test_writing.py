"""Every file that the library or a command writes: what belongs to its place stays."""

from __future__ import annotations

import concurrent.futures
import os
import pathlib
import stat
from collections.abc import Callable, Iterator

import jax
import pytest

import lstm_jax as lstm
from experiments.cli import files
from lstm_jax import plots
from lstm_jax.network.writing import write_atomically
from lstm_jax.plots import style
from lstm_jax.training.runs.result_file import write_json

NET = lstm.Architecture(num_inputs=2, blocks=(1,), num_outputs=1)
PARAMETERS = lstm.initialise(jax.random.key(0), NET)
FIGURE = plots.error_flow({"unit": [0.5, 0.25]})
# Functions of a path that replace a file.
REPLACING: dict[str, Callable[[pathlib.Path], object]] = {
    "save": lambda path: lstm.save(path, NET, PARAMETERS, overwrite=True),
    "save_state": lambda path: lstm.save_state(path, 1, overwrite=True),
    "plots.save": lambda path: style.save(FIGURE, path),
    "write_json": lambda path: write_json(path, {"schema_version": 2}),
    "write_result": lambda path: files.write_result(path, {"schema_version": 2}, True),
    "save_picture": lambda path: files.save_picture(FIGURE, path, True),
    "write_file": lambda path: files.write_file(path, b"content", True),
    "write_atomically": lambda path: write_atomically(path, b"content"),
}
# ... and that write a new one; each returns the path that it has written.
ADDING: dict[str, Callable[[pathlib.Path], pathlib.Path]] = {
    "save": lambda path: lstm.save(path, NET, PARAMETERS) or path,
    "save_state": lambda path: lstm.save_state(path, 1) or path,
    "write_json": lambda path: write_json(path, {"a": 1}, overwrite=False) or path,
    "write_atomically": lambda path: write_atomically(path, b"a", overwrite=False) or path,
    "write_result": lambda path: files.write_result(path, {"a": 1}, False),
    "write_file": lambda path: files.write_file(path, b"content", False),
}
replacing = pytest.mark.parametrize("write", REPLACING.values(), ids=REPLACING)


@pytest.fixture
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def mode(path: pathlib.Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@replacing
@pytest.mark.parametrize("umask", [0o077, 0o022, 0o002], indirect=True)
def test_a_new_file_has_the_mode_of_the_umask(write, umask: int, tmp_path: pathlib.Path):
    write(tmp_path / "a")
    assert mode(tmp_path / "a") == 0o666 & ~umask


@replacing
@pytest.mark.parametrize("before", [0o600, 0o644, 0o660])
def test_a_replaced_file_keeps_its_mode_and_owner(write, before: int, tmp_path: pathlib.Path):
    path = tmp_path / "a"
    path.write_text("mine")
    if os.geteuid() == 0:
        os.chown(path, 1234, 4321)
    owner = path.stat().st_uid, path.stat().st_gid
    path.chmod(before)
    write(path)
    assert path.read_bytes() != b"mine"
    assert mode(path) == before and (path.stat().st_uid, path.stat().st_gid) == owner


@replacing
@pytest.mark.parametrize("call", ["replace", "fsync", "chmod"])
def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(
    write, call: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
):
    def fail(*_: object) -> None:
        raise OSError("no space left on device")

    path = tmp_path / "a"
    path.write_text("mine")
    with monkeypatch.context() as patch:
        patch.setattr(os, call, fail)
        with pytest.raises(OSError, match="no space left"):
            write(path)
    assert path.read_text() == "mine" and [*tmp_path.iterdir()] == [path]
    write(path)
    assert path.read_bytes() != b"mine"


@pytest.mark.parametrize("name", ["save", "save_state"])
def test_a_file_is_replaced_only_if_asked(name: str, tmp_path: pathlib.Path):
    path = tmp_path / "a"
    path.write_text("mine")
    with pytest.raises(ValueError, match="a exists; overwrite=True replaces it"):
        ADDING[name](path)
    assert path.read_text() == "mine"
    REPLACING[name](path)
    assert path.read_bytes() != b"mine"


@replacing
def test_a_symbolic_link_stays_one(write, tmp_path: pathlib.Path):
    (tmp_path / "folder").mkdir()
    target = tmp_path / "folder" / "target"
    target.write_text("mine")
    (tmp_path / "a").symlink_to(target)
    write(tmp_path / "a")
    assert (tmp_path / "a").is_symlink() and target.read_bytes() != b"mine"
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a", "folder", "target"]


@replacing
def test_what_a_new_file_cannot_replace_is_refused(write, tmp_path: pathlib.Path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ValueError, match="path must be that of a regular file"):
        write(tmp_path / "pipe")
    (tmp_path / "one").write_text("mine")
    os.link(tmp_path / "one", tmp_path / "two")
    with pytest.raises(ValueError, match="has 2 hard links"):
        write(tmp_path / "two")
    assert (tmp_path / "one").read_text() == (tmp_path / "two").read_text() == "mine"
    assert len([*tmp_path.iterdir()]) == 3


def test_extended_attributes_stay(tmp_path: pathlib.Path):
    path = tmp_path / "a"
    path.write_text("mine")
    try:
        os.setxattr(path, "user.note", b"of mine")
    except (AttributeError, OSError):
        pytest.skip("this file system has no extended attributes")
    write_atomically(path, b"content")
    assert os.getxattr(path, "user.note") == b"of mine"


@pytest.mark.parametrize("has_links", [True, False])
@pytest.mark.parametrize("name", ADDING)
def test_of_many_writers_of_a_new_file_one_succeeds(
    name: str, has_links: bool, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
):
    def no_links(*_: object) -> None:
        raise OSError("Operation not supported")

    if not has_links:
        monkeypatch.setattr(os, "link", no_links)

    def attempt(_: int) -> pathlib.Path | None:
        try:
            return ADDING[name](tmp_path / "a")
        except (ValueError, FileExistsError):
            return None

    with concurrent.futures.ThreadPoolExecutor(8) as threads:
        written = [*threads.map(attempt, range(8))]
    assert written.count(tmp_path / "a") == 1
    others = {path for path in written if path not in (None, tmp_path / "a")}
    assert {*tmp_path.iterdir()} == {tmp_path / "a"} | others
    assert len(others) == (7 if name in ("write_result", "write_file") else 0)
