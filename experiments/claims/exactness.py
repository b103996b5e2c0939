"""Bias and cost of the gradients in forward mode.

The bias is the cosine between a gradient by the weights into the layer and the exact one, of the
same random network, sequence and targets: 6 cells in blocks of one, 60 steps of normal inputs, an
error at every step.
"""

from __future__ import annotations

import dataclasses
import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.claims.base import ClaimOptions
from experiments.rows.intervals import mean_interval
from lstm_jax import Architecture, init_learner, initialise, learn, online_gradient
from lstm_jax.cell.architecture import Sources
from lstm_jax.network.files import Document
from lstm_jax.network.learner import OnlineGradient
from lstm_jax.plots import style

GRADIENTS: tuple[OnlineGradient, ...] = ("truncated", "snap1", "rtrl")
SEEN: tuple[Sources, ...] = ("all", "cells")
RANGES = (0.1, 0.3, 1.0, 2.0)
CELLS, STEPS, INPUTS = 6, 60, 3
COST_CELLS = (8, 16)


def networks() -> dict[str, Architecture]:
    """Compare the truncated gradient and SnAp-1 with exact RTRL, by cosine and by cost."""
    return {
        f"sees {seen}, {'' if gates else 'no '}forget gates": Architecture(
            INPUTS,
            (1,) * CELLS,
            1,
            recurrent=seen,
            forget_gates=gates,
            output="identity",
        )
        for seen in SEEN
        for gates in (False, True)
    }


def measure(net: Architecture, options: ClaimOptions) -> Document:
    """Return every trial's `cosine` by gradient and range of the weights, and `cost` by gradient.

    A cost is, for each number of cells, the numbers that the traces hold for each weight into the
    layer, and the operations of a step for each such weight, as XLA counts them.
    """
    key = jax.random.key(options.seed)
    keys = jax.vmap(lambda trial: jax.random.fold_in(key, trial))(jnp.arange(options.trials))
    cosines = jax.jit(jax.vmap(functools.partial(_cosines, net), (0, None)))
    found = np.stack([cosines(keys, size) for size in RANGES])  # [ranges, trials, gradients]
    rounded = found.round(4).transpose(2, 0, 1).tolist()
    cost = {gradient: [_cost(net, gradient, n) for n in COST_CELLS] for gradient in GRADIENTS}
    return {"cosine": dict(zip(GRADIENTS[:-1], rounded, strict=True)), "cost": cost}


def _cosines(net: Architecture, key: jax.Array, size: jax.Array) -> jax.Array:
    weights, inputs, targets = jax.random.split(key, 3)
    parameters = initialise(weights, net, init_range=size)
    data = jax.random.normal(inputs, (STEPS, INPUTS)), jax.random.normal(targets, (STEPS, 1))

    def vector(gradient: OnlineGradient) -> jax.Array:
        found = online_gradient(net, parameters, *data, gradient=gradient)[1].layer
        found = jnp.concatenate([leaf.ravel() for leaf in jax.tree.leaves(found)])
        return found / jnp.linalg.norm(found)

    *others, exact = map(vector, GRADIENTS)
    return jnp.stack(others) @ exact


def _cost(net: Architecture, gradient: OnlineGradient, cells: int) -> tuple[float, float]:
    net = dataclasses.replace(net, blocks=(1,) * cells)
    parameters = initialise(jax.random.key(0), net)
    learner = init_learner(net, parameters, optax.identity(), gradient)
    step = jax.jit(lambda learner: learn(net, learner, jnp.zeros(INPUTS), jnp.zeros(1))[1])
    operations = step.lower(learner).compile().cost_analysis()["flops"]
    weights = sum(leaf.size for leaf in jax.tree.leaves(parameters.layer))
    numbers = sum(leaf.size for leaf in jax.tree.leaves(learner.traces))
    return round(numbers / weights, 2), round(operations / weights, 1)


def draw(document: Document) -> style.Figure:
    """Draw the mean cosines with their intervals, and the operations of a step."""
    figure, axes = style.new_figure(12, 4.5, columns=3)
    for i, (label, found) in enumerate(document["variants"].items()):
        line = {"color": style.LINES[i], "label": label}
        for panel, gradient in zip(axes, GRADIENTS[:-1], strict=False):
            rows = found["cosine"][gradient]
            low, high = zip(*(mean_interval(row) or (math.nan,) * 2 for row in rows), strict=True)
            panel.plot(document["ranges"], np.mean(rows, axis=1), **line)
            panel.fill_between(document["ranges"], low, high, color=line["color"], alpha=0.2, lw=0)
            panel.set(xscale="log", xlabel="range of the weights", ylim=(0, 1.02), title=gradient)
    axes[0].set_ylabel("cosine to the exact gradient")
    for line, gradient in zip(("-", "--", ":"), GRADIENTS, strict=True):
        operations = [cost[1] for cost in found["cost"][gradient]]
        axes[2].plot(document["cells"], operations, line, color=style.BLACK, label=gradient)
    axes[2].set(
        yscale="log", xlabel="cells", ylabel="operations of a step, per weight", title=label
    )
    for panel in (axes[0], axes[2]):
        style.add_legend(panel)
    return figure
