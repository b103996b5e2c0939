"""Several processes run one program, over loopback as over a network, with the same numbers."""

from __future__ import annotations

import pathlib
import socket
import subprocess

import jax
import numpy as np
import pytest
from resumable import PATIENCE, finish, kill_after_another_checkpoint, newest, numbers, start
from small_tasks import binary_environment

from lstm_jax.training.host import processes

RUN = ("--trials=9", "--max_sequences=8500")  # more trials than one device has, and 9 chunks


def start_two(first: pathlib.Path, second: pathlib.Path, *flags: str) -> list[subprocess.Popen]:
    """The binary twice, as on two hosts; {i} in a flag is the index of the process."""
    with socket.create_server(("", 0)) as free:
        port = free.getsockname()[1]
    flags = (f"--coordinator=127.0.0.1:{port}", "--num_processes=2", "--process_id={i}", *flags)
    return [
        start(out, *(flag.format(i=i) for flag in flags), environment=binary_environment())
        for i, out in enumerate((first, second))
    ]


def refusals(both: list[subprocess.Popen]) -> list[str]:
    """The messages of two processes that end with a user's mistake."""
    messages = [process.communicate(timeout=PATIENCE)[1] for process in both]
    assert [process.returncode for process in both] == [2, 2], messages
    return messages


def test_a_run_of_two_processes_survives_the_death_of_either(tmp_path: pathlib.Path):
    """The other process ends too, and the run continues on one process to the same numbers.

    Only the first process writes files.
    """
    first, second, alone = (tmp_path / name for name in ("first", "second", "alone"))
    for victim in (1, 0):
        both = start_two(first, second, *RUN, "--resume", "--devices=1")
        kill_after_another_checkpoint(both[victim], first, 0.0)
        _, message = both[1 - victim].communicate(timeout=PATIENCE)
        assert both[1 - victim].returncode != 0
        assert "another process has ended" in message or "another task died" in message, message
    assert 0 < newest(first) < 8500
    for out, flag in ((first, "--resume"), (alone, "--devices=1")):
        finish(start(out, *RUN, flag, environment=binary_environment()))
    assert numbers(first) == numbers(alone) and len(numbers(alone)["trials"]) == 9
    assert not second.exists()


def test_a_mistake_of_the_first_process_ends_all(tmp_path: pathlib.Path):
    (tmp_path / "6a.json").write_text("mine")
    for message in refusals(start_two(tmp_path, tmp_path / "second")):
        assert message == f"error: {tmp_path}/6a.json exists; --overwrite replaces it\n"


def test_processes_with_different_flags_are_refused(tmp_path: pathlib.Path):
    for i, message in enumerate(refusals(start_two(tmp_path, tmp_path, "--seed={i}"))):
        assert message.startswith("error: rows and flags must be the same on all processes, here ")
        assert f"'seed': {i}" in message and message.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


# One process -----------------------------------------------------------------------------------


def test_a_single_process_is_the_first():
    def fail() -> None:
        raise OSError("no space left on device")

    assert processes.is_first_process() and processes.on_first_process(lambda: 3) == 3
    with pytest.raises(OSError, match="no space left"):
        processes.on_first_process(fail)
    processes.check_same("numbers", [1, 2])


def test_whole_arrays_are_copied_to_the_host():
    """They may be on the host, on one device, or on two."""
    mesh = jax.sharding.Mesh(jax.devices()[:2], ("trials",))
    sharding = jax.NamedSharding(mesh, jax.P("trials"))
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
def test_bad_arguments_are_named(arguments: tuple, message: str):
    with pytest.raises(ValueError, match=message):
        processes.connect(*arguments)


def test_a_port_that_is_taken_is_named():
    with socket.create_server(("", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ValueError, match=f"must be at a free port, got 127.0.0.1:{port}: Addr"):
            processes.connect(f"127.0.0.1:{port}", 2, 0)
