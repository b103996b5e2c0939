"""Case growth: time and memory against steps, cells, batch and trials, on log-log axes."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np

from experiments.benchmarks.big_nets import make_loss
from experiments.benchmarks.measure import OURS, BenchmarkPlan, Measurement, measure_jax
from lstm_jax import Architecture, TrainingLoop, TrialRunner, initialise, make_task
from lstm_jax.cell.parameters import Parameters
from lstm_jax.network.files import Document
from lstm_jax.network.online import online_gradient
from lstm_jax.plots import style
from lstm_jax.training.update_rules.base import AnyModel

if TYPE_CHECKING:
    from matplotlib.figure import Figure

GRADIENTS = ("truncated", "full", "online")
SIZES = {
    "T, steps": (10, 100, 1_000, 10_000, 100_000),
    "C, cells": (4, 16, 64, 256, 1_024),
    "B, batch": (1, 4, 16, 64, 256, 1_024),
    "R, trials": (1, 8, 64, 512, 4_096, 10_000),
}
STEPS, INPUTS, CELLS = 100, 8, 8  # the sizes held fixed
MAX_SECONDS = 3.0  # per run; a slower size ends its series
CHECK = "same functions as in the other cases, checked there"


def run(plan: BenchmarkPlan) -> list[Measurement]:
    """Measure every series."""
    measurements = []
    for axis, sizes in SIZES.items():
        for gradient in GRADIENTS[: {"R": 1, "B": 2}.get(axis[0])]:
            measurements += _series(plan, axis, gradient, sizes[: plan.size(len(sizes), 2)])
    return measurements


def _series(
    plan: BenchmarkPlan, axis: str, gradient: str, sizes: tuple[int, ...]
) -> list[Measurement]:
    """Measure one line of the plots; the last measurement notes the slopes."""
    plan = dataclasses.replace(plan, repeats=min(plan.repeats, 5))
    found: list[Measurement] = []
    for size in sizes:
        function, *arguments = _problem(axis, gradient, size)
        name = f"{OURS} {gradient}, {axis[0]} = {size:,}"
        measurement = measure_jax(plan, name, function, *arguments, check=CHECK)
        measurement.notes |= {"axis": axis, "rule": gradient, "size": size}
        found.append(measurement)
        jax.clear_caches()
        if measurement.run_seconds > MAX_SECONDS:
            break
    seconds, memory = zip(*((m.run_seconds, m.temporary_bytes or 0) for m in found), strict=True)
    found[-1].notes["slope of time"] = slope(sizes, seconds)
    found[-1].notes["slope of memory"] = slope(sizes, memory)
    return found


def slope(sizes: Sequence[int], values: Sequence[float]) -> float | None:
    """Return the slope on log-log axes over the last three sizes, where constant costs are small.

    >>> slope([1, 10, 100, 1000], [5.0, 10.0, 100.0, 1000.0])
    1.0
    """
    if len(values) < 2 or min(values[-3:]) <= 0:
        return None
    sizes = sizes[: len(values)]
    return round(float(np.polyfit(np.log(sizes[-3:]), np.log(values[-3:]), 1)[0]), 2)


def _problem(axis: str, gradient: str, size: int) -> tuple:
    """Return a function and its arguments: a gradient, or an update of every trial."""
    if axis.startswith("R"):
        return _updates(size)
    steps = size if axis.startswith("T") else STEPS
    cells = size if axis.startswith("C") else CELLS
    batch = size if axis.startswith("B") else 1
    net = Architecture(num_inputs=INPUTS, blocks=(2,) * (cells // 2), num_outputs=cells)
    parameters = initialise(jax.random.key(0), net)
    inputs = jax.random.normal(jax.random.key(1), (steps, batch, INPUTS))
    targets = jax.random.uniform(jax.random.key(2), (steps, batch, cells))
    if gradient == "online":
        data = (inputs[:, 0], targets[:, 0], jnp.ones(steps))
        return lambda p, data: online_gradient(net, p, *data)[1], parameters, data

    def loss(parameters: Parameters, data: tuple[jax.Array, jax.Array]) -> jax.Array:
        return make_loss(net, *data, gradient)(parameters)  # type: ignore[arg-type]

    return jax.grad(loss), parameters, (inputs, targets)


def _updates(trials: int) -> tuple:
    """Return ten updates of each trial of task 6a, in batches of eight trials."""
    loop = dataclasses.replace(TrainingLoop(make_task("6a")), chunk=10)
    batch_size = min(trials, 8)
    batch = TrialRunner(loop, range(batch_size), batch_size=batch_size).state().trials
    batches = jax.tree.map(lambda a: np.stack([a] * -(-trials // batch_size)), batch)

    def run(batches: AnyModel, num_sequences: jax.Array) -> AnyModel:
        return jax.lax.map(lambda batch: loop.run_chunk(batch, num_sequences)[1], batches)

    return run, batches, jnp.int32(0)


def draw(measurements: Sequence[Document]) -> Figure:
    """Draw time above and memory below, one column per size; the legends state the slopes."""
    figure, panels = style.new_figure(16, 7, rows=2, columns=len(SIZES), sharex="col")
    for i, axis in enumerate(SIZES):
        above, below = panels[i], panels[i + len(SIZES)]
        for number, gradient in enumerate(GRADIENTS):
            is_of_line = lambda notes, g=gradient, a=axis: notes["axis"] == a and notes["rule"] == g
            line = [m for m in measurements if is_of_line(m["notes"])]
            if not line:
                continue
            sizes, options = [m["notes"]["size"] for m in line], style.line_style(number)
            seconds = [m["run_seconds"] for m in line]
            memory = [max(m["temporary_bytes"] or 0, 1) for m in line]
            for axes, values, name in ((above, seconds, "time"), (below, memory, "memory")):
                label = f"{gradient}: slope {line[-1]['notes'][f'slope of {name}']}"
                axes.loglog(sizes, values, label=label, **options)
        below.set_xlabel(axis)
        for axes in (above, below):
            style.add_legend(axes)
    panels[0].set_ylabel("seconds per gradient (R: 10 updates each)")
    panels[len(SIZES)].set_ylabel("XLA's temporary memory, bytes")
    return figure
