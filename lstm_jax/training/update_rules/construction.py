"""Sequential construction: memory blocks join a network one after another (section 4).

A cure of the abuse problem, and a way to start small: "a memory cell and the corresponding gate
units are added to the network whenever the error stops decreasing". All blocks are there from the
start, with their random weights; what has not joined is not seen and learns nothing.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from lstm_jax.cell.architecture import Architecture
from lstm_jax.cell.parameters import Parameters
from lstm_jax.cell.units import UNIT_TYPES, Layer

# An error that falls by less than this factor from one chunk to the next has stopped decreasing.
STALLED = 0.95


def joined(architecture: Architecture, parameters: Parameters, number: jax.Array) -> Parameters:
    """The network of the first blocks: nobody sees the others, so that no error reaches them.

    >>> from lstm_jax.cell.parameters import initialise
    >>> import jax
    >>> net = Architecture(num_inputs=1, blocks=(2, 1), num_outputs=1)
    >>> parameters = joined(net, initialise(jax.random.key(0), net), jnp.int32(1))
    >>> [bool(weight) for weight in parameters.output.cell[:, 0]]
    [True, True, False]

    Args:
      architecture: of all blocks.
      parameters: of all blocks, or the gradient, with lanes last.
      number: int32, how many have joined, of every lane.
    """
    cells = np.repeat(np.arange(architecture.num_blocks), architecture.blocks)
    gates = np.arange(architecture.num_blocks)
    blocks = Layer(*(gates if k.is_gate else cells for k in UNIT_TYPES))._replace(hidden=-1)
    own = zip(blocks, architecture.sizes, architecture.is_recurrent, strict=True)
    sources = [np.broadcast_to(block, size) for block, size, is_seen in own if size * is_seen]

    def mask(weights: jax.Array, blocks: np.ndarray) -> jax.Array:
        """Weights [sources, n] without those from blocks that have not joined."""
        places = blocks.reshape(-1, 1, *(1,) * number.ndim).astype(number.dtype)
        return jnp.where(places < number[None, None], weights, 0)

    layer = parameters.layer
    if sources:
        all_sources = np.concatenate(sources)
        seeing = {k: w for k, w in layer._asdict().items() if w is not None}
        layer = layer._replace(
            **{k: w._replace(recurrent=mask(w.recurrent, all_sources)) for k, w in seeing.items()}
        )
    output = parameters.output._replace(cell=mask(parameters.output.cell, cells))
    return Parameters(layer, output)


def grown(
    architecture: Architecture, number: jax.Array, error: jax.Array, last_error: jax.Array
) -> jax.Array:
    """How many blocks have joined after a chunk: one more where its error has hardly fallen.

    It never quite stops decreasing: the outputs that should be 0 fall as t^(-1/2).

    >>> net = Architecture(num_inputs=1, blocks=(2, 1), num_outputs=1)
    >>> grown(net, jnp.array([0, 0, 2]), jnp.array([0.9, 0.99, 0.99]), jnp.ones(3)).tolist()
    [0, 1, 2]

    Args:
      architecture: of all blocks.
      number: how many had joined before.
      error: mean training error of the chunk.
      last_error: of the chunk before; infinity if there was none.
    """
    stalled = (error >= STALLED * last_error).astype(jnp.int32)
    return jnp.minimum(number + stalled, architecture.num_blocks)
