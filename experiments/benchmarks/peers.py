"""The LSTM layers of other JAX libraries, as pure functions of their weights.

They have forget gates and the full gradient, unlike the paper's cell.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp


class Peer(NamedTuple):
    """A layer."""

    name: str
    weights: Any
    run: Callable[[Any, jax.Array], jax.Array]  # (weights, [T, B, I]) to [T, B, C]


def jax_peers(num_inputs: int, num_cells: int) -> list[Peer]:
    """Return the layers of flax, haiku and equinox, as far as installed."""
    makers = {"haiku": _haiku, "flax": _flax, "equinox": _equinox}
    found = []
    for package, make in makers.items():
        try:
            importlib.import_module(package)
        except ImportError:
            continue
        found.append(make(num_inputs, num_cells))
    return found


def _haiku(num_inputs: int, num_cells: int) -> Peer:
    import haiku as hk  # pyright: ignore[reportMissingImports]

    def unroll(inputs: jax.Array) -> Any:
        core = hk.LSTM(num_cells)
        return hk.dynamic_unroll(core, inputs, core.initial_state(inputs.shape[1]))[0]

    layer = hk.without_apply_rng(hk.transform(unroll))
    weights = layer.init(jax.random.key(0), jnp.zeros((1, 1, num_inputs)))
    return Peer("haiku LSTM", weights, layer.apply)


def _flax(num_inputs: int, num_cells: int) -> Peer:
    from flax import nnx  # pyright: ignore[reportMissingImports]

    cell = nnx.OptimizedLSTMCell(num_inputs, num_cells, rngs=nnx.Rngs(0))
    layer = nnx.RNN(cell, time_major=True)
    graph, weights, others = nnx.split(layer, nnx.Param, ...)

    def run(weights: Any, inputs: jax.Array) -> Any:
        zeros = jnp.zeros((inputs.shape[1], num_cells))
        return nnx.merge(graph, weights, others)(inputs, initial_carry=(zeros, zeros))

    return Peer("flax nnx.RNN", weights, run)


def _equinox(num_inputs: int, num_cells: int) -> Peer:
    import equinox  # pyright: ignore[reportMissingImports]

    cell = equinox.nn.LSTMCell(num_inputs, num_cells, key=jax.random.key(0))
    weights, static = equinox.partition(cell, equinox.is_array)

    def run_one(weights: Any, inputs: jax.Array) -> jax.Array:
        cell = equinox.combine(weights, static)

        def step(state: tuple, x_t: jax.Array) -> tuple[tuple, jax.Array]:
            state = cell(x_t, state)
            return state, state[0]

        zeros = jnp.zeros(num_cells)
        return jax.lax.scan(step, (zeros, zeros), inputs)[1]

    run = jax.vmap(run_one, in_axes=(None, 1), out_axes=1)
    return Peer("equinox LSTMCell", weights, run)
