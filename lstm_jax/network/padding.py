"""Sequences of many lengths as one array, which `jax.vmap` takes; padding counts for nothing."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike

from lstm_jax.cell.validation import as_array, as_integer


def pad_sequences(
    sequences: Sequence[ArrayLike], *, steps: int | None = None
) -> tuple[jax.Array, jax.Array]:
    """Puts sequences of different lengths into one batch, with zeros behind the shorter ones.

    What `apply` and `unroll` compute with each one's `length` is what they compute of it alone:

    >>> batch, lengths = pad_sequences([[[0.5], [0.25]], [[1.0]]])
    >>> batch.tolist(), lengths.tolist()
    ([[[0.5], [0.25]], [[1.0], [0.0]]], [2, 1])

    For a loss, `jax.vmap(lambda inputs, length: apply(net, parameters, inputs, length=length))`.

    Args:
      sequences: B of them, at least 1, each [T_i, ...] with the same axes behind the first, such
        as inputs [T_i, I], symbols [T_i] or targets [T_i, K]; all floating, all integer or all
        bool. On the host: not under `jit`.
      steps: T, so that batches of one shape share a compiled function; None: the longest T_i.

    Returns:
      The batch [B, T, ...] and the lengths [B] int32.

    Raises:
      ValueError: if there are none, one does not fit the first, or one is longer than `steps`.
    """
    try:
        several = list(sequences)
    except TypeError as error:
        raise ValueError(f"sequences must be a list of arrays, got {sequences!r}") from error
    arrays = [_as_sequence(i, given) for i, given in enumerate(several)]
    if not arrays:
        raise ValueError("sequences must hold at least one sequence, got none")
    first = arrays[0]
    for i, array in enumerate(arrays):
        if _kind(array) != _kind(first) or array.shape[1:] != first.shape[1:]:
            wanted = ", ".join([f"T_{i}", *map(str, first.shape[1:])])
            raise ValueError(
                f"sequences[{i}] must be {_kind(first)} [{wanted}] as sequences[0], got "
                f"{array.dtype} {array.shape}"
            )
    lengths = np.array([len(array) for array in arrays], np.int32)
    longest = int(lengths.max())
    shape = (len(arrays), longest if steps is None else _as_steps(steps, longest), *first.shape[1:])
    batch = np.zeros(shape, np.result_type(*arrays))
    for row, array in zip(batch, arrays, strict=True):
        row[: len(array)] = array
    return as_array("sequences", batch), jnp.asarray(lengths)


def _as_steps(steps: object, longest: int) -> int:
    found = as_integer("steps", steps, 0)
    if found < longest:
        raise ValueError(f"steps must be at least {longest}, the longest sequence's, got {steps!r}")
    return found


def _as_sequence(i: int, given: ArrayLike) -> np.ndarray:
    try:
        array = np.asarray(given)
    except ValueError as error:
        raise ValueError(f"sequences[{i}] must be an array, got {given!r}") from error
    if array.ndim == 0 or _kind(array) == "neither":
        wanted = "numbers [T, ...], floating, integer or bool"
        raise ValueError(f"sequences[{i}] must hold {wanted}, got {array.dtype} {array.shape}")
    return array


def _kind(array: np.ndarray) -> str:
    """What numbers an array holds."""
    kinds = {"floating": jnp.floating, "integer": jnp.integer, "bool": jnp.bool_}
    return next(
        (name for name, kind in kinds.items() if jnp.issubdtype(array.dtype, kind)), "neither"
    )
