"""Devices share the work and change no bit: by any optimiser, on one, on many, on others'."""

from __future__ import annotations

import dataclasses
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
from small_tasks import COPY, LATCH, binary_environment, make_runner, make_update_rule

from lstm_jax.baselines.fully_recurrent import RecurrentNet, bptt_gradient
from lstm_jax.baselines.update_rules import RecurrentPerSequence
from lstm_jax.training.host.devices import Devices
from lstm_jax.training.trials.training_loop import TrainingLoop
from lstm_jax.training.update_rules.base import Vmapped
from lstm_jax.training.update_rules.per_sequence import PerSequenceUpdate

TRIALS = 9  # more than one device has lanes for
HERE = pathlib.Path(__file__)

# Prints a digest of Adam's models on the first N devices, for each N given, of all processes.
SCRIPT = """
import hashlib, sys
import jax, numpy as np, optax
from lstm_jax import processes
from small_tasks import LATCH, learn_by, make_runner

if len(sys.argv) > 2:
    processes.connect(sys.argv[2], 2, int(sys.argv[3]))
learning = learn_by(optax.adam(0.01), LATCH, 100)
for count in sys.argv[1].split(","):
    mesh = jax.sharding.Mesh(np.array(jax.devices()[: int(count)]), ("trials",))
    runner = make_runner(learning, range(9), mesh=mesh)
    runner.run_chunk()
    models = jax.tree.leaves(runner.state().trials.model)
    print("digest", hashlib.sha256(b"".join(model.tobytes() for model in models)).hexdigest())
"""


NET = RecurrentNet(num_inputs=4, num_hidden=3, num_outputs=1, connections="layered")
RIVAL = dataclasses.replace(LATCH, architecture=NET)
LEARNINGS = {
    "adam": make_update_rule(optax.adam(0.01), COPY, 100),
    "adam, full gradient": TrainingLoop(
        LATCH, PerSequenceUpdate(LATCH, optax.adam(0.01), "full"), 100
    ),
    "clipped, with a schedule": make_update_rule(
        optax.chain(
            optax.clip_by_global_norm(0.12), optax.rmsprop(optax.cosine_decay_schedule(0.05, 30))
        ),
        LATCH,
        100,
    ),
    "a rival": TrainingLoop(
        RIVAL, Vmapped(RecurrentPerSequence(RIVAL, optax.adam(0.01), bptt_gradient)), 100
    ),
}


@pytest.mark.parametrize("name", LEARNINGS)
@jax.numpy_dtype_promotion("standard")  # as optax needs it
def test_two_devices_are_one(name: str):
    meshes = (Mesh(jax.devices()[:count], ("trials",)) for count in (1, 2))
    one, two = (make_runner(LEARNINGS[name], range(TRIALS), mesh=mesh) for mesh in meshes)
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
    return [line for line in out.splitlines() if line.startswith("digest")]  # gloo talks, too


def test_adam_s_numbers_are_the_same_on_1_2_3_and_8_devices_and_on_2_processes():
    """...to the last bit; the two processes have two devices each, and use all, or three."""
    one, *more = digests(start(8, "1,2,3,8"))
    assert more == [one] * 3
    with socket.create_server(("", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    both = [start(2, "4,3", address, str(i)) for i in range(2)]
    for process in both:
        assert digests(process) == [one] * 2


# The mesh --------------------------------------------------------------------------------------


def test_what_is_spread_comes_back():
    devices = Devices(Mesh(jax.devices()[:2], ("trials",)), batch_size=3)
    tree = {"a": np.arange(12.0).reshape(2, 6), "b": np.arange(6)}
    parts = devices.spread(tree)
    assert [part["b"].tolist() for part in parts] == [[0, 1, 2], [3, 4, 5]]
    assert [part["a"].devices() for part in parts] == [{d} for d in jax.devices()[:2]]
    for name, array in devices.collect(parts).items():
        np.testing.assert_array_equal(array, tree[name])


def test_a_mesh_of_two_axes_is_refused():
    mesh = Mesh(np.array(jax.devices()[:2]).reshape(2, 1), ("a", "b"))
    with pytest.raises(ValueError, match=r"mesh must have one axis, got \('a', 'b'\)"):
        make_runner(LEARNINGS["adam"], [0], mesh=mesh)
