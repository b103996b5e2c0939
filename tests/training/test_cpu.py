"""`configure_cpu` adds the missing flags to `XLA_FLAGS`, or refuses if it is too late."""

from __future__ import annotations

import json
import os
import pathlib
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

SMALL_LOOPS = (
    f"--xla_backend_extra_options=xla_cpu_small_while_loop_byte_threshold={SMALL_LOOP_BYTES}"
)
SCRIPT = """
import json, os, sys
from lstm_jax import configure_cpu
configure_cpu(*json.loads(sys.argv[1]))
import jax
print(json.dumps([jax.device_count(), float(jax.numpy.arange(3.0).sum()), os.environ["XLA_FLAGS"]]))
"""


def configure(flags: str, *arguments: int) -> tuple[int, float, list[str]]:
    """Devices, a computed sum and the flags, of a new process that calls `configure_cpu`."""
    environment = os.environ | {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": flags}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, json.dumps(arguments)],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    devices, total, flags_after = json.loads(done.stdout)
    return devices, total, flags_after.split()


def test_missing_flags_are_set():
    """XLA knows them: an unknown flag would end the process."""
    flags = [SMALL_LOOPS, "--xla_force_host_platform_device_count=3"]
    assert configure("", 3) == (3, 3.0, flags)


def test_flags_of_the_environment_keep_their_values():
    other = "--xla_cpu_multi_thread_eigen=false"
    two_devices = "--xla_force_host_platform_device_count=2"
    devices, _, flags = configure(f"{other} {two_devices}", 3)
    assert (devices, flags) == (2, [other, two_devices, SMALL_LOOPS])


def test_flags_after_the_start_of_jax_are_refused(monkeypatch: pytest.MonkeyPatch):
    """If no flag is missing, there is no error."""
    assert jax.device_count() > 0  # the backend has started
    monkeypatch.setenv("XLA_FLAGS", "")
    with pytest.raises(RuntimeError, match=r"before JAX computes anything: restart .* go on"):
        configure_cpu()
    assert os.environ["XLA_FLAGS"] == ""
    flags = f"{SMALL_LOOPS} --xla_force_host_platform_device_count=2"
    monkeypatch.setenv("XLA_FLAGS", flags)
    configure_cpu(8)
    assert os.environ["XLA_FLAGS"] == flags


def test_a_jax_that_does_not_say_whether_it_has_started_is_configured(
    monkeypatch: pytest.MonkeyPatch,
):
    from jax._src import xla_bridge

    monkeypatch.setenv("XLA_FLAGS", "")
    monkeypatch.delattr(xla_bridge, "backends_are_initialized")
    configure_cpu()
    assert os.environ["XLA_FLAGS"] == SMALL_LOOPS


@pytest.mark.parametrize("num_devices", [0, -2])
def test_the_number_of_devices_must_be_positive(num_devices: int):
    with pytest.raises(
        ValueError, match=f"num_devices must be an integer of at least 1, got {num_devices}"
    ):
        configure_cpu(num_devices)


def test_without_the_flag_batches_are_larger_and_a_warning_is_logged_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setenv("XLA_FLAGS", "")
    monkeypatch.setattr("absl.logging._log_counter_per_token", {})  # of other tests
    sizes = [default_batch_size(platform) for platform in ("cpu", "cpu", "gpu")]
    assert sizes == [UNCONFIGURED_BATCH_SIZE, UNCONFIGURED_BATCH_SIZE, BATCH_SIZE]
    (message,) = caplog.messages
    assert "lstm_jax.configure_cpu() before JAX computes anything" in message
    assert "\n" not in message
    monkeypatch.setenv("XLA_FLAGS", SMALL_LOOPS)
    assert default_batch_size("cpu") == BATCH_SIZE
    assert len(caplog.messages) == 1


def test_a_runner_has_the_given_batch_size_or_the_default():
    """It may decide the last bits of the numbers."""
    assert TrialRunner(sgd(LATCH), range(3)).devices.batch_size == default_batch_size("cpu")
    assert make_runner(sgd(LATCH), range(3), batch_size=5).devices.batch_size == 5


CACHED = """
import sys
import jax
import lstm_jax as lstm
lstm.configure_cpu(cache=sys.argv[1])
hits = []
jax.monitoring.register_event_listener(lambda event, **_: hits.append(event))
runner = lstm.TrialRunner(lstm.TrainingLoop(lstm.make_task("6a"), chunk=10), range(2))
error = runner.run_chunk().error
print(error, sum("cache_hit" in event for event in hits))
"""


def test_a_later_process_reads_what_an_earlier_one_has_compiled(tmp_path: pathlib.Path):
    """...and gets the same numbers."""
    folder = tmp_path / "cache"

    def run() -> tuple[float, int]:
        command = [sys.executable, "-c", CACHED, str(folder)]
        clean = {k: v for k, v in os.environ.items() if k != "JAX_COMPILATION_CACHE_DIR"}
        done = subprocess.run(command, env=clean, capture_output=True, text=True, check=True)
        error, hits = done.stdout.split()
        return float(error), int(hits)

    first, second = run(), run()
    assert first[0] == second[0] and first[1] == 0 and second[1] >= 2
