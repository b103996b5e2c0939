"""Batches of padded sequences, a function of the data, a seed and the epoch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from lstm_jax.cell.units import MaybeNone
from lstm_jax.cell.validation import as_integer, displayed, require
from lstm_jax.network.padding import pad


class Batch(NamedTuple):
    """Sequences padded with zeros at the end; a pytree of NumPy arrays.

    Attributes:
      inputs: [B, T, I] floating, or [B, T] integers.
      lengths: [B] int32, the steps before the padding.
      targets: [B, ...], one per sequence; or [B, T, ...], one per step; or None.
    """

    inputs: np.ndarray
    lengths: np.ndarray
    targets: np.ndarray | MaybeNone

    @property
    def is_real(self) -> np.ndarray:
        """[B, T] bool, False at padding: the weights of losses with a target per step."""
        steps = np.arange(self.inputs.shape[1], dtype=self.lengths.dtype)
        return steps < self.lengths[:, None]


def batches(
    inputs: ArrayLike | Sequence[ArrayLike],
    targets: ArrayLike | Sequence[ArrayLike] | None = None,
    *,
    size: int = 32,
    per_step: bool = False,
    lengths: ArrayLike | None = None,
    epoch: int | None = None,
    seed: int = 0,
    buckets: int = 1,
) -> Iterator[Batch]:
    """Yield every sequence once, in batches.

    >>> for batch in batches([[1, 2], [3], [4, 5, 6]], [0, 1, 0], size=2):
    ...     print(batch.inputs.tolist(), batch.lengths.tolist(), batch.targets.tolist())
    [[1, 2, 0], [3, 0, 0]] [2, 1] [0, 1]
    [[4, 5, 6]] [3] [0]

    Args:
      inputs: N sequences, [T_i, I] floating or [T_i] integers: a list, or an array [N, T, ...].
      targets: one per sequence, [N, ...]; None: none.
      per_step: whether there is a target per step instead, [T_i, ...] each, padded as the inputs.
      size: sequences in a batch; the last one of a bucket may have fewer.
      lengths: [N], the steps before the padding of an array of inputs; None: T.
      epoch: orders the sequences at random, together with `seed`; None: as they are.
      seed: see `epoch`.
      buckets: groups of sequences of similar length, of about the same size. A batch is of one
        group and has the steps of its longest sequence, so there are at most two shapes of
        batches per group, each compiled once.

    Raises:
      ValueError: if an argument does not fit.
    """
    size, buckets = as_integer("size", size, 1), as_integer("buckets", buckets, 1)
    sequences = _as_sequences("inputs", inputs)
    if lengths is not None:
        sequences = _cut("inputs", sequences, np.asarray(lengths))
    steps = np.array([len(sequence) for sequence in sequences], np.int32)
    of_all = None if targets is None else _as_targets(targets, steps, per_step)
    rng = None
    if epoch is not None:
        rng = np.random.default_rng((as_integer("seed", seed, 0), as_integer("epoch", epoch, 0)))
    for longest, members in _order(steps, size, buckets, rng):
        chosen = None
        if of_all is not None:
            parts = [of_all[i] for i in members]
            chosen = pad(parts, longest) if per_step else np.stack(parts)
        yield Batch(pad([sequences[i] for i in members], longest), steps[members], chosen)


def _order(
    steps: np.ndarray, size: int, buckets: int, rng: np.random.Generator | None
) -> list[tuple[int, np.ndarray]]:
    """Return the steps and the members of each batch."""
    order = np.arange(len(steps)) if rng is None else rng.permutation(len(steps))
    groups = [order]
    if buckets > 1:
        by_length = np.argsort(steps, kind="stable")
        bucket_of = np.empty(len(steps), int)
        for bucket, members in enumerate(np.array_split(by_length, buckets)):
            bucket_of[members] = bucket
        groups = [order[bucket_of[order] == bucket] for bucket in range(buckets)]
    found = []
    for members in groups:
        longest = int(steps[members].max(initial=0))
        parts = [members[i : i + size] for i in range(0, len(members), size)]
        found += [(longest, part) for part in parts]
    if rng is not None:
        rng.shuffle(found)
    return found


def _as_sequences(name: str, data: object) -> list[np.ndarray]:
    if not isinstance(data, Iterable):
        raise ValueError(f"{name} must be a list of arrays [T, ...], got {displayed(data)}")
    try:
        arrays = [np.asarray(sequence) for sequence in data]
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} must be a list of arrays [T, ...]: {error}") from error
    require(arrays, name, "at least one sequence", data)
    axes = arrays[0].shape[1:]
    for i, array in enumerate(arrays):
        if array.ndim == 0 or array.shape[1:] != axes or array.dtype.kind not in "biuf":
            wanted = f"numbers [T, ...] with the further axes {axes} of {name}[0]"
            raise ValueError(f"{name}[{i}] must be {wanted}, got {array.dtype} {array.shape}")
    dtype = np.result_type(*{array.dtype for array in arrays})
    return [array.astype(dtype, copy=False) for array in arrays]


def _as_targets(data: object, steps: np.ndarray, per_step: bool) -> Sequence[np.ndarray]:
    if per_step:
        found = _as_sequences("targets", data)
    else:
        try:
            found = list(np.asarray(data))
        except (TypeError, ValueError) as error:
            message = "targets must be one per sequence; per_step=True pads those of every step"
            raise ValueError(message) from error
    require(len(found) == len(steps), "targets", f"those of {len(steps)} sequences", len(found))
    return _cut("targets", found, steps) if per_step else found


def _cut(name: str, sequences: Sequence[np.ndarray], steps: np.ndarray) -> list[np.ndarray]:
    """Return the steps before the padding."""
    is_met = steps.shape == (len(sequences),) and np.issubdtype(steps.dtype, np.integer)
    require(is_met, "lengths", f"{len(sequences)} integers", steps)
    for i, (sequence, length) in enumerate(zip(sequences, steps, strict=True)):
        require(0 <= length <= len(sequence), f"{name}[{i}]", f"of {length} steps", len(sequence))
    return [s[:length] for s, length in zip(sequences, steps, strict=True)]
