"""How time and memory grow with length, cells, trials and batch; slopes on log-log axes."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.benchmarks.big_nets import make_loss
from experiments.benchmarks.measure import OURS, Measurement, Plan, measure_jax
from lstm_jax import Architecture, TrainingLoop, TrialRunner, initialise, make_task
from lstm_jax.network.online import online_gradient
from lstm_jax.plots import style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RULES = ("truncated", "full", "online")
SIZES = {
    "T, steps": (10, 100, 1_000, 10_000, 100_000),
    "C, cells": (4, 16, 64, 256, 1_024),
    "B, batch": (1, 4, 16, 64, 256, 1_024),
    "R, trials": (1, 8, 64, 512, 4_096, 10_000),
}
STEPS, INPUTS, CELLS = 100, 8, 8  # of the sizes that do not grow
TOO_SLOW = 3.0  # seconds a run, after which a series ends
CHECK = "same functions as in the other cases, checked there"


def run(plan: Plan) -> list[Measurement]:
    """Measures every series."""
    measurements = []
    for axis, sizes in SIZES.items():
        rules = ("truncated",) if axis.startswith("R") else RULES
        for rule in rules if not axis.startswith("B") else RULES[:2]:
            some = sizes[: plan.size(len(sizes), 2)]
            measurements += _series(plan, axis, rule, some)
    return measurements


def _series(plan: Plan, axis: str, rule: str, sizes: tuple[int, ...]) -> list[Measurement]:
    """One line of the plots, up to the size that takes too long; its slopes are in its notes."""
    few = dataclasses.replace(plan, repeats=min(plan.repeats, 5))
    found: list[Measurement] = []
    for size in sizes:
        function, *arguments = _problem(axis, rule, size)
        name = f"{OURS} {rule}, {axis[0]} = {size:,}"
        measurement = measure_jax(
            few, name, function, *arguments, work=1, unit="gradients", check=CHECK
        )
        measurement.notes |= {"axis": axis, "rule": rule, "size": size}
        found.append(measurement)
        jax.clear_caches()
        if measurement.run_seconds > TOO_SLOW:
            break
    sizes_found = [m.notes["size"] for m in found]
    found[-1].notes["slope of time"] = slope(sizes_found, [m.run_seconds for m in found])
    memory = [m.temporary_bytes or 0 for m in found]
    found[-1].notes["slope of memory"] = slope(sizes_found, memory)
    return found


def slope(sizes: list[int], values: Sequence[float]) -> float | None:
    """The slope on log-log axes over the last three sizes, where constant costs are left behind.

    >>> slope([1, 10, 100, 1000], [5.0, 10.0, 100.0, 1000.0])
    1.0
    """
    if len(sizes) < 2 or min(values[-3:]) <= 0:
        return None
    return round(float(np.polyfit(np.log(sizes[-3:]), np.log(values[-3:]), 1)[0]), 2)


def _problem(axis: str, rule: str, size: int) -> tuple[Any, ...]:
    """A function and its arguments: a gradient, or an update of every trial."""
    if axis.startswith("R"):
        return _updates(size)
    steps = size if axis.startswith("T") else STEPS
    cells = size if axis.startswith("C") else CELLS
    batch = size if axis.startswith("B") else 1
    net = Architecture(num_inputs=INPUTS, blocks=(2,) * (cells // 2), num_outputs=cells)
    parameters = initialise(jax.random.key(0), net)
    inputs = jax.random.normal(jax.random.key(1), (steps, batch, INPUTS))
    targets = jax.random.uniform(jax.random.key(2), (steps, batch, cells))
    if rule == "online":
        weights = jnp.ones(steps)
        gradient = functools.partial(online_gradient, net)
        data = (inputs[:, 0], targets[:, 0], weights)
        return lambda parameters, data: gradient(parameters, *data)[1], parameters, data

    def loss(parameters: Any, data: tuple[jax.Array, jax.Array]) -> jax.Array:
        return make_loss(net, *data, rule)(parameters)  # type: ignore[arg-type]

    return jax.grad(loss), parameters, (inputs, targets)


def _updates(trials: int) -> tuple[Any, ...]:
    """Ten updates of each trial of task 6a, in waves of eight lanes."""
    loop: TrainingLoop = dataclasses.replace(TrainingLoop(make_task("6a")), chunk=10)
    batch_size = min(trials, 8)
    wave = TrialRunner(loop, range(batch_size), batch_size=batch_size).state().trials
    waves = jax.tree.map(lambda a: np.stack([a] * -(-trials // batch_size)), wave)

    def run(waves: Any, num_sequences: jax.Array) -> Any:
        return jax.lax.map(lambda wave: loop.run_chunk(wave, num_sequences)[1], waves)

    return run, waves, jnp.int32(0)


def draw(measurements: Sequence[Measurement]) -> Figure:
    """Time above, memory below, a column for each size; the legends tell the slopes."""
    figure, places = style.new_figure(16, 7, rows=2, columns=len(SIZES), sharex="col")
    above, below = places[: len(SIZES)], places[len(SIZES) :]
    for i, axis in enumerate(SIZES):
        for number, rule in enumerate(RULES):
            line = [m for m in measurements if m.notes["axis"] == axis and m.notes["rule"] == rule]
            if not line:
                continue
            sizes, notes = [m.notes["size"] for m in line], line[-1].notes
            seconds = [m.run_seconds for m in line]
            memory = [max(m.temporary_bytes or 0, 1) for m in line]
            own, told = style.line_style(number), f"{rule}: slope {{}}"
            above[i].loglog(sizes, seconds, label=told.format(notes["slope of time"]), **own)
            below[i].loglog(sizes, memory, label=told.format(notes["slope of memory"]), **own)
        below[i].set_xlabel(axis)
        for axes in (above[i], below[i]):
            style.add_legend(axes)
    above[0].set_ylabel("seconds a gradient (R: 10 updates each)")
    below[0].set_ylabel("XLA's temporary memory, bytes")
    return figure
