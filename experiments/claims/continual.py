"""Continual prediction (2000): streams without resets, with and without forget gates."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.claims import continual_reber
from experiments.claims.base import ClaimOptions, band, draw_band
from experiments.claims.continual_reber import StreamState, StreamTraining
from lstm_jax.network.files import Document
from lstm_jax.network.layer import unroll
from lstm_jax.network.losses import LOSSES
from lstm_jax.plots import style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CHUNK = 10_000  # symbols per compiled call
GOAL = 100_000  # right predictions of one training stream that solve a trial
MAX_SYMBOLS = 1_000_000  # of a trial
MAX_STREAMS = 30_000  # of a trial, as in the publication
DISPLAYED, INTERVAL = 2_000, 10  # symbols over which the states are drawn, every tenth


def run(options: ClaimOptions) -> Document:
    """Train all variants."""
    found = {}
    for label, training in variants().items():
        found[label] = one = train(training, options)
        options.log(
            f"{label}: {one['solved']} of {options.trials} solved, "
            f"longest streams {one['longest']}, after {one['streams']} streams"
        )
    limits = {"goal": GOAL, "symbols": MAX_SYMBOLS, "streams": MAX_STREAMS}
    return {"trials": options.trials, "limits": limits, "variants": found}


def variants() -> dict[str, StreamTraining]:
    """Return the publication's three networks, with cross entropy at a fifth of its rate."""
    found = {}
    for label, forget_gates, reset in (
        ("forget gates", True, False),
        ("1997", False, False),
        ("1997, reset before each string", False, True),
    ):
        hyperparameters = dataclasses.replace(
            continual_reber.hyperparameters(forget_gates=forget_gates),
            learning_rate=continual_reber.LEARNING_RATE / 5,
        )
        network = continual_reber.network(forget_gates=forget_gates)
        found[label] = StreamTraining(network, hyperparameters, LOSSES["cross_entropy"], reset)
    return found


def train(training: StreamTraining, options: ClaimOptions) -> Document:
    """Train until all trials are solved or have reached a limit.

    Returns:
      `solved`, the number of solved trials; for each trial `streams`, those ended before it was
      solved, and `longest`; after each chunk `symbols` and the `band` of the longest streams,
      `longest_by`; and `states`, the `band` of the largest |s_c| over a stream without resets.
    """
    state, history = init(training, options), []
    streams = np.zeros(options.trials, int)
    learn = jax.jit(jax.vmap(training.learn))
    is_solved = np.zeros(options.trials, bool)
    for chunk in range(MAX_SYMBOLS // CHUNK):
        state = learn(state, draw_bits(options, chunk, CHUNK))
        streams = np.where(is_solved, streams, state.streams)
        is_solved |= np.asarray(state.longest) >= GOAL
        history.append(np.asarray(state.longest))
        if np.all(is_solved | (streams >= MAX_STREAMS)):
            break
    return {
        "solved": int(is_solved.sum()),
        "streams": streams.tolist(),
        "longest": history[-1].tolist(),
        "symbols": [CHUNK * (n + 1) for n in range(len(history))],
        "longest_by": band(history, 1),
        "states": _largest_states(training, state, options),
    }


def init(training: StreamTraining, options: ClaimOptions) -> StreamState:
    """Return the state of all trials before the first symbol."""
    key = jax.random.key(options.seed)
    keys = jax.vmap(lambda trial: jax.random.fold_in(key, trial))(jnp.arange(options.trials))
    return jax.jit(jax.vmap(training.init))(keys)


def draw_bits(options: ClaimOptions, chunk: int, count: int) -> np.ndarray:
    """Draw the grammar's choices, one per trial and symbol, [R, T]."""
    draws = [
        np.random.default_rng([options.seed, trial, chunk]).integers(0, 2, count, np.int32)
        for trial in range(options.trials)
    ]
    return np.stack(draws)


def _largest_states(
    training: StreamTraining, state: StreamState, options: ClaimOptions
) -> list[list[float]]:
    """Return the band of the largest |s_c| at every tenth symbol, from the first, [T / 10, 3]."""

    def run_one(parameters: Any, bits: jax.Array) -> jax.Array:
        def walk(node: jax.Array, bit: jax.Array) -> tuple[jax.Array, jax.Array]:
            symbol, node = continual_reber.follow(node, bit)
            return node, symbol

        _, symbols = jax.lax.scan(walk, jnp.int32(continual_reber.START), bits)
        activations, _ = unroll(training.architecture, parameters, symbols)
        return jnp.abs(activations.internal_state).max(1)

    bits = draw_bits(options, MAX_SYMBOLS // CHUNK, DISPLAYED)
    states = jax.jit(jax.vmap(run_one))(state.learner.parameters, bits)
    return band(np.asarray(states).T[::INTERVAL], 3)


def draw(document: Document) -> Figure:
    """Draw the longest streams during training, and the states over a stream without resets."""
    figure, (left, right) = style.new_figure(11, 4.5, columns=2)
    for i, (name, found) in enumerate(document["variants"].items()):
        label = f"{name}: {found['solved']} of {document['trials']} solved"
        colour = style.line_style(i)["color"]
        longest = np.maximum(np.asarray(found["longest_by"], float), 0.1)
        draw_band(left, found["symbols"], longest, label, color=colour)
        states = np.maximum(np.asarray(found["states"], float), 0.1)
        symbols = 1 + INTERVAL * np.arange(len(states))
        draw_band(right, symbols, states, label, color=colour)
    left.axhline(document["limits"]["goal"], color=style.BLACK, linestyle=":")
    left.set(yscale="log", xlabel="symbols learned from", ylabel="longest stream without an error")
    right.set(yscale="log", xlabel="symbols since the last reset", ylabel="largest |s_c|")
    for axes in (left, right):
        style.format_counts(axes)
    style.add_legend(figure, *left.get_legend_handles_labels(), loc="outside upper center", ncols=3)
    return figure
