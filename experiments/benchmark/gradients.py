"""Cases d, e, h, i, j and growth: gradients.

d, e, i, j    one gradient of a big net on a batch of sequences, loss at every step
h             the compile time against the length of a sequence
growth        time and memory against steps, cells, batch and trials, on log-log axes
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np

import lstm_jax as lstm
from experiments.benchmark import peers
from experiments.benchmark.measure import (
    OURS,
    BenchmarkPlan,
    Measurement,
    check_close,
    check_gradient,
)
from lstm_jax import TrialRunner, make_task
from lstm_jax.network.files import Document
from lstm_jax.network.interop import modern
from lstm_jax.network.run import Gradient
from lstm_jax.plots import style
from lstm_jax.training.update_rules.base import AnyModel

Net = tuple[str, lstm.Architecture, Gradient]  # the ending of its name, the network, its gradient

SIZES = {"d": (200, 32, 64, 256), "e": (1000, 16, 32, 128)}  # steps, batch, inputs, cells
SIZES |= {"i": SIZES["d"], "j": SIZES["e"]}
QUICK = (10, 3, 4, 8)
LENGTHS = (10, 100, 1_000, 10_000)  # of case h
GRADIENTS = ("truncated", "full", "online")
GROWTH = {
    "T, steps": (10, 100, 1_000, 10_000, 100_000),
    "C, cells": (4, 16, 64, 256, 1_024),
    "B, batch": (1, 4, 16, 64, 256, 1_024),
    "R, trials": (1, 8, 64, 512, 4_096, 10_000),
}
STEPS, INPUTS, CELLS = 100, 8, 8  # the sizes held fixed in growth
MAX_SECONDS = 3.0  # per run; a slower size ends its series
CHECK = "same functions as in the other cases, checked there"


def run_big_nets(case: str, plan: BenchmarkPlan) -> list[Measurement]:
    """Measure our gradients and the peers'."""
    steps, batch, num_inputs, num_cells = QUICK if plan.quick else SIZES[case]
    keys = jax.random.split(jax.random.key(0))
    inputs = jax.random.normal(keys[0], (steps, batch, num_inputs))
    targets = jax.random.uniform(keys[1], (steps, batch, num_cells), minval=-1.0)
    found = [_measure_net(plan, net, inputs, targets) for net in _nets(case, num_inputs, num_cells)]
    for peer in peers.jax_peers(num_inputs, num_cells):
        loss = lambda weights, peer=peer: 0.5 * jnp.mean((peer.run(weights, inputs) - targets) ** 2)
        check = check_gradient(loss, peer.weights)
        found.append(plan.measure(peer.name, jax.grad(loss), peer.weights, check=check))
    if plan.with_torch and peers.torch is not None:
        call = peers.layer_gradient(np.asarray(inputs), np.asarray(targets))
        found.append(plan.measure("torch.nn.LSTM", call, check=peers.UNCHECKED, jit=False))
    return found


def _nets(case: str, num_inputs: int, num_cells: int) -> list[Net]:
    """Return the peers' cell in cases i and j, and the cell of 1997 in d and e.

    Blocks of one cell have as many gates as a peer's cells. Blocks of four share their gates. Nets
    without recurrent connections compute another function, of which the carrousel is the only loop.
    """
    alone = {"recurrent": "none"}
    if case in "ij":
        net = modern(num_inputs, num_cells)
        others = (", modern, no recurrence", dataclasses.replace(net, **alone), "truncated")
        return [(", modern", net, "truncated"), (", modern", net, "full"), others]
    single, in_blocks = (lstm.Architecture(num_inputs, (n,) * (num_cells // n), 1) for n in (1, 4))
    return [
        ("", single, "truncated"),
        ("", single, "full"),
        (", blocks of 4", in_blocks, "truncated"),
        (", no recurrence", dataclasses.replace(single, **alone), "truncated"),
    ]


def make_loss(
    net: lstm.Architecture, inputs: jax.Array, targets: jax.Array, gradient: Gradient
) -> Callable[[lstm.Parameters], jax.Array]:
    """Return the mean squared error of every cell output at every step, for [T, B, ...] data."""

    def run_one(parameters: lstm.Parameters, inputs: jax.Array) -> jax.Array:
        activations, _ = lstm.unroll(
            net, parameters, inputs, options=lstm.RunOptions(gradient=gradient)
        )
        return activations.cell_output

    over_batch = jax.vmap(run_one, in_axes=(None, 1), out_axes=1)
    return lambda parameters: 0.5 * jnp.mean((over_batch(parameters, inputs) - targets) ** 2)


def _measure_net(
    plan: BenchmarkPlan, net: Net, inputs: jax.Array, targets: jax.Array
) -> Measurement:
    ending, architecture, gradient = net
    parameters = lstm.initialise(jax.random.key(2), architecture)
    loss = make_loss(architecture, inputs, targets, gradient)
    if gradient == "truncated":
        reference = make_loss(architecture, inputs, targets, "truncated_autodiff")
        found, expected = (jax.jit(jax.grad(f))(parameters).layer for f in (loss, reference))
        check = check_close("against truncated_autodiff", found, expected, 1e-4)
    else:
        check = check_gradient(loss, parameters)
    name = f"{OURS} {gradient}{ending}"
    return plan.measure(name, jax.grad(loss), parameters, check=check)


def run_compilation(plan: BenchmarkPlan) -> list[Measurement]:
    """Measure the gradient of task 6a's net at the end of sequences of different lengths."""
    net = make_task("6a").architecture
    parameters = lstm.initialise(jax.random.key(0), net)
    jax.jit(jnp.sin).lower(1.0).compile()  # start the compiler before it is timed

    def gradient(parameters: lstm.Parameters, symbols: jax.Array, rule: Gradient = "truncated"):
        def loss(parameters: lstm.Parameters) -> jax.Array:
            options = lstm.RunOptions(gradient=rule)
            outputs, _ = lstm.apply(net, parameters, symbols, at="end", options=options)
            return lstm.half_squared_error(outputs, jnp.zeros_like(outputs))

        return jax.grad(loss)(parameters)

    measurements = []
    for length in LENGTHS[: plan.size(len(LENGTHS), 2)]:
        symbols = jax.random.randint(jax.random.key(1), (length,), 0, net.num_inputs)
        found = jax.jit(gradient)(parameters, symbols)
        expected = jax.jit(gradient, static_argnums=2)(parameters, symbols, "truncated_autodiff")
        check = check_close("against truncated_autodiff", found, expected, 1e-3)
        jax.clear_caches()
        options = {"work": length, "unit": "steps", "check": check}
        name, arguments = f"{OURS} T = {length:,}", (parameters, symbols)
        measurements.append(plan.measure(name, gradient, *arguments, **options))
    return measurements


def run_growth(plan: BenchmarkPlan) -> list[Measurement]:
    """Measure every series."""
    measurements = []
    for axis, sizes in GROWTH.items():
        for gradient in GRADIENTS[: {"R": 1, "B": 2}.get(axis[0])]:
            measurements += _series(plan, axis, gradient, sizes[: plan.size(len(sizes), 2)])
    return measurements


def _series(
    plan: BenchmarkPlan, axis: str, gradient: str, sizes: tuple[int, ...]
) -> list[Measurement]:
    """Measure one line of the plots; the last measurement notes the slopes."""
    few, found = dataclasses.replace(plan, repeats=min(plan.repeats, 5)), []
    for size in sizes:
        function, *arguments = _problem(axis, gradient, size)
        name = f"{OURS} {gradient}, {axis[0]} = {size:,}"
        measurement = few.measure(name, function, *arguments, check=CHECK)
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
    steps, cells, batch = ({"T": STEPS, "C": CELLS, "B": 1} | {axis[0]: size}).values()
    net = lstm.Architecture(INPUTS, (2,) * (cells // 2), cells)
    parameters = lstm.initialise(jax.random.key(0), net)
    inputs = jax.random.normal(jax.random.key(1), (steps, batch, INPUTS))
    targets = jax.random.uniform(jax.random.key(2), (steps, batch, cells))
    if gradient == "online":
        data = (inputs[:, 0], targets[:, 0], jnp.ones(steps))
        return lambda p, data: lstm.online_gradient(net, p, *data)[1], parameters, data

    def loss(parameters: lstm.Parameters, data: tuple[jax.Array, jax.Array]) -> jax.Array:
        return make_loss(net, *data, gradient)(parameters)  # type: ignore[arg-type]

    return jax.grad(loss), parameters, (inputs, targets)


def _updates(trials: int) -> tuple:
    loop = dataclasses.replace(lstm.TrainingLoop(make_task("6a")), chunk=10)
    batch_size = min(trials, 8)
    batch = TrialRunner(loop, range(batch_size), batch_size=batch_size).state().trials
    batches = jax.tree.map(lambda a: np.stack([a] * -(-trials // batch_size)), batch)

    def run(batches: AnyModel, num_sequences: jax.Array) -> AnyModel:
        return jax.lax.map(lambda batch: loop.run_chunk(batch, num_sequences)[1], batches)

    return run, batches, jnp.int32(0)


def draw_growth(measurements: Sequence[Document]) -> style.Figure:
    """Draw time above and memory below, one column per size; the legends state the slopes."""
    figure, panels = style.new_figure(16, 7, rows=2, columns=len(GROWTH), sharex="col")
    for i, axis in enumerate(GROWTH):
        above, below = panels[i], panels[i + len(GROWTH)]
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
    panels[len(GROWTH)].set_ylabel("XLA's temporary memory, bytes")
    return figure
