"""Continual prediction (2000): streams without resets, with and without forget gates."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.claims import continual_reber
from experiments.claims.base import Settings
from experiments.claims.continual_training import ContinualTraining, Progress
from lstm_jax.network.files import Document
from lstm_jax.network.layer import unroll
from lstm_jax.network.losses import LOSSES
from lstm_jax.plots import style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CHUNK = 10_000  # symbols between two words to the host
GOAL = 100_000  # right predictions of one training stream: then a trial is solved
SYMBOLS = 1_000_000  # a trial's budget
STREAMS = 30_000  # and the publication's
SHOWN, EVERY = 2_000, 10  # symbols over which the states are shown, every tenth of them


def run(settings: Settings) -> Document:
    """How each variant gets on."""
    found = {}
    for label, method in variants().items():
        found[label] = one = follow(method, settings)
        settings.say(
            f"{label}: {one['solved']} of {settings.trials} solved, "
            f"longest streams {one['longest']}, after {one['streams']} streams"
        )
    limits = {"goal": GOAL, "symbols": SYMBOLS, "streams": STREAMS}
    return {"trials": settings.trials, "limits": limits, "variants": found}


def variants() -> dict[str, ContinualTraining]:
    """The publication's three: f' of the outputs is left out, at a fifth of its rate."""
    methods = {}
    for label, forget_gates, reset in (
        ("forget gates", True, False),
        ("1997", False, False),
        ("1997, reset before each string", False, True),
    ):
        hyperparameters = continual_reber.hyperparameters(forget_gates=forget_gates)
        hyperparameters = dataclasses.replace(
            hyperparameters, learning_rate=continual_reber.RATE / 5
        )
        network = continual_reber.network(forget_gates=forget_gates)
        methods[label] = ContinualTraining(network, hyperparameters, LOSSES["cross_entropy"], reset)
    return methods


def follow(method: ContinualTraining, settings: Settings) -> Document:
    """Trains until all trials are solved or have had their budget.

    Returns:
      `solved`, how many are; of each trial `streams` it ended until then, or in all, and its
      `longest`; chunk by chunk `symbols` and the trials' longest streams so far, `longest_by`; and
      `states`, the largest |s_c| of each trial's network over a stream that nothing resets.
    """
    trials, history, streams = _start(method, settings), [], np.zeros(settings.trials, int)
    learn = jax.jit(jax.vmap(method.learn))
    is_solved = np.zeros(settings.trials, bool)
    for chunk in range(SYMBOLS // CHUNK):
        trials = learn(trials, _bits(settings, chunk, CHUNK))
        streams = np.where(is_solved, streams, trials.streams)
        is_solved |= np.asarray(trials.longest) >= GOAL
        history.append(np.asarray(trials.longest).tolist())
        if np.all(is_solved | (streams >= STREAMS)):
            break
    return {
        "solved": int(is_solved.sum()),
        "streams": streams.tolist(),
        "longest": history[-1],
        "symbols": [CHUNK * (n + 1) for n in range(len(history))],
        "longest_by": history,
        "states": _states(method, trials, settings),
    }


def draw(document: Document) -> Figure:
    """The longest streams while they learned, and the states over a stream without resets."""
    figure, (left, right) = style.new_figure(11, 4.5, columns=2)
    for i, (label, found) in enumerate(document["variants"].items()):
        named = f"{label}: {found['solved']} of {document['trials']} solved"
        for axes, values, symbols in (
            (left, found["longest_by"], found["symbols"]),
            (right, found["states"], 1 + EVERY * np.arange(len(found["states"]))),
        ):
            own, values = style.line_style(i), np.maximum(np.asarray(values, float), 0.1)
            axes.plot(symbols, np.median(values, 1), color=own["color"], label=named)
            least, most = values.min(1), values.max(1)
            axes.fill_between(symbols, least, most, color=own["color"], alpha=0.15, lw=0)
    left.axhline(document["limits"]["goal"], color=style.BLACK, linestyle=":")
    left.set(yscale="log", xlabel="symbols learned from", ylabel="longest stream without an error")
    right.set(yscale="log", xlabel="symbols since the last reset", ylabel="largest |s_c|")
    for axes in (left, right):
        style.with_thousands(axes)
    style.add_legend(figure, *left.get_legend_handles_labels(), loc="outside upper center", ncols=3)
    return figure


def _start(method: ContinualTraining, settings: Settings) -> Progress:
    key = jax.random.key(settings.seed)
    keys = jax.vmap(lambda trial: jax.random.fold_in(key, trial))(jnp.arange(settings.trials))
    return jax.jit(jax.vmap(method.init))(keys)


def _bits(settings: Settings, chunk: int, count: int) -> np.ndarray:
    """Of each trial and symbol, by which arc the grammar is left, [R, T]."""
    draws = [
        np.random.default_rng([settings.seed, trial, chunk]).integers(0, 2, count, np.int32)
        for trial in range(settings.trials)
    ]
    return np.stack(draws)


def _states(method: ContinualTraining, trials: Progress, settings: Settings) -> list[list[float]]:
    """The largest |s_c| after every tenth symbol of a stream, from the first on, [T / 10, R]."""

    def of_one(parameters: Any, bits: jax.Array) -> jax.Array:
        def walk(node: jax.Array, bit: jax.Array) -> tuple[jax.Array, jax.Array]:
            symbol, node = continual_reber.follow(node, bit)
            return node, symbol

        _, symbols = jax.lax.scan(walk, jnp.int32(continual_reber.START), bits)
        activations, _ = unroll(method.architecture, parameters, symbols)
        return jnp.abs(activations.internal_state).max(1)

    bits = _bits(settings, SYMBOLS // CHUNK, SHOWN)
    states = jax.jit(jax.vmap(of_one))(trials.learner.parameters, bits)
    return np.round(np.asarray(states, np.float64).T[::EVERY], 3).tolist()
