"""Random arrays of many shapes, in one draw.

Each call of a random generator takes XLA longer to compile than a small network's step, and a
network has an array for each kind of unit and source.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import jax
from jax.typing import DTypeLike


def draw_weights(
    keys: jax.Array,
    shapes: Sequence[tuple[int, ...]],
    init_range: float | jax.Array,
    dtype: DTypeLike,
) -> list[jax.Array]:
    """Draws arrays uniformly from [-init_range, init_range], each with a key of its own.

    Each is what `jax.random.uniform` draws of its shape with its key: entry n of a draw depends on
    n alone (`jax_threefry_partitionable`), so that all may be as long as the longest and are cut;
    in between they take n times the memory of that one.

    >>> a, b = draw_weights(jax.random.split(jax.random.key(0), 2), [(2, 3), (4,)], 0.1, "float32")
    >>> a.shape, b.shape
    ((2, 3), (4,))

    Args:
      keys: [n] PRNG keys.
      shapes: of the n arrays.
      init_range: half the width of the distribution, positive.
      dtype: the arrays' floating dtype.
    """
    sizes = [math.prod(shape) for shape in shapes]
    draw = lambda key: jax.random.uniform(key, (max(sizes),), dtype, -init_range, init_range)
    rows = jax.vmap(draw)(keys)
    return [row[:size].reshape(shape) for row, size, shape in zip(rows, sizes, shapes, strict=True)]
