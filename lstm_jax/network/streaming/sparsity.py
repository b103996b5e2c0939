"""Sparse initialisation of a network's weights (Elsayed et al. 2024, algorithm 2)."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp

from lstm_jax.cell.records import P
from lstm_jax.cell.validation import as_number, check_key, require


def sparsify(key: jax.Array, parameters: P, share: float = 0.9) -> P:
    """Set a share of the weights into every unit to 0, at random; biases and peepholes stay.

    The share is rounded down, separately for the weights that a unit has from inputs, from the
    hidden layer and from cells, so that at least one of each stays.

    >>> from lstm_jax import Architecture, initialise
    >>> net = Architecture(num_inputs=10, blocks=(1,), num_outputs=1)
    >>> parameters = sparsify(jax.random.key(1), initialise(jax.random.key(0), net))
    >>> (parameters.layer.cell.input != 0).sum()
    Array(1, dtype=int32)

    Args:
      key: a PRNG key; each array is drawn with its `fold_in`.
      parameters: the weights of a network, from `initialise`.
      share: in [0, 1), of the weights to set to 0.

    Raises:
      ValueError: if `key` is not a PRNG key, or the share is out of its range.
    """
    check_key("key", key)
    require(0 <= as_number(share) < 1, "share", "in [0, 1)", share)

    def zeroed(index: int, weights: jax.Array) -> jax.Array:
        if weights.ndim != 2:
            return weights
        order = jax.random.uniform(jax.random.fold_in(key, index), weights.shape)
        rank = jnp.argsort(jnp.argsort(order, axis=0), axis=0)
        return jnp.where(rank < math.floor(share * len(weights)), 0, weights)

    leaves, structure = jax.tree.flatten(parameters)
    return jax.tree.unflatten(structure, [zeroed(*at) for at in enumerate(leaves)])
