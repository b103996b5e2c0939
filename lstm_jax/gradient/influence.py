"""Less truncated gradients in forward mode: exact RTRL, and SnAp-1.

With the state z(t) = F(w, z(t-1), x(t)) of a hidden layer, its derivative by the weights is

    P(t) = D P(t-1) + ∂F/∂w        D = ∂F/∂z(t-1)        P = ∂z/∂w

and the gradient of an error on z is that error times P. RTRL (Williams & Zipser, 1989) carries all
of P: exact as long as the weights do not change, O(H W) numbers and O(H² W) operations a step, so
for small networks. SnAp-1 (Menick et al. 2021) keeps of P what a weight changes within one step,
the state of its own memory block or hidden unit: O(W). It is RTRL of every block by itself, to
which the outputs of the others are inputs, and so it is exact where no block sees another.

z is s, y_c and y_i, and the gates' activations if the layer sees them. All derivatives are JAX's.

References:
  R. J. Williams and D. Zipser. A learning algorithm for continually running fully recurrent neural
  networks. Neural Computation 1(2):270-280, 1989.
  J. Menick et al. Practical real time recurrent learning with a sparse approximation. ICLR 2021.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from lstm_jax.cell.activations import logistic
from lstm_jax.cell.architecture import Architecture
from lstm_jax.cell.parameters import join
from lstm_jax.cell.pytrees import exportable
from lstm_jax.cell.records import State, UnitWeights
from lstm_jax.cell.scan import project
from lstm_jax.cell.step import cell_step, recurrent_sources
from lstm_jax.cell.units import UNIT_TYPES, Layer, MaybeNone

Tree = TypeVar("Tree")


@exportable
class RTRLTraces(NamedTuple):
    """The traces of exact RTRL.

    Attributes:
      layer: P [n, W], by the n numbers of z and the W weights into the layer.
    """

    layer: jax.Array

    def advance(
        self, architecture: Architecture, layer: Layer[UnitWeights], before: State, x_t: jax.Array
    ) -> RTRLTraces:
        """Return the traces after a step from a state, with the inputs x_t [I]."""

        def step(layer: Layer[UnitWeights], before: State) -> State:
            weights = join(architecture, layer)
            net_input = project(weights, x_t[None])[0]
            return _carried(architecture, cell_step(architecture, weights, before, net_input)[0])

        return RTRLTraces(_advance(step, layer, _carried(architecture, before), self.layer))

    def gradient(
        self, architecture: Architecture, layer: Layer[UnitWeights], delta: State
    ) -> Layer[UnitWeights]:
        """Return the gradient by the layer's weights, from the error on its last state."""
        return _gradient(layer, _carried(architecture, delta), self.layer)


@exportable
class SnAp1Traces(NamedTuple):
    """The traces of SnAp-1, by unit: a memory block of n numbers of z, or a hidden unit of one.

    Attributes:
      blocks: [J, n, W / J], by the weights into the gates and the cells of a block.
      hidden: [N, 1, I + S + 1], by the weights into a conventional hidden unit; None without.
    """

    blocks: jax.Array
    hidden: jax.Array | MaybeNone

    def advance(
        self, architecture: Architecture, layer: Layer[UnitWeights], before: State, x_t: jax.Array
    ) -> SnAp1Traces:
        """Return the traces after a step from a state, with the inputs x_t [I]."""
        one = _one_block(architecture)
        sources = recurrent_sources(architecture, before)
        y = jnp.concatenate(sources) if sources else None

        def net(weights: UnitWeights, own: np.ndarray, seen: list[jax.Array]) -> jax.Array:
            """Return net inputs, as a function of the activations of the unit itself."""
            net = project(weights, x_t[None])[0]
            if y is None:
                return net
            return net + y.at[own].set(jnp.concatenate(seen)) @ weights.recurrent

        def block(layer: Layer[UnitWeights], before: State, own: np.ndarray) -> State:
            weights = join(architecture, layer)
            net_input = net(weights, own, recurrent_sources(architecture, before))
            weights = weights._replace(recurrent=None)
            return _carried(architecture, cell_step(one, weights, before, net_input)[0])

        def hidden(weights: UnitWeights, y_i: jax.Array, own: np.ndarray) -> jax.Array:
            return logistic(net(weights, own, [y_i]))

        of_blocks, of_hidden = _places(architecture)
        carried = _carried(architecture, before)
        blocks = _advance_each(
            block,
            _by_unit(architecture.num_blocks, layer._replace(hidden=None)),
            _by_unit(architecture.num_blocks, carried._replace(hidden=None)),
            of_blocks,
            self.blocks,
        )
        if self.hidden is None:
            return SnAp1Traces(blocks, None)
        number = architecture.num_hidden
        weights, y_i = _by_unit(number, layer.hidden), _by_unit(number, before.hidden)
        return SnAp1Traces(blocks, _advance_each(hidden, weights, y_i, of_hidden, self.hidden))

    def gradient(
        self, architecture: Architecture, layer: Layer[UnitWeights], delta: State
    ) -> Layer[UnitWeights]:
        """Return the gradient by the layer's weights, from the error on its last state."""
        error = _carried(architecture, delta)
        blocks = _gradient_each(
            architecture.num_blocks,
            layer._replace(hidden=None),
            error._replace(hidden=None),
            self.blocks,
        )
        if self.hidden is None:
            return blocks
        number = architecture.num_hidden
        hidden = _gradient_each(number, layer.hidden, error.hidden, self.hidden)
        return blocks._replace(hidden=hidden)


def zero_rtrl(architecture: Architecture, layer: Layer[UnitWeights], state: State) -> RTRLTraces:
    """Return the traces of RTRL before the first step."""
    return RTRLTraces(_zeros(layer, _carried(architecture, state)))


def zero_snap1(architecture: Architecture, layer: Layer[UnitWeights], state: State) -> SnAp1Traces:
    """Return the traces of SnAp-1 before the first step; raise ValueError for unequal blocks."""
    if len({*architecture.blocks}) > 1:
        raise ValueError(f"blocks must be of one size for snap1, got {architecture.blocks}")
    state = _carried(architecture, state)
    each = lambda number, *trees: jax.vmap(_zeros)(*(_by_unit(number, tree) for tree in trees))
    rest = layer._replace(hidden=None), state._replace(hidden=None)
    blocks = each(architecture.num_blocks, *rest)
    if layer.hidden is None:
        return SnAp1Traces(blocks, None)
    return SnAp1Traces(blocks, each(architecture.num_hidden, layer.hidden, state.hidden))


def _carried(architecture: Architecture, state: State) -> State:
    """Return what the next step or the output units see of a state, and the internal state."""
    if architecture.recurrent == "all":
        return state
    return state._replace(input_gate=None, output_gate=None, forget_gate=None)


def _zeros(weights: object, state: object) -> jax.Array:
    (w, _), (z, _) = ravel_pytree(weights), ravel_pytree(state)
    return jnp.zeros((z.size, w.size), w.dtype)


def _advance(step: Callable, weights: object, state: object, influence: jax.Array) -> jax.Array:
    """Return D P + ∂F/∂w, [n, W], of a step F(weights, state)."""
    (w, weights_of), (z, state_of) = ravel_pytree(weights), ravel_pytree(state)
    flat_step = lambda w, z: ravel_pytree(step(weights_of(w), state_of(z)))[0]
    by_weights, by_state = jax.jacrev(flat_step, (0, 1))(w, z)
    return by_state @ influence + by_weights


def _gradient(weights: Tree, delta: object, influence: jax.Array) -> Tree:
    return ravel_pytree(weights)[1](ravel_pytree(delta)[0] @ influence)


# By unit: a memory block, or a conventional hidden unit -----------------------------------------


def _by_unit(number: int, tree: Tree) -> Tree:
    """Split the last axis of every array over the units, which become the first axis."""

    def split(array: jax.Array) -> jax.Array:
        return jnp.moveaxis(array.reshape(*array.shape[:-1], number, -1), -2, 0)

    return jax.tree.map(split, tree)


def _advance_each(
    step: Callable, weights: object, state: object, own: np.ndarray, influence: jax.Array
) -> jax.Array:
    def advance(weights: object, state: object, own: jax.Array, influence: jax.Array) -> jax.Array:
        return _advance(lambda w, z: step(w, z, own), weights, state, influence)

    return jax.vmap(advance)(weights, state, jnp.asarray(own), influence)


def _gradient_each(number: int, weights: Tree, delta: object, influence: jax.Array) -> Tree:
    by_unit, join_units = jax.vjp(lambda tree: _by_unit(number, tree), weights)
    (gradient,) = join_units(jax.vmap(_gradient)(by_unit, _by_unit(number, delta), influence))
    return gradient


def _one_block(architecture: Architecture) -> Architecture:
    return dataclasses.replace(
        architecture,
        blocks=architecture.blocks[:1],
        num_hidden=0,
        num_outputs=0,
        input_to_output=False,
        output="identity",
        recurrent="none",
    )


def _places(architecture: Architecture) -> tuple[np.ndarray, np.ndarray]:
    """Return where the layer's sources have each block's, [J, ...], and hidden unit's, [N, 1]."""
    blocks: list[np.ndarray] = [np.zeros((architecture.num_blocks, 0), int)]
    hidden, first = np.zeros((architecture.num_hidden, 0), int), 0
    rows = zip(UNIT_TYPES, architecture.sizes, architecture.is_recurrent, strict=True)
    for unit_type, size, is_seen in rows:
        places = np.arange(first, first + size * is_seen)
        if unit_type.name == "hidden":
            hidden = places.reshape(architecture.num_hidden, int(is_seen))
        elif is_seen:
            blocks.append(places.reshape(architecture.num_blocks, -1))
        first += size * is_seen
    return np.concatenate(blocks, axis=1), hidden
