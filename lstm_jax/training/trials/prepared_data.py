"""The data of `Task.prepare`, and sequences that are drawn from them.

Each trial has data of its own, and all trials share others: arrays that `prepare` returns as one
object for every trial. Each device keeps those once. Both parts are pytrees like the data, with
None in place of the arrays of the other part.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import chex
import jax
import jax.numpy as jnp
import numpy as np

from lstm_jax.tasks.task import Data, Example, in_turn
from lstm_jax.training.update_rules.base import subkey, vmap_trials
from lstm_jax.training.update_rules.stored_keys import StoredKey, restore_keys, store_keys


def prepare_data(
    prepare: Callable[[jax.Array, int], Data], key: jax.Array, indices: Sequence[int]
) -> tuple[Data, Data]:
    """Return the data of trials, [..., R] of their own and shared, on the host.

    Raises:
      ValueError: if the shapes of their arrays differ.
    """
    found = [prepare(key, index) for index in indices]
    # A single trial compares its arrays with those of another call.
    again = found[-1] if len(found) > 1 else prepare(key, indices[0])
    for index, data in zip(indices, found, strict=True):
        if _shapes(data) != _shapes(again):
            trials = f"trials {indices[0]} and {index}"
            raise ValueError(f"prepare must return arrays of the same shapes for {trials}")

    def is_one_array(leaf: chex.Array, *others: chex.Array) -> bool:
        return np.ndim(leaf) > 0 and all(other is leaf for other in others)

    is_shared = jax.tree.map(is_one_array, again, *found)
    shared = jax.tree.map(lambda is_shared, leaf: leaf if is_shared else None, is_shared, again)
    found = [store_keys(jax.tree.map(_unless, is_shared, data)) for data in found]
    own = jax.tree.map(lambda *leaves: np.stack(leaves, axis=-1), *found)
    return own, store_keys(shared)


def draw_sequences(
    sample: Callable[[jax.Array, Data], Example],
    sequence_set: Callable[[Data], Example] | None,
    keys: chex.Array,
    own: Data,
    shared: Data,
    *uses: int,
) -> Callable[[jax.Array], Example]:
    """Return the function from n to sequence number n of each of B trials, the batch axis last.

    Args:
      sample: draws a sequence: (key, data) -> `Example`.
      sequence_set: (data) -> all sequences, which are taken in turn instead; None: they are drawn.
      keys: [2, B] uint32, the raw data of the trials' keys.
      own, shared: the data of the trials, [..., B] and shared.
      *uses: folded into the keys before n.
    """
    if sequence_set is None:

        def draw(n: jax.Array) -> Example:
            draw_one = lambda key, own: sample(subkey(key, *uses, n), _join(own, shared))
            return vmap_trials(draw_one)(keys, own)

        return draw
    if jax.tree.leaves(own):
        sequences = vmap_trials(lambda own: sequence_set(_join(own, shared)))(own)
        return lambda n: in_turn(sequences, n)
    sequences, batch = sequence_set(_join(own, shared)), keys.shape[1:]
    repeat = lambda array: jnp.broadcast_to(array[..., None], (*array.shape, *batch))
    return lambda n: jax.tree.map(repeat, in_turn(sequences, n))


def _join(own: Data, shared: Data) -> Data:
    """Return the data of one trial from the two parts."""
    if shared is not None:
        is_leaf = lambda node: node is None or isinstance(node, StoredKey)
        own = jax.tree.map(lambda a, b: b if a is None else a, own, shared, is_leaf=is_leaf)
    return restore_keys(own)


def _unless(is_shared: bool, leaf: object) -> object:
    return None if is_shared else leaf


def _shapes(data: Data) -> tuple:
    leaves, structure = jax.tree.flatten(data)
    return structure, [np.shape(leaf) for leaf in leaves]
