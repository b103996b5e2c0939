"""Sequential construction: memory blocks are added to the network one by one (section 4).

It is the paper's remedy for the abuse problem: "a memory cell and the corresponding gate units are
added to the network whenever the error stops decreasing". All blocks and their random weights exist
from the start. Until a block is added, no unit receives its activations, so it learns nothing.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from lstm_jax.cell.architecture import UNIT_TYPES, Architecture, Layer
from lstm_jax.cell.parameters import Parameters

# An error has stopped decreasing if it is at least this fraction of the previous chunk's.
STALLED = 0.95


def mask_blocks(
    architecture: Architecture, parameters: Parameters, num_blocks: jax.Array
) -> Parameters:
    """Set all weights from blocks that have not been added to 0.

    >>> from lstm_jax.cell.parameters import initialise
    >>> import jax
    >>> net = Architecture(num_inputs=1, blocks=(2, 1), num_outputs=1)
    >>> parameters = mask_blocks(net, initialise(jax.random.key(0), net), jnp.int32(1))
    >>> [bool(weight) for weight in parameters.output.cell[:, 0]]
    [True, True, False]

    Args:
      architecture: the network with all blocks.
      parameters: its weights, or their gradient, for one trial or a batch of B.
      num_blocks: [] or [B] int32, the number of blocks that have been added.
    """
    cells = np.repeat(np.arange(architecture.num_blocks), architecture.blocks)
    gates = np.arange(architecture.num_blocks)
    block_of = Layer(*(gates if t.is_gate else cells for t in UNIT_TYPES))._replace(hidden=-1)
    units = zip(block_of, architecture.sizes, architecture.is_recurrent, strict=True)
    sources = [np.broadcast_to(block, size) for block, size, is_source in units if size * is_source]

    def mask(weights: jax.Array, blocks: np.ndarray) -> jax.Array:
        """Mask weights [S, n] whose source s is in block `blocks[s]`; -1 is in none."""
        column = blocks.reshape(-1, 1, *(1,) * num_blocks.ndim).astype(num_blocks.dtype)
        return jnp.where(column < num_blocks[None, None], weights, 0)

    layer = parameters.layer
    if sources:
        all_sources = np.concatenate(sources)
        masked = {
            name: weights._replace(recurrent=mask(weights.recurrent, all_sources))
            for name, weights in layer._asdict().items()
            if weights is not None
        }
        layer = layer._replace(**masked)
    output = parameters.output._replace(cell=mask(parameters.output.cell, cells))
    return Parameters(layer, output)


def next_num_blocks(
    architecture: Architecture, num_blocks: jax.Array, error: jax.Array, last_error: jax.Array
) -> jax.Array:
    """Return the number of blocks after a chunk: one more where its error has hardly decreased.

    The error never stops decreasing altogether: outputs whose target is 0 fall as t^(-1/2).

    >>> net = Architecture(num_inputs=1, blocks=(2, 1), num_outputs=1)
    >>> error = jnp.array([0.9, 0.99, 0.99])
    >>> next_num_blocks(net, jnp.array([0, 0, 2]), error, jnp.ones(3)).tolist()
    [0, 1, 2]

    Args:
      architecture: the network with all blocks.
      num_blocks: the number before the chunk.
      error: the chunk's mean training error.
      last_error: that of the previous chunk; infinity if there was none.
    """
    stalled = (error >= STALLED * last_error).astype(jnp.int32)
    return jnp.minimum(num_blocks + stalled, architecture.num_blocks)
