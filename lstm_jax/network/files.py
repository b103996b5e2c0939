"""Networks in files: the architecture and the weights together, exact to the bit.

`save` writes safetensors: arrays under names such as `layer.input_gate.bias`, and a header with the
architecture as JSON. Reading such a file never runs code, and other frameworks can read it. `load`
reads these files, and the networks in the result files of the experiments (.json). safetensors
needs the extra `files`.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import pathlib
import re
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from lstm_jax.cell.architecture import Architecture, NetworkWith
from lstm_jax.cell.parameters import check_parameters, is_shape, one_array, parameter_shapes
from lstm_jax.cell.records import P, Parameters
from lstm_jax.cell.stack import Stack
from lstm_jax.cell.validation import as_array, check_floating
from lstm_jax.network.writing import write_atomically

# A JSON object: strings to null, bools, numbers, strings, lists and objects.
Document = dict[str, Any]
# A network and its weights: which class they are of is known at run time alone.
Network = tuple[Architecture | Any, Parameters | Any]

Array = jax.Array | np.ndarray
FORMAT = "lstm_jax network 1"
DTYPES = ("bfloat16", "float16", "float32", "float64")


def save(
    path: str | os.PathLike[str],
    architecture: NetworkWith[P],
    parameters: P,
    *,
    overwrite: bool = False,
) -> None:
    """Write a network to a safetensors file, completely or not at all.

    `save_state` writes other pytrees, such as a network's parameters with an optimiser's state.

    >>> import tempfile
    >>> from lstm_jax.cell.parameters import initialise
    >>> net = Architecture(num_inputs=3, blocks=(2,), num_outputs=1)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(f"{folder}/net.safetensors", net, initialise(jax.random.key(0), net))
    ...     found, parameters = load(f"{folder}/net.safetensors")
    >>> found == net, parameters.output.cell.shape
    (True, (2, 1))

    Args:
      path: the file, such as "net.safetensors".
      architecture: the network, an `Architecture` or a `Stack`.
      parameters: its weights, bfloat16, float16, float32 or float64; with lanes, of many networks.
      overwrite: whether an existing file is replaced.

    Raises:
      ValueError: if the parameters do not fit, or the file exists and `overwrite` is False.
      FileNotFoundError: if the folder does not exist.
    """
    check_parameters(architecture, parameters)
    arrays = {name: np.ascontiguousarray(w) for name, w in _by_name(parameters).items()}
    dtype = one_array(parameters).dtype.name
    if dtype not in DTYPES:
        raise ValueError(f"parameters must be of one of {', '.join(DTYPES)}, got {dtype}")
    header = {
        "format": FORMAT,
        "architecture": json.dumps(dataclasses.asdict(architecture)),
    }
    write_arrays(path, arrays, header, overwrite=overwrite)


def load(path: str | os.PathLike[str], *, dtype: DTypeLike | None = None) -> Network:
    """Read a network from a file of `save`, or from a result file of the experiments.

    A result file, whose name ends in .json, holds the network of its first solved trial; if none
    was solved, of its first trial.

    >>> import tempfile
    >>> from lstm_jax.cell.parameters import initialise
    >>> net = Architecture(num_inputs=3, blocks=(2,), num_outputs=1)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(f"{folder}/net.safetensors", net, initialise(jax.random.key(0), net))
    ...     load(f"{folder}/net.safetensors")[0] == net
    True

    Args:
      path: the file, such as "out/6a.json".
      dtype: the floating dtype of the weights; None: that of the file, float32 for result files.

    Returns:
      The architecture and the parameters, equal to the saved ones to the last bit: an
      `Architecture` and its `Parameters`, or a `Stack` and its `StackParameters`.

    Raises:
      ValueError: if the file does not hold a network or is damaged; or it holds float64 while JAX
        is restricted to float32 and no dtype is given.
      FileNotFoundError: if the file does not exist.
    """
    path = existing_file(path)
    if dtype is not None:
        check_floating("dtype", dtype)
    try:
        if path.suffix == ".json":
            document = json.loads(path.read_text(encoding="utf-8"))
            return network_from_document(document, dtype or jnp.float32)
        arrays, header = read_arrays(path, FORMAT)
        architecture = _as_architecture(json.loads(header.get("architecture", "null")))
        return architecture, _as_parameters(architecture, arrays, dtype)
    except (ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"{path} does not hold a network: {reason}") from error


def network_from_document(document: Document, dtype: DTypeLike = jnp.float32) -> Network:
    """Return the network of a result file, given its parsed JSON."""
    try:
        if document["network"] is None:
            raise ValueError(f"the result of {document['task']} has no network")
        fields, weights = document["architecture"], {**document["network"]["parameters"]}
    except (KeyError, TypeError) as error:
        raise ValueError("document must have an architecture and network.parameters") from error
    architecture = _as_architecture(fields)
    plain = lambda path: re.sub(r"\[(\d+)\]", r".\1", path).removeprefix(".")
    arrays = {plain(path): as_array(path, w) for path, w in weights.items()}
    return architecture, _as_parameters(architecture, arrays, dtype)


def existing_file(path: str | os.PathLike[str]) -> pathlib.Path:
    """Return a path; raise FileNotFoundError unless it is that of a file."""
    path = pathlib.Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"path must be an existing file, got {path}")
    return path


def write_arrays(
    path: str | os.PathLike[str],
    arrays: Mapping[str, np.ndarray],
    header: Mapping[str, str],
    *,
    overwrite: bool,
) -> None:
    """Write named arrays, a header and a digest to a safetensors file, completely or not at all."""
    from safetensors.numpy import save as as_safetensors

    path = pathlib.Path(path)
    if path.is_dir() or not path.parent.is_dir():
        raise FileNotFoundError(f"path must be that of a file in an existing folder, got {path}")
    content = as_safetensors({**arrays}, {**header, "sha256": _digest(arrays)})
    try:
        write_atomically(path, content, overwrite=overwrite)
    except FileExistsError as error:
        raise ValueError(f"{path} exists; overwrite=True replaces it") from error


def read_arrays(path: pathlib.Path, file_format: str) -> tuple[dict[str, np.ndarray], Document]:
    """Read the arrays and the header of a file of `write_arrays`; raise ValueError otherwise."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(str(error)) from error
    if metadata.get("format") != file_format:
        raise ValueError(f"format must be {file_format!r}, got {metadata.get('format')!r}")
    if metadata.get("sha256", digest := _digest(arrays)) != digest:
        raise ValueError("its weights are not those that were saved")
    return arrays, metadata


def _as_architecture(fields: Document) -> Architecture | Stack:
    is_stack = isinstance(fields, dict) and "layers" in fields
    try:
        return Stack(**fields) if is_stack else Architecture(**fields)
    except TypeError as error:  # not a dictionary, a field too many, or one missing
        raise ValueError(f"architecture must have the fields of Architecture: {error}") from error


def _as_parameters(
    architecture: NetworkWith[P], arrays: Mapping[str, Array], dtype: DTypeLike | None
) -> P:
    """Convert arrays by name to the parameters of an architecture, of one dtype that JAX holds."""
    shapes = parameter_shapes(architecture)
    names = list(_by_name(shapes))
    for name in sorted({*names} ^ {*arrays}):
        raise ValueError(f"parameters {'lack' if name in names else 'have unknown'} {name}")
    holds_float64 = any(arrays[name].dtype == np.float64 for name in names)
    if holds_float64 and dtype is None and not jax.config.read("jax_enable_x64"):
        raise ValueError("it holds float64: enable jax_enable_x64, or give load a dtype")
    leaves = [jnp.array(arrays[name], dtype) for name in names]
    parameters = jax.tree.unflatten(jax.tree.structure(shapes, is_leaf=is_shape), leaves)
    check_parameters(architecture, parameters)
    return parameters


def _by_name(tree: object) -> dict[str, Array]:
    leaves = jax.tree_util.tree_leaves_with_path(tree, is_leaf=is_shape)
    return {jax.tree_util.keystr(path, simple=True, separator="."): leaf for path, leaf in leaves}


def _digest(arrays: Mapping[str, np.ndarray]) -> str:
    """Return a hash of names and bytes; the format itself does not detect a flipped bit."""
    content = b"".join(name.encode() + arrays[name].tobytes() for name in sorted(arrays))
    return hashlib.sha256(content).hexdigest()
