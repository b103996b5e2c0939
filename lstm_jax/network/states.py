"""Any pytree of arrays in a file, to go on later: the state of `fit`, a `Learner`, a scaler.

A file of `save_state` is safetensors, with a leaf under its path in the tree. It holds no code and
no structure: `load_state` fills a tree that the program makes anew. safetensors needs the extra
`files`.
"""

from __future__ import annotations

import os
from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from lstm_jax.network.files import existing_file, read_arrays, write_arrays

Tree = TypeVar("Tree")
FORMAT = "lstm_jax state 1"


def save_state(path: str | os.PathLike[str], tree: object, *, overwrite: bool = False) -> None:
    """Write the leaves of a pytree to a safetensors file, completely or not at all.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_state(f"{folder}/a", {"weights": np.ones(2), "epoch": 3})
    ...     load_state(f"{folder}/a", like={"weights": np.zeros(2), "epoch": 0})
    {'epoch': 3, 'weights': array([1., 1.])}

    Args:
      path: the file, such as "state.safetensors".
      tree: of arrays and numbers, such as (result.state, scaler).
      overwrite: whether an existing file is replaced.

    Raises:
      ValueError: if a leaf is not an array of numbers, or the file exists and `overwrite` is False.
      FileNotFoundError: if the folder does not exist.
    """
    arrays = {name: _as_array(name, leaf) for name, leaf in _by_path(tree).items()}
    write_arrays(path, arrays, {"format": FORMAT}, overwrite=overwrite)


def load_state(path: str | os.PathLike[str], like: Tree) -> Tree:
    """Read a pytree from a file of `save_state`, equal to the last bit.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_state(f"{folder}/a", jnp.arange(3))
    ...     load_state(f"{folder}/a", like=jnp.zeros(3, int))
    Array([0, 1, 2], dtype=int32)

    Args:
      path: the file.
      like: a tree of the same structure, shapes and dtypes, whose values do not matter, such as
        (init_fit(parameters, optimiser), scaler). Leaves become what they are here: arrays of JAX,
        arrays of NumPy, or numbers.

    Raises:
      ValueError: if the file does not hold a state, is damaged, or holds another tree.
      FileNotFoundError: if the file does not exist.
    """
    path, wanted = existing_file(path), _by_path(like)
    try:
        arrays, _ = read_arrays(path, FORMAT)
        for name in sorted({*wanted} ^ {*arrays}):
            raise ValueError(f"it {'lacks' if name in wanted else 'has unknown'} leaf {name!r}")
        leaves = [_fill(name, arrays[name], leaf) for name, leaf in wanted.items()]
    except ValueError as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"{path} does not hold such a state: {reason}") from error
    return jax.tree.unflatten(jax.tree.structure(like), leaves)


def _by_path(tree: object) -> dict[str, ArrayLike]:
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {jax.tree_util.keystr(path): leaf for path, leaf in leaves}


def _as_array(name: str, leaf: ArrayLike) -> np.ndarray:
    dtype = getattr(leaf, "dtype", None)
    if dtype is not None and jnp.issubdtype(dtype, jax.dtypes.prng_key):
        raise ValueError(f"tree{name} is a PRNG key; save jax.random.key_data of it")
    array = np.asarray(leaf)
    if array.dtype.kind not in "biuf" and not jnp.issubdtype(array.dtype, jnp.floating):
        raise ValueError(f"tree{name} must be an array of numbers, got {array.dtype}")
    return np.ascontiguousarray(array).reshape(array.shape)


def _fill(name: str, array: np.ndarray, leaf: ArrayLike) -> ArrayLike:
    """Return an array of the file as the kind of leaf that is in its place."""
    wanted = _as_array(name, leaf)
    if (array.dtype, array.shape) != (wanted.dtype, wanted.shape):
        found = f"{array.dtype} {array.shape}"
        raise ValueError(f"leaf {name!r} must be {wanted.dtype} {wanted.shape}, got {found}")
    if isinstance(leaf, (bool, int, float)):
        return array.item()
    if isinstance(leaf, np.generic):
        return array[()]
    return array if isinstance(leaf, np.ndarray) else jnp.asarray(array)
