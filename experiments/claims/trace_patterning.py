"""Trace patterning: predict, step by step, a stimulus that some patterns announce.

Every trial shows 3 of 6 stimuli (CS) for one step; 10 of the 20 patterns, drawn for each network,
are followed by a stimulus (US) of one step, 14 to 26 steps later, and 80 to 120 steps after that
time the next trial begins. Five distractors come on for a step with probabilities 1/10 to 1/50. The
prediction is the discounted sum of later US, γ^(k-1) if the next one is k steps ahead, in the
stream without end or reset that the constructive-columnar networks of 2023 were tested on. It is
learned by TD(lambda), with an update after every step.

Errors are squared distances from that sum in the same trial, which is 0 before the patterns and
after the US. Three predictors say how good a squared error is (`floors`): always 0; one that knows
the time since the patterns but not which of them count; and the best possible, which knows both but
not when the US will come.

References:
  E. J. Rafiee et al. From eye-blinks to state construction: diagnostic benchmarks for online
  representation learning. Adaptive Behavior 31(1), 2023.
  K. Javed et al. Scalable real-time recurrent learning using columnar-constructive networks.
  JMLR 24, 2023.
"""

from __future__ import annotations

import functools
import itertools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.claims.base import ClaimOptions
from experiments.rows.intervals import mean_interval
from lstm_jax import (
    Architecture,
    Learner,
    init_learner,
    initialise,
    learn,
    output_units,
    step,
    streaming,
    update,
)
from lstm_jax.cell.architecture import Sources
from lstm_jax.network.files import Document
from lstm_jax.plots import style

DISCOUNT, DECAY = 0.9, 0.99
INTERVALS = (14, 26)  # from CS to US
PAUSES = (80, 120)  # from there to the next CS
CHUNK = 100_000  # steps of a compiled call, over which errors are averaged
PATTERNS = np.array(
    [[i in shown for i in range(6)] for shown in itertools.combinations(range(6), 3)], np.float32
)
DISTRACTORS = 1 / np.array([10, 20, 30, 40, 50], np.float32)
HYPERPARAMETERS = {"learning_rate": 0.001, "forget_gate_bias": 4.0, "second_moment_decay": 0.9999}
OPTIMISER = optax.chain(
    streaming.eligibility_traces(DISCOUNT * DECAY),
    optax.adam(HYPERPARAMETERS["learning_rate"], b1=0.0, b2=HYPERPARAMETERS["second_moment_decay"]),
)


class Variant(NamedTuple):
    """A network and the number of its steps."""

    architecture: Architecture
    steps: int = 400_000


def floors() -> dict[str, float]:
    """Return the mean squared errors of three predictors, in closed form.

    >>> {name: round(error, 4) for name, error in floors().items()}
    {'zero': 0.0213, 'timing': 0.0135, 'best': 0.0018}
    """
    first, last = INTERVALS
    delays = np.arange(first, last + 1)
    length = delays.mean() + np.mean(PAUSES) + 1
    errors = np.zeros(3)
    for time in range(last):  # since the CS
        target = DISCOUNT ** (delays - time - 1.0)[delays > time]
        known = len(target) / len(delays)  # the probability that the US has not come yet
        announced, silent = known / 2, 0.5  # either with a US to come, or without
        square = announced * (target**2).mean()
        timing = (announced * target.mean()) ** 2 / (announced + silent)
        errors += square, square - timing, announced * target.var()
    return dict(zip(("zero", "timing", "best"), (errors / length).tolist(), strict=True))


class World(NamedTuple):
    """The stream of one trial: what was shown, and the steps until and since then."""

    announces: jax.Array  # [20] bool, which patterns do
    pattern: jax.Array  # the last one
    until_us: jax.Array  # from now; negative after it
    until_cs: jax.Array


def advance(world: World, key: jax.Array) -> tuple[World, jax.Array]:
    """Go on by one step; return the observation, [12]: CS, US, distractors."""
    draws = jax.random.uniform(key, (3 + len(DISTRACTORS),))
    starts = world.until_cs == 1
    integer = lambda draw, least, most: least + (draw * (most - least + 1)).astype(jnp.int32)
    delay, pause = integer(draws[0], *INTERVALS), integer(draws[1], *PAUSES)
    world = World(
        announces=world.announces,
        pattern=jnp.where(starts, integer(draws[2], 0, len(PATTERNS) - 1), world.pattern),
        until_us=jnp.where(starts, delay, world.until_us - 1),
        until_cs=jnp.where(starts, delay + pause + 1, world.until_cs - 1),
    )
    cs = jnp.where(starts, jnp.asarray(PATTERNS)[world.pattern], 0)
    us = (world.until_us == 0) & world.announces[world.pattern]
    distractors = (draws[3:] < DISTRACTORS).astype(jnp.float32)
    return world, jnp.concatenate([cs, us[None].astype(jnp.float32), distractors])


def true_value(world: World) -> jax.Array:
    """Return γ^(k-1) if a US comes in k steps of this trial; otherwise 0."""
    comes = (world.until_us > 0) & world.announces[world.pattern]
    return jnp.where(comes, DISCOUNT ** (world.until_us - 1.0), 0)


class Agent(NamedTuple):
    """The state of one trial."""

    key: jax.Array
    learner: Learner
    world: World
    x_t: jax.Array
    steps: jax.Array


def init(net: Architecture, key: jax.Array) -> Agent:
    """Return a trial before its first step."""
    bias = (HYPERPARAMETERS["forget_gate_bias"],) * net.num_blocks
    opened = bias if net.forget_gates else None
    parameters = initialise(jax.random.fold_in(key, 0), net, forget_gate_bias=opened)
    order = jax.random.permutation(jax.random.fold_in(key, 1), len(PATTERNS))
    world = World(order < len(PATTERNS) // 2, jnp.int32(0), jnp.int32(-1), jnp.int32(1))
    world, x_t = advance(world, jax.random.fold_in(key, 2))
    return Agent(key, init_learner(net, parameters, OPTIMISER), world, x_t, jnp.int32(3))


def predict(net: Architecture, agent: Agent) -> tuple[Agent, jax.Array]:
    """Learn from one step; return the squared error of its prediction."""
    value, learner = learn(net, agent.learner, agent.x_t, signal=jnp.ones(1))
    world, x_t = advance(agent.world, jax.random.fold_in(agent.key, agent.steps))
    state = step(net, learner.parameters, learner.state, x_t)
    (next_value,) = output_units(net, learner.parameters.output, state)
    td_error = x_t[6] + DISCOUNT * next_value - value[0]
    learner = update(OPTIMISER, learner, td_error=td_error)
    error = (value[0] - true_value(agent.world)) ** 2
    return Agent(agent.key, learner, world, x_t, agent.steps + 1), error


@functools.partial(jax.jit, static_argnums=0, donate_argnums=1)
def run(net: Architecture, agents: Agent) -> tuple[Agent, jax.Array]:
    """Take the steps of a chunk with every trial; return the mean errors."""

    def body(carry: tuple, _: None) -> tuple[tuple, None]:
        agents, total = carry
        agents, errors = jax.vmap(functools.partial(predict, net))(agents)
        return (agents, total + errors), None

    start = agents, jnp.zeros_like(agents.steps, jnp.float32)
    (agents, total), _ = jax.lax.scan(body, start, None, length=CHUNK)
    return agents, total / CHUNK


def make_net(cells: int, recurrent: Sources, forget_gates: bool = True) -> Architecture:
    """Return a network of single cells with a linear output."""
    return Architecture(
        num_inputs=12,
        blocks=(1,) * cells,
        num_outputs=1,
        recurrent=recurrent,
        forget_gates=forget_gates,
        cell_input="tanh",
        cell_output="tanh",
        output="identity",
    )


def networks() -> dict[str, Variant]:
    """Predict trace patterning online, by cells that see each other or not."""
    return {
        "10 cells, do not see each other": Variant(make_net(10, "none")),
        "10 cells, see each other": Variant(make_net(10, "cells")),
        "10 cells, see all, gates too": Variant(make_net(10, "all")),
        "10 cells of 1997, do not see each other": Variant(make_net(10, "none", False)),
        "20 cells, do not see each other": Variant(make_net(20, "none"), 1_500_000),
    }


def measure(variant: Variant, options: ClaimOptions) -> Document:
    """Return the mean squared `error` of every chunk, [chunks][trials]; `last` is the mean."""
    net, key = variant.architecture, jax.random.key(options.seed)
    keys = jax.vmap(lambda trial: jax.random.fold_in(key, trial))(jnp.arange(options.trials))
    agents = jax.jit(jax.vmap(functools.partial(init, net)))(keys)
    errors = []
    for _ in range(variant.steps // CHUNK):
        agents, error = run(net, agents)
        errors.append(np.asarray(error, float).round(5).tolist())
    return {"last": round(float(np.mean(errors[-1])), 4), "error": errors}


FLOORS = {"zero": "always 0", "timing": "the time alone is known", "best": "the best possible"}


def draw(document: Document) -> style.Figure:
    """Draw the errors of all networks during training, with the floors."""
    figure, (axes,) = style.new_figure(9, 5)
    for i, (label, found) in enumerate(document["variants"].items()):
        errors = np.array(found["error"])
        steps = document["chunk"] * (1 + np.arange(len(errors)))
        low, high = mean_interval(errors[-1]) or (math.nan,) * 2
        name = f"{label}: {found['last']:.4f} ({low:.4f} to {high:.4f})"
        axes.plot(steps, errors.mean(1), color=style.LINES[i], label=name)
        axes.fill_between(
            steps, errors.min(1), errors.max(1), color=style.LINES[i], alpha=0.15, lw=0
        )
    end = axes.get_xlim()[1]
    for name, floor in document["floors"].items():
        axes.axhline(floor, color=style.BLACK, linestyle=":")
        axes.text(end, floor, FLOORS[name], ha="right", va="bottom", fontsize=8)
    axes.set(yscale="log", xlabel="steps", ylabel="mean squared error of the prediction")
    style.format_counts(axes)
    style.add_legend(figure, ncols=2, loc="outside upper center")
    return figure
