"""`configure_cpu` adds to the environment's `XLA_FLAGS`, in time or not at all."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import jax
import pytest
from small_tasks import LATCH, make_runner, sgd

from lstm_jax.training.host.cpu import (
    BATCH_SIZE,
    SMALL_LOOP_BYTES,
    UNCONFIGURED_BATCH_SIZE,
    configure_cpu,
    default_batch_size,
)
from lstm_jax.training.trials.runner import TrialRunner

SCRIPT = """
import json, os, sys
from lstm_jax import configure_cpu
configure_cpu(*json.loads(sys.argv[1]))
import jax
print(json.dumps([jax.device_count(), float(jax.numpy.arange(3.0).sum()), os.environ["XLA_FLAGS"]]))
"""


def configure(flags: str | None, *arguments: int) -> tuple[int, float, list[str]]:
    """Devices, a computed sum and the flags, of a new process that calls `configure_cpu`."""
    environment = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}
    environment |= {"JAX_PLATFORMS": "cpu"} | ({} if flags is None else {"XLA_FLAGS": flags})
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, json.dumps(arguments)],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    devices, total, flags_after = json.loads(done.stdout)
    return devices, total, flags_after.split()


def small_loops(limit: int) -> str:
    return f"--xla_backend_extra_options=xla_cpu_small_while_loop_byte_threshold={limit}"


def test_flags_are_set_where_there_were_none():
    """XLA knows them: an unknown flag would end the process."""
    wanted = [small_loops(SMALL_LOOP_BYTES), "--xla_force_host_platform_device_count=3"]
    assert configure(None, 3) == (3, 3.0, wanted)


def test_what_the_environment_says_stays():
    """Its flags are kept, and come first; where they say what would be set, they prevail."""
    other = "--xla_cpu_multi_thread_eigen=false"
    devices, _, flags = configure(f"{other} --xla_force_host_platform_device_count=2", 3, 4096)
    assert devices == 2
    assert flags == [other, "--xla_force_host_platform_device_count=2", small_loops(4096)]


@pytest.fixture
def no_flags(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XLA_FLAGS", "")


@pytest.mark.usefixtures("no_flags")
def test_too_late_is_an_error():
    """Flags that JAX will not read are not set in silence."""
    assert jax.device_count() > 0  # the backend has started
    with pytest.raises(RuntimeError, match=r"before JAX computes anything: restart .* go on"):
        configure_cpu()
    assert os.environ["XLA_FLAGS"] == ""


def test_too_late_is_no_error_where_nothing_needs_to_be_set(monkeypatch: pytest.MonkeyPatch):
    flags = f"{small_loops(1)} --xla_force_host_platform_device_count=2"
    monkeypatch.setenv("XLA_FLAGS", flags)
    assert jax.device_count() > 0
    configure_cpu(8)
    assert os.environ["XLA_FLAGS"] == flags


@pytest.mark.usefixtures("no_flags")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_devices": 0}, "num_devices must be an integer of at least 1, got 0"),
        ({"num_devices": -2}, "num_devices must be an integer of at least 1, got -2"),
        ({"small_loop_bytes": 0}, "small_loop_bytes must be an integer of at least 1, got 0"),
    ],
)
def test_numbers_must_be_positive(arguments: dict[str, int], message: str):
    with pytest.raises(ValueError, match=message):
        configure_cpu(**arguments)
    assert os.environ["XLA_FLAGS"] == ""


@pytest.mark.usefixtures("no_flags")
def test_without_the_flag_more_trials_lie_side_by_side_and_a_line_says_why(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    """...once, where to call what, and what it gives; with it, or elsewhere, nothing is said."""
    monkeypatch.setattr("absl.logging._log_counter_per_token", {})  # other tests began trials too
    counts = [default_batch_size("cpu"), default_batch_size("cpu"), default_batch_size("gpu")]
    assert counts == [UNCONFIGURED_BATCH_SIZE, UNCONFIGURED_BATCH_SIZE, BATCH_SIZE]
    assert len(caplog.messages) == 1 and "\n" not in caplog.messages[0]
    assert "lstm_jax.configure_cpu(), called before JAX computes anything" in caplog.messages[0]
    monkeypatch.setenv("XLA_FLAGS", small_loops(1 << 20))
    assert default_batch_size("cpu") == BATCH_SIZE
    assert len(caplog.messages) == 1


def test_a_runner_tells_its_lanes():
    """...which may decide the last bits of its numbers; said or not."""
    loop = sgd(LATCH)
    assert TrialRunner(loop, range(3)).devices.batch_size == default_batch_size("cpu")
    assert make_runner(loop, range(3), batch_size=5).devices.batch_size == 5


@pytest.mark.usefixtures("no_flags")
def test_a_jax_that_does_not_tell_whether_it_has_started_is_configured(
    monkeypatch: pytest.MonkeyPatch,
):
    from jax._src import xla_bridge

    monkeypatch.delattr(xla_bridge, "backends_are_initialized")
    configure_cpu()
    assert os.environ["XLA_FLAGS"] == small_loops(SMALL_LOOP_BYTES)
