"""The networks that are compared: the cell of 1997, its descendants and a GRU.

All are single cells in one hidden layer with linear output units, and have about the same number of
weights. The 1997 cells begin with input gates nearly closed, the others with forget gates open.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from experiments.own_data.run import Outputs, draw_weights, make_architecture, net_inputs_of
from lstm_jax import Architecture, Parameters
from lstm_jax.network.run import At, Gradient

P = TypeVar("P")
TOLERANCE = 0.1  # of the number of weights


class Model(NamedTuple, Generic[P]):
    """A network of some size.

    Attributes:
      cells: memory cells, or units of a GRU.
      num_weights: biases included.
      init: a PRNG key -> the initial weights.
      net_inputs: its function of weights, inputs and length.
      architecture: None for a GRU.
    """

    cells: int
    num_weights: int
    init: Callable[[jax.Array], P]
    net_inputs: Outputs[P]
    architecture: Architecture | None = None


MakeModel = Callable[[int, int, int], Model]  # from inputs, cells and outputs


def make_lstm(base: str, gradient: Gradient, **changes: bool) -> MakeModel:
    """Return what makes a network of `experiments.fit`, with fields of its architecture changed."""

    def make(num_inputs: int, cells: int, num_outputs: int) -> Model[Parameters]:
        net = make_architecture(base, num_inputs, cells, num_outputs, "identity")
        net = dataclasses.replace(net, **changes)
        init = functools.partial(draw_weights, net=net)
        return Model(cells, net.num_weights, init, net_inputs_of(net, gradient), net)

    return make


class GRUWeights(NamedTuple):
    """The weights of a GRU: [I + H + 1, ...] with a row of biases, and [H + 1, K]."""

    gates: jax.Array
    candidate: jax.Array
    output: jax.Array


def gru_net_inputs(weights: GRUWeights, inputs: ArrayLike, length: ArrayLike, at: At) -> jax.Array:
    """Return the net inputs of a GRU's output units (Cho et al. 2014), [T, K] or [K] at the end.

    z, r = f(W [x(t), h(t-1), 1])
    h(t) = z h(t-1) + (1 - z) tanh(V [x(t), r h(t-1), 1])
    """
    units = weights.output.shape[0] - 1
    inputs, one = jnp.asarray(inputs), jnp.ones(1)
    if jnp.issubdtype(inputs.dtype, jnp.integer):
        inputs = jax.nn.one_hot(inputs, weights.gates.shape[0] - units - 1)

    def step(h: jax.Array, x_t: jax.Array) -> tuple[jax.Array, jax.Array]:
        z, r = jax.nn.sigmoid(jnp.concatenate([x_t, h, one]) @ weights.gates).reshape(2, units)
        candidate = jnp.tanh(jnp.concatenate([x_t, r * h, one]) @ weights.candidate)
        h = z * h + (1 - z) * candidate
        return h, h

    _, h = jax.lax.scan(step, jnp.zeros(units), inputs)
    h = jnp.take(h, length - 1, axis=0) if at == "end" else h
    with_bias = jnp.concatenate([h, jnp.ones_like(h[..., :1])], axis=-1)
    return with_bias @ weights.output


def make_gru(num_inputs: int, units: int, num_outputs: int) -> Model[GRUWeights]:
    """Make a GRU with as many units."""
    rows = num_inputs + units + 1
    shapes = (rows, 2 * units), (rows, units), (units + 1, num_outputs)

    def init(key: jax.Array) -> GRUWeights:
        draw = lambda key, shape: jax.random.uniform(key, shape, minval=-1, maxval=1) / units**0.5
        return GRUWeights(*map(draw, jax.random.split(key, 3), shapes))

    num_weights = sum(rows * columns for rows, columns in shapes)
    return Model(units, num_weights, init, gru_net_inputs)


REFERENCE = "1997, truncated gradient"
NETWORKS: dict[str, MakeModel] = {
    REFERENCE: make_lstm("1997", "truncated"),
    "1997, full gradient": make_lstm("1997", "full"),
    "forget gates (2000)": make_lstm("1997", "truncated", forget_gates=True),
    "peepholes (2002)": make_lstm("1997", "truncated", forget_gates=True, peepholes=True),
    "modern layer": make_lstm("modern", "full"),
    "GRU (2014)": make_gru,
}


def of_size(make: MakeModel, num_inputs: int, num_outputs: int, num_weights: int) -> Model:
    """Return the network with the number of weights that is nearest to a given one.

    Raises:
      ValueError: if it is not within 10 %.
    """
    found, cells = make(num_inputs, 1, num_outputs), 1
    while found.num_weights < num_weights:
        below, cells = found, cells + 1
        found = make(num_inputs, cells, num_outputs)
        if num_weights - below.num_weights < found.num_weights - num_weights:
            found = below
            break
    if abs(found.num_weights / num_weights - 1) > TOLERANCE:
        wanted = f"num_weights must be within 10 % of a network's, got {num_weights}"
        raise ValueError(f"{wanted}, nearest is {found.num_weights}")
    return found
