"""Case scaling: online training of 6a on several devices.

Strong scaling: the 20 trials of case b on one device and on two. Weak scaling: 8 trials per device
on 2, 4, 8, ... devices, against one device with the same total work. More devices than cores are
simulated: their time shows the cost of sharding, not the gain from more machines.
"""

from __future__ import annotations

import dataclasses
import os

import jax
import numpy as np
from jax.sharding import Mesh

from experiments.benchmarks.measure import OURS, BenchmarkPlan, Measurement, measure_call
from lstm_jax import TrainingLoop, TrialRunner, make_task
from lstm_jax.training.host.cpu import BATCH_SIZE

TRIALS = 20  # of case b
# Two devices with 8 trials each hold 16 of the 20, with 10 each all.
STRONG = ((TRIALS, BATCH_SIZE), (TRIALS, TRIALS // 2), (4 * BATCH_SIZE, BATCH_SIZE))


def run(plan: BenchmarkPlan) -> list[Measurement]:
    """Measure strong scaling on two devices and weak scaling on all devices."""
    measurements = []
    for trials, batch_size in STRONG[: plan.size(len(STRONG), 1)]:
        one, two = _pair(plan, trials, 2, batch_size)
        two.notes["speed to 1 device"] = round(one.run_seconds / two.run_seconds, 2)
        measurements += [one, two]
    num_devices = 2
    while num_devices <= min(jax.device_count(), plan.size(64, 4)):
        one, many = _pair(plan, BATCH_SIZE * num_devices, num_devices, BATCH_SIZE)
        cores = min(num_devices, os.cpu_count() or 1)
        overhead = cores * many.run_seconds / one.run_seconds - 1
        many.notes[f"overhead over 1 device's time on {cores} cores"] = f"{overhead:.1%}"
        measurements += [one, many]
        num_devices *= 2
    return measurements


def _pair(
    plan: BenchmarkPlan, trials: int, num_devices: int, batch_size: int
) -> tuple[Measurement, Measurement]:
    """Measure the same trials on one device and on many."""
    chunk = plan.size(200, 2)  # no trial ends within all repeats
    loop = dataclasses.replace(TrainingLoop(make_task("6a")), chunk=chunk)
    one, many = (
        TrialRunner(
            loop,
            range(trials),
            mesh=Mesh(np.array(jax.devices()[:devices]), ("trials",)),
            batch_size=batch_size,
        )
        for devices in (1, num_devices)
    )
    check = _check_same(one, many)
    first, second = (
        measure_call(
            plan,
            f"{OURS} {trials} trials, {devices} device(s)",
            runner.run_chunk,
            work=trials * chunk,
            unit="sequences",
            check=check,
        )
        for runner, devices in ((one, 1), (many, num_devices))
    )
    first.notes["batch_size"] = second.notes["batch_size"] = batch_size
    return first, second


def _check_same(one: TrialRunner, many: TrialRunner) -> str:
    """Check a chunk on many devices bit by bit against one device, or raise AssertionError."""
    for runner in (one, many):
        runner.run_chunk()
    for a, b in zip(*map(jax.tree.leaves, (one.state(), many.state())), strict=True):
        np.testing.assert_array_equal(a, b)
    return "the numbers of 1 device, to the last bit"
