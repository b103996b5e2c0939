"""Padded batches of sequences of different lengths, for `jax.vmap`."""

from __future__ import annotations

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike

from lstm_jax.cell.validation import as_host_array, as_integer


def pad_sequences(
    sequences: Sequence[ArrayLike], *, steps: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Stack sequences of different lengths into one batch, padded with zeros at the end.

    With `Steps(length=...)`, every function of a padded sequence equals that of the sequence alone.

    Only NumPy is used, so that it may run in the worker processes of a data loader.

    >>> batch, lengths = pad_sequences([[[0.5], [0.25]], [[1.0]]])
    >>> batch.tolist(), lengths.tolist()
    ([[[0.5], [0.25]], [[1.0], [0.0]]], [2, 1])

    Args:
      sequences: at least one, [T_i, ...] each, with the same axes after the first; all floating,
        all integer or all bool. Not traced: call it outside `jit`.
      steps: T, so that batches of one shape share a compiled function; None: the largest T_i.

    Returns:
      The batch [B, T, ...] and the lengths [B] int32, arrays of NumPy.

    Raises:
      ValueError: if `sequences` is empty, or one does not fit the first or `steps`.
    """
    try:
        arrays = [
            as_host_array(f"sequences[{i}]", sequence) for i, sequence in enumerate(sequences)
        ]
    except TypeError as error:
        raise ValueError(f"sequences must be a list of arrays, got {sequences!r}") from error
    if not arrays:
        raise ValueError("sequences must hold at least one sequence, got none")
    first = arrays[0]
    for i, array in enumerate(arrays):
        fits = _type(array) == _type(first) and array.shape[1:] == first.shape[1:]
        if array.ndim == 0 or _type(array) is None or not fits:
            wanted = "numbers [T, ...], floating, integer or bool, and fit sequences[0]"
            raise ValueError(f"sequences[{i}] must hold {wanted}, got {array.dtype} {array.shape}")
    lengths = np.array([len(array) for array in arrays], np.int32)
    longest = int(lengths.max())
    num_steps = longest if steps is None else as_integer("steps", steps, 0)
    if num_steps < longest:
        raise ValueError(f"steps must be at least {longest}, the longest sequence, got {steps!r}")
    return pad(arrays, num_steps), lengths


def pad(arrays: Sequence[np.ndarray], steps: int) -> np.ndarray:
    """Return arrays [T_i, ...] with zeros at the end, [B, steps, ...]."""
    padded = np.zeros((len(arrays), steps, *arrays[0].shape[1:]), np.result_type(*arrays))
    for row, array in zip(padded, arrays, strict=True):
        row[: len(array)] = array
    return padded


def _type(array: np.ndarray) -> str | None:
    families = {"floating": jnp.floating, "integer": jnp.integer, "bool": jnp.bool_}
    return next((n for n, family in families.items() if jnp.issubdtype(array.dtype, family)), None)
