"""Several processes run one program, over loopback as over a network: the numbers are the same."""

from __future__ import annotations

import pathlib
import socket
import subprocess
from typing import Any

import jax
import numpy as np
import pytest
from resumable import PATIENCE, finish, kill_after_another_checkpoint, newest, numbers, start
from small_tasks import binary_environment

from lstm_jax.training.host import processes

RUN = ("--trials=9", "--max_sequences=8500")  # more than one device has lanes for, and 9 rounds


@pytest.fixture(scope="module")
def environment() -> dict[str, str]:
    return binary_environment()


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory, environment: dict[str, str]) -> pathlib.Path:
    """The results of one process on one device."""
    out = tmp_path_factory.mktemp("alone")
    finish(start(out, *RUN, "--devices=1", environment=environment))
    assert len(numbers(out)["trials"]) == 9
    return out


def start_two(
    first: pathlib.Path, second: pathlib.Path, *flags: str, environment: dict[str, str]
) -> list[subprocess.Popen]:
    """The binary twice, as on two hosts; {i} in a flag is the number of the process."""
    with socket.create_server(("", 0)) as free:
        port = free.getsockname()[1]
    flags = (f"--coordinator=127.0.0.1:{port}", "--num_processes=2", "--process_id={i}", *flags)
    return [
        start(out, *(flag.format(i=i) for flag in flags), environment=environment)
        for i, out in enumerate((first, second))
    ]


def refusals(both: list[subprocess.Popen]) -> list[str]:
    """What two processes that are to end with a user's mistake say."""
    said = [process.communicate(timeout=PATIENCE)[1] for process in both]
    assert [process.returncode for process in both] == [2, 2], said
    return said


def test_the_same_trials_have_the_same_numbers_everywhere(
    alone: pathlib.Path, tmp_path: pathlib.Path, environment: dict[str, str]
):
    """On 1 device, on 3, and on 2 processes with 2 devices each; only the first one writes."""
    three, first, second = (tmp_path / name for name in ("three", "first", "second"))
    finish(start(three, *RUN, "--devices=3", environment=environment))
    assert numbers(three) == numbers(alone)
    for process in start_two(first, second, *RUN, "--devices=2", environment=environment):
        finish(process)
    assert numbers(first) == numbers(alone)
    assert not second.exists()


def test_when_a_process_dies_the_other_ends_and_the_run_goes_on_elsewhere(
    alone: pathlib.Path, tmp_path: pathlib.Path, environment: dict[str, str]
):
    """Killed are the second of two, then the first; what is left goes on as one process."""
    for victim in (1, 0):
        flags = (*RUN, "--resume", "--devices=1")
        both = start_two(tmp_path, tmp_path, *flags, environment=environment)
        kill_after_another_checkpoint(both[victim], tmp_path, 0.0)
        _, said = both[1 - victim].communicate(timeout=PATIENCE)
        assert both[1 - victim].returncode != 0
        assert "another process has ended" in said or "another task died" in said, said
    assert 0 < newest(tmp_path) < 8500
    finish(start(tmp_path, *RUN, "--resume", environment=environment))
    assert numbers(tmp_path) == numbers(alone)


def test_a_mistake_that_one_sees_ends_all(tmp_path: pathlib.Path, environment: dict[str, str]):
    (tmp_path / "6a.json").write_text("mine")
    for said in refusals(start_two(tmp_path, tmp_path / "second", environment=environment)):
        assert said == f"error: {tmp_path}/6a.json exists; --overwrite replaces it\n"
    assert not (tmp_path / "second").exists()


def test_processes_that_would_run_different_trials_are_refused(
    tmp_path: pathlib.Path, environment: dict[str, str]
):
    both = start_two(tmp_path, tmp_path, "--seed={i}", environment=environment)
    for i, said in enumerate(refusals(both)):
        assert said.startswith("error: rows and flags must be the same on all processes, here ")
        assert f"'seed': {i}" in said and said.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


# One process -----------------------------------------------------------------------------------


def test_alone_the_first_is_the_only_one():
    def fail() -> None:
        raise OSError("no space left on device")

    assert processes.is_first_process() and processes.on_first_process(lambda: 3) == 3
    with pytest.raises(OSError, match="no space left"):
        processes.on_first_process(fail)
    processes.check_same("numbers", [1, 2])


def test_arrays_come_to_the_host_whole():
    """...from one device or two, and those that are there stay what they are."""
    mesh = jax.sharding.Mesh(jax.devices()[:2], ("lanes",))
    sharding = jax.NamedSharding(mesh, jax.P("lanes"))
    values = np.arange(6.0, dtype=np.float32)
    tree = {"here": values, "there": jax.device_put(values, sharding), "one": jax.numpy.ones(2)}
    found = processes.on_host(tree)
    assert all(type(array) is np.ndarray for array in found.values())
    np.testing.assert_array_equal(found["there"], values)
    np.testing.assert_array_equal(found["here"], values)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("host", 2, 0), "coordinator must be HOST:PORT or 'auto', got 'host'"),
        (("host:70000", 2, 0), "coordinator must be HOST:PORT or 'auto', got 'host:70000'"),
        (("host:1234", None, 0), "num_processes must be at least 1, got None"),
        (("host:1234", 0, 0), "num_processes must be at least 1, got 0"),
        (("host:1234", 2, None), "process_id must be at least 0 and below 2, got None"),
        (("host:1234", 2, 2), "process_id must be at least 0 and below 2, got 2"),
        (("no.invalid:9999", 2, 0), "coordinator must be at a known host, got no.invalid:9999: "),
        (("no.invalid:9999", 2, 1), "coordinator must be at a known host, got no.invalid:9999: "),
        (("auto", 2, None), "must not be given with the coordinator 'auto', got 2 and None"),
    ],
)
def test_bad_arguments_are_named(arguments: tuple[Any, ...], message: str):
    with pytest.raises(ValueError, match=message):
        processes.connect(*arguments)


def test_a_port_that_is_taken_is_named():
    with socket.create_server(("", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ValueError, match=f"must be at a free port, got 127.0.0.1:{port}: Addr"):
            processes.connect(f"127.0.0.1:{port}", 2, 0)
