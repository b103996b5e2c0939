"""Timing (2002): one cell measures and generates intervals, with and without peepholes.

Spike n comes F + I(n) steps after the last one; I(n) is 0 or 1 with equal probability. For F = 3:

    step                           1   2   3   4   5   6   7
    spikes                         .   .   1   .   .   .   1
    I(n), until spike n            0   0   0   1   1   1   1

    measuring     the input is the spikes; the target is I(n) at spike n, with none elsewhere
    generating    the input is I(n); the target is the spikes
    cosine, triangle, rectangle
                  no input; the target is a function of period F, which begins at 1

Network, learning rates and momenta are those of the publication as far as known, from memory: one
cell, g and h the identity, weights in [-0.1, 0.1], gate biases 0 and 2 (output gate), gradient
descent at 1e-5 with an update after every step. The forget gate's bias is varied: -2, as printed,
and positive ones. Gradients are clipped to norm 10, which is our addition.

A stream ends at its first wrong output or after `STREAM` right spikes (periods); the next one
begins at once, with the state and the traces of before any step. An output is wrong if it is more
than 0.49 from its target, or 0.3 of a periodic function.

Reference:
  F. A. Gers, N. N. Schraudolph and J. Schmidhuber. Learning precise timing with LSTM recurrent
  networks. Journal of Machine Learning Research 3:115-143, 2002.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from optax.tree_utils import tree_where

import lstm_jax as lstm
from experiments.claims.base import ClaimOptions, draw_trials
from lstm_jax import online
from lstm_jax.network.files import Document
from lstm_jax.plots import style

Mode = Literal["measuring", "generating", "cosine", "triangle", "rectangle"]

LEARNING_RATE, MAX_NORM = 1e-5, 10.0
MOMENTA: dict[Mode, float] = {"measuring": 0.9999, "generating": 0.999}  # otherwise:
PERIODIC_MOMENTUM = 0.99
STREAM = 100  # spikes or periods of a training stream
TESTED = 1_000  # spikes or periods of a test with frozen weights
CHUNK = 1_000_000  # steps between two tests
WORDS = 1_000  # steps whose random bits are drawn at once
MAX_STEPS = 60_000_000
BIASES = (4.0, 2.0, -2.0)  # of the forget gate, at F = 10
LONGER = (20,)  # F, at the first of the biases
TESTED_BITS_SEED = 2**31  # so that tests are not on intervals of training


@dataclasses.dataclass(frozen=True)
class Timing:
    """A problem and a network."""

    mode: Mode
    period: int
    forget_gate_bias: float
    peepholes: bool

    @property
    def is_periodic(self) -> bool:
        """Whether the target is a periodic function."""
        return self.mode in ("cosine", "triangle", "rectangle")

    @property
    def tolerance(self) -> float:
        """The largest error of a right output."""
        return 0.3 if self.is_periodic else 0.49

    @property
    def optimiser(self) -> optax.GradientTransformation:
        """Gradient descent with the publication's rate and momentum."""
        momentum = MOMENTA.get(self.mode, PERIODIC_MOMENTUM)
        return optax.chain(optax.clip_by_global_norm(MAX_NORM), optax.sgd(LEARNING_RATE, momentum))

    @property
    def architecture(self) -> lstm.Architecture:
        """The network, of 17 weights with peepholes."""
        return lstm.Architecture(
            1,
            (1,),
            1,
            recurrent="cells",
            biases="all",
            cell_input="identity",
            cell_output="identity",
            output="identity" if self.is_periodic else "logistic",
            forget_gates=True,
            peepholes=self.peepholes,
        )


class Interval(NamedTuple):
    """The place in a stream: steps since the last spike, and I(n), int32 both."""

    step: jax.Array
    late: jax.Array


class Step(NamedTuple):
    """One step: input [1], target [1], whether it has one, and whether it ends an interval."""

    x_t: jax.Array
    target: jax.Array
    has_target: jax.Array
    is_spike: jax.Array


class StreamState(NamedTuple):
    """State of one trial; all numbers are int32."""

    learner: online.Learner
    interval: Interval
    spikes: jax.Array  # right ones of the current stream
    streams: jax.Array  # of `STREAM` right spikes, in this chunk


def take_step(timing: Timing, at: Interval, bit: jax.Array) -> tuple[Interval, Step]:
    """Return the next place and its step; `bit` is I of the next interval, if one begins.

    >>> timing = Timing("generating", 3, 2.0, peepholes=True)
    >>> at, spikes = start(), ""
    >>> for _ in range(7):
    ...     at, step = take_step(timing, at, jnp.int32(1))
    ...     spikes += ".1"[int(step.target[0])]
    >>> spikes
    '..1...1'
    """
    late = jnp.where(at.step == 0, 0 if timing.is_periodic else bit, at.late)
    step = at.step + 1
    is_spike = step == timing.period + late
    spike, lateness = is_spike.astype(jnp.float32), late.astype(jnp.float32)
    has_target = jnp.bool_(True)
    if timing.mode == "measuring":
        x_t, target, has_target = spike, lateness, is_spike
    elif timing.mode == "generating":
        x_t, target = lateness, spike
    else:
        x_t, target = jnp.float32(0), periodic(timing)[at.step]
    after = Interval(jnp.where(is_spike, 0, step), late)
    return after, Step(x_t[None], target[None], has_target, is_spike)


def periodic(timing: Timing) -> jax.Array:
    """Return the values of a periodic function over its period, [F]."""
    phase = np.arange(timing.period) / timing.period
    values = {
        "cosine": np.cos(2 * np.pi * phase),
        "triangle": 4 * np.abs(phase - 0.5) - 1,
        "rectangle": np.where(phase < 0.5, 1.0, -1.0),
    }
    return jnp.asarray(values[timing.mode], jnp.float32)


def start() -> Interval:
    """Return the place before the first step of a stream."""
    return Interval(jnp.int32(0), jnp.int32(0))


def init(timing: Timing, key: jax.Array) -> StreamState:
    """Return the state of a trial before its first step."""
    parameters = lstm.initialise(
        key,
        timing.architecture,
        init_range=0.1,
        input_gate_bias=(0.0,),
        forget_gate_bias=(timing.forget_gate_bias,),
        output_gate_bias=(2.0,),
    )
    learner = online.init_learner(timing.architecture, parameters, timing.optimiser)
    return StreamState(learner, start(), jnp.int32(0), jnp.int32(0))


def learn(timing: Timing, state: StreamState, bit: jax.Array) -> StreamState:
    """Learn one step."""
    net, before = timing.architecture, state.learner
    interval, step = take_step(timing, state.interval, bit)
    weight = step.has_target.astype(jnp.float32)
    output, learner = online.learn(net, before, step.x_t, step.target, weight=weight)
    learner = tree_where(step.has_target, online.update(timing.optimiser, learner), learner)
    is_wrong = step.has_target & (jnp.abs(output - step.target)[0] > timing.tolerance)
    spikes = state.spikes + step.is_spike.astype(jnp.int32)
    is_whole = (spikes == STREAM) & ~is_wrong
    ends = is_wrong | is_whole
    return StreamState(
        learner=tree_where(ends, online.start_sequence(net, learner), learner),
        interval=tree_where(ends, start(), interval),
        spikes=jnp.where(ends, 0, spikes),
        streams=state.streams + is_whole.astype(jnp.int32),
    )


@functools.partial(jax.jit, static_argnums=0)
def learn_chunk(timing: Timing, states: StreamState, keys: jax.Array, n: jax.Array) -> StreamState:
    """Learn `CHUNK` steps of all trials, from step n `CHUNK` on."""

    def run_one(state: StreamState, key: jax.Array) -> StreamState:
        def run_part(state: StreamState, part: jax.Array) -> tuple[StreamState, None]:
            bits = jax.random.bernoulli(jax.random.fold_in(key, part), shape=(WORDS,))
            body = lambda state, bit: (learn(timing, state, bit), None)
            return jax.lax.scan(body, state, bits.astype(jnp.int32))

        parts = CHUNK // WORDS
        first = state._replace(streams=jnp.int32(0))
        return jax.lax.scan(run_part, first, n * parts + jnp.arange(parts))[0]

    return jax.vmap(run_one)(states, keys)


@functools.partial(jax.jit, static_argnums=0)
def right_spikes(timing: Timing, parameters: lstm.Parameters, bits: jax.Array) -> jax.Array:
    """Return the right spikes before the first wrong output, of `TESTED`, for every trial, [R]."""
    walk = lambda at, bit: take_step(timing, at, bit)
    _, steps = jax.lax.scan(walk, start(), bits)

    def test(parameters: lstm.Parameters) -> jax.Array:
        outputs, _ = lstm.apply(timing.architecture, parameters, steps.x_t)
        is_near = jnp.abs(outputs - steps.target)[:, 0] <= timing.tolerance
        is_right = jnp.cumprod(is_near | ~steps.has_target)
        return jnp.minimum(is_right.sum(where=steps.is_spike), TESTED)

    return jax.vmap(test)(parameters)


def timings() -> dict[str, Timing]:
    """Measure and generate intervals as in 2002, and periodic functions, with peepholes or not."""
    cells = [Timing("generating", 10, bias, p) for bias in BIASES for p in (True, False)]
    cells += [Timing("generating", f, BIASES[0], p) for f in LONGER for p in (True, False)]
    modes: tuple[Mode, ...] = ("measuring", "cosine", "triangle", "rectangle")
    cells += [Timing(mode, 10, BIASES[0], p) for mode in modes for p in (True, False)]
    return {
        f"{cell.mode}, F = {cell.period}, forget gate bias {cell.forget_gate_bias:g}, "
        f"{'peepholes' if cell.peepholes else 'no peepholes'}": cell
        for cell in cells
    }


def measure(timing: Timing, options: ClaimOptions) -> Document:
    """Learn until all trials have passed a test with frozen weights, or to `MAX_STEPS`.

    Returns:
      For each trial `steps`, those before the first test of `TESTED` right spikes, None without
      one; `streams`, the chunks in which it had a whole stream while learning; and `last`, the
      right spikes of the last test.
    """
    root = jax.random.key(options.seed)
    keys = jax.vmap(lambda trial: jax.random.fold_in(root, trial))(jnp.arange(options.trials))
    states = jax.jit(jax.vmap(functools.partial(init, timing)))(keys)
    rng = np.random.default_rng([options.seed, TESTED_BITS_SEED])
    bits = jnp.asarray(rng.integers(0, 2, TESTED * (timing.period + 1)), jnp.int32)
    steps, streams = np.zeros(options.trials, int), np.zeros(options.trials, int)
    last = np.zeros(options.trials, int)
    for n in range(MAX_STEPS // CHUNK):
        states = learn_chunk(timing, states, keys, jnp.int32(n))
        streams += np.asarray(states.streams) > 0
        last = np.asarray(right_spikes(timing, states.learner.parameters, bits))
        steps = np.where((steps == 0) & (last >= TESTED), (n + 1) * CHUNK, steps)
        if steps.all():
            break
    return {
        "solved": int((steps > 0).sum()),
        "steps": [int(s) or None for s in steps],
        "streams": streams.tolist(),
        "last": last.tolist(),
    }


def draw(document: Document) -> style.Figure:
    """Draw the steps until every trial passed its test, one line per variant."""
    variants = document["variants"]
    figure, (axes,) = style.new_figure(9, 2.6 + 0.3 * len(variants))
    lines = {
        f"{label}: {found['solved']} of {document['trials']}": [s for s in found["steps"] if s]
        for label, found in variants.items()
    }
    draw_trials(axes, lines, spread=0.25)
    axes.set_xlabel(f"steps until {TESTED:,} spikes or periods are right with frozen weights")
    style.add_legend(figure, loc="outside upper center")
    return figure
