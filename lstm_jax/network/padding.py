"""Padded batches of sequences of different lengths, for `jax.vmap`."""

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
    """Stack sequences of different lengths into one batch, padded with zeros at the end.

    With `Steps(length=...)`, every function of a padded sequence equals that of the sequence alone.

    >>> batch, lengths = pad_sequences([[[0.5], [0.25]], [[1.0]]])
    >>> batch.tolist(), lengths.tolist()
    ([[[0.5], [0.25]], [[1.0], [0.0]]], [2, 1])

    Args:
      sequences: at least one, [T_i, ...] each, with the same axes after the first; all floating,
        all integer or all bool. Not traced: call it outside `jit`.
      steps: T, so that batches of one shape share a compiled function; None: the largest T_i.

    Returns:
      The batch [B, T, ...] and the lengths [B] int32.

    Raises:
      ValueError: if there is no sequence, one does not fit the first, or one is longer than
        `steps`.
    """
    try:
        given = list(sequences)
    except TypeError as error:
        raise ValueError(f"sequences must be a list of arrays, got {sequences!r}") from error
    arrays = [_as_sequence(i, sequence) for i, sequence in enumerate(given)]
    if not arrays:
        raise ValueError("sequences must hold at least one sequence, got none")
    first = arrays[0]
    for i, array in enumerate(arrays):
        if _type(array) != _type(first) or array.shape[1:] != first.shape[1:]:
            wanted = ", ".join([f"T_{i}", *map(str, first.shape[1:])])
            raise ValueError(
                f"sequences[{i}] must be {_type(first)} [{wanted}] as sequences[0], got "
                f"{array.dtype} {array.shape}"
            )
    lengths = np.array([len(array) for array in arrays], np.int32)
    longest = int(lengths.max())
    num_steps = longest if steps is None else as_integer("steps", steps, 0)
    if num_steps < longest:
        raise ValueError(f"steps must be at least {longest}, the longest sequence, got {steps!r}")
    batch = np.zeros((len(arrays), num_steps, *first.shape[1:]), np.result_type(*arrays))
    for row, array in zip(batch, arrays, strict=True):
        row[: len(array)] = array
    return as_array("sequences", batch), jnp.asarray(lengths)


def _as_sequence(i: int, sequence: ArrayLike) -> np.ndarray:
    try:
        array = np.asarray(sequence)
    except ValueError as error:
        raise ValueError(f"sequences[{i}] must be an array, got {sequence!r}") from error
    if array.ndim == 0 or _type(array) is None:
        wanted = "numbers [T, ...], floating, integer or bool"
        raise ValueError(f"sequences[{i}] must hold {wanted}, got {array.dtype} {array.shape}")
    return array


def _type(array: np.ndarray) -> str | None:
    for name, dtype in (("floating", jnp.floating), ("integer", jnp.integer), ("bool", jnp.bool_)):
        if jnp.issubdtype(array.dtype, dtype):
            return name
    return None
