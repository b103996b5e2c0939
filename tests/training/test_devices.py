"""Trials have the same numbers, to the last bit, on any number of devices and processes."""

from __future__ import annotations

import pathlib
import socket
import subprocess
import sys

import jax
import numpy as np
import optax
import pytest
from helpers import assert_equal
from jax.sharding import Mesh
from small_tasks import LATCH, binary_environment, make_loop, make_runner

from lstm_jax import baselines
from lstm_jax.tasks import replace_hyperparameters
from lstm_jax.training.host.devices import Devices

TRIALS = 9  # more than one device has at a time
HERE = pathlib.Path(__file__)

# Prints a digest of the models, trained by Adam on the first N devices of all processes, for each
# given N.
SCRIPT = """
import hashlib, sys
import jax, numpy as np, optax
from lstm_jax import processes
from small_tasks import LATCH, make_loop, make_runner

if len(sys.argv) > 2:
    processes.connect(sys.argv[2], 2, int(sys.argv[3]))
loop = make_loop(optax.adam(0.01), LATCH, 100)
for count in sys.argv[1].split(","):
    mesh = jax.sharding.Mesh(np.array(jax.devices()[: int(count)]), ("trials",))
    runner = make_runner(loop, range(9), mesh=mesh)
    runner.run_chunk()
    models = jax.tree.leaves(runner.state().trials.model)
    print("digest", hashlib.sha256(b"".join(model.tobytes() for model in models)).hexdigest())
"""


LOOPS = {
    "full gradient, clipped, with a schedule": make_loop(
        optax.chain(
            optax.clip_by_global_norm(0.12), optax.rmsprop(optax.cosine_decay_schedule(0.05, 30))
        ),
        replace_hyperparameters(LATCH, gradient="full"),
        100,
    ),
    "a baseline": baselines.training_loop(LATCH, "BPTT", optimiser=optax.adam(0.01)),
}


@pytest.mark.parametrize("name", LOOPS)
@jax.numpy_dtype_promotion("standard")  # as optax needs it
def test_two_devices_compute_the_same_as_one(name: str):
    meshes = (Mesh(jax.devices()[:count], ("trials",)) for count in (1, 2))
    one, two = (make_runner(LOOPS[name], range(TRIALS), mesh=mesh) for mesh in meshes)
    before = one.state().trials.model
    for runner in (one, two):
        runner.run_chunk()
    assert not np.array_equal(*(jax.tree.leaves(m)[0] for m in (before, one.state().trials.model)))
    assert_equal(one.state(), two.state())


def start(devices: int, *arguments: str) -> subprocess.Popen:
    environment = binary_environment()
    flags = (environment.get("XLA_FLAGS", ""), f"--xla_force_host_platform_device_count={devices}")
    environment["XLA_FLAGS"] = " ".join(flags)
    environment["PYTHONPATH"] = f"{HERE.parents[2]}:{HERE.parents[1]}"
    command = [sys.executable, "-c", SCRIPT, *arguments]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


def digests(process: subprocess.Popen) -> list[str]:
    out, _ = process.communicate(timeout=300)
    assert process.returncode == 0
    return [line for line in out.splitlines() if line.startswith("digest")]


def test_numbers_are_the_same_on_1_3_and_4_devices_and_on_2_processes():
    """The two processes have two devices each, and use four or three of them."""
    one, *more = digests(start(4, "1,3,4"))
    assert more == [one] * 2
    with socket.create_server(("", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    both = [start(2, "4,3", address, str(i)) for i in range(2)]
    for process in both:
        assert digests(process) == [one] * 2


def test_gather_is_the_inverse_of_scatter():
    devices = Devices(Mesh(jax.devices()[:2], ("trials",)), batch_size=3)
    tree = {"a": np.arange(12.0).reshape(2, 6), "b": np.arange(6)}
    parts = devices.scatter(tree)
    assert [part["b"].tolist() for part in parts] == [[0, 1, 2], [3, 4, 5]]
    assert [part["a"].devices() for part in parts] == [{d} for d in jax.devices()[:2]]
    for name, array in devices.gather(parts).items():
        np.testing.assert_array_equal(array, tree[name])


def test_a_mesh_of_two_axes_is_refused():
    mesh = Mesh(np.array(jax.devices()[:2]).reshape(2, 1), ("a", "b"))
    with pytest.raises(ValueError, match=r"mesh must have one axis, got \('a', 'b'\)"):
        Devices(mesh, batch_size=8)
