"""Sequential network construction (section 4): memory blocks that join during training."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from lstm_jax.cell.architecture import Architecture
from lstm_jax.cell.records import Parameters
from lstm_jax.cell.units import UNIT_TYPES, Layer


def mask_blocks(
    architecture: Architecture, parameters: Parameters, num_blocks: jax.Array
) -> Parameters:
    """Set all weights to 0 from blocks beyond the first `num_blocks`, [] or [B] int32.

    Sequential construction is the paper's remedy for the abuse problem: "a memory cell and the
    corresponding gate units are added to the network whenever the error stops decreasing" (section
    4). Until a block is added, no unit receives its activations, so it learns nothing.
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

    masked = {
        name: weights._replace(recurrent=mask(weights.recurrent, np.concatenate(sources)))
        for name, weights in parameters.layer._asdict().items()
        if weights is not None and sources
    }
    output = parameters.output._replace(cell=mask(parameters.output.cell, cells))
    return Parameters(parameters.layer._replace(**masked), output)
