"""A network in a file: architecture and weights together, safe to read and the same to the bit.

The format is safetensors: arrays under their names, such as `layer.input_gate.bias`, and a header
of text that holds the architecture as JSON. Nothing in such a file is ever run, and other
frameworks read it. Needs the extra `files`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import pathlib
import tempfile
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from lstm_jax.cell.architecture import Architecture
from lstm_jax.cell.parameters import Parameters, check_parameters, is_shape, parameter_shapes
from lstm_jax.cell.validation import as_array, check_floating, displayed

# A JSON object: strings to null, bools, numbers, strings, lists and objects.
Document = dict[str, Any]

FORMAT = "lstm_jax network 1"
DTYPES = ("bfloat16", "float16", "float32", "float64")


def save(
    path: str | os.PathLike[str],
    architecture: Architecture,
    parameters: Parameters,
    *,
    overwrite: bool = False,
) -> None:
    """Writes a network to a file that `load` reads: whole, or not at all.

    >>> from lstm_jax.cell.parameters import initialise
    >>> net = Architecture(num_inputs=3, blocks=(2,), num_outputs=1)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(f"{folder}/net.safetensors", net, initialise(jax.random.key(0), net))
    ...     found, parameters = load(f"{folder}/net.safetensors")
    >>> found == net, parameters.output.cell.shape
    (True, (2, 1))

    Args:
      path: of the file, in a folder that exists.
      architecture: the network.
      parameters: its weights, of one of `DTYPES`; with lanes, those of many networks.
      overwrite: whether a file that exists may be replaced.

    Raises:
      ValueError: if the parameters do not fit the architecture or are not finite, or the file
        exists and may not be replaced.
      FileNotFoundError: if there is no such folder.
      ImportError: without safetensors.
    """
    from safetensors.numpy import save as serialised

    path = pathlib.Path(path)
    check_parameters(architecture, parameters)
    arrays = {name: np.asarray(leaf) for name, leaf in _named(parameters).items()}
    dtype = arrays["output.cell"].dtype.name
    if dtype not in DTYPES:
        raise ValueError(f"parameters must be of one of {', '.join(DTYPES)}, got {dtype}")
    if path.is_dir():
        raise ValueError(f"path must be of a file, got the folder {path}")
    if path.exists() and not overwrite:
        raise ValueError(f"{path} exists; overwrite=True replaces it")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"path must be in a folder that exists, got {path}")
    arrays = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    metadata = {
        "format": FORMAT,
        "architecture": json.dumps(dataclasses.asdict(architecture)),
        "sha256": _digest(arrays),
    }
    write_atomically(path, serialised(arrays, metadata))


def load(
    path: str | os.PathLike[str], *, dtype: DTypeLike | None = None
) -> tuple[Architecture, Parameters]:
    """Reads a network that `save` wrote.

    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "net.safetensors")
    ...     _ = path.write_bytes(b"something else")
    ...     load(path)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ValueError: ...net.safetensors is not a network that lstm_jax.save wrote: ...

    Args:
      path: of the file.
      dtype: that the weights are to have, floating; None: that of the file.

    Returns:
      The architecture and the parameters, to the last bit those that were saved.

    Raises:
      ValueError: if it is no such file, or damaged, or its weights do not fit its architecture or
        are not finite; or it holds float64 while JAX knows float32 alone and no dtype is given.
      FileNotFoundError: if there is no such file.
      ImportError: without safetensors.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"path must be a file that exists, got {path}")
    if dtype is not None:
        check_floating("dtype", dtype)
    with _naming(path):
        arrays, metadata = _read(path)
        architecture = _architecture(metadata)
        if metadata.get("sha256", digest := _digest(arrays)) != digest:
            raise ValueError("its weights are not those that were saved")
        parameters = _as_parameters(architecture, arrays, dtype)
        check_parameters(architecture, parameters)
    return architecture, parameters


def write_atomically(path: pathlib.Path, content: bytes) -> None:
    """Writes a file so that no reader, and no crash, ever sees a part of it."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        pathlib.Path(name).unlink(missing_ok=True)
        raise


def _named(tree: Parameters) -> dict[str, Any]:
    """The leaves of a `Parameters`, by their names in a file."""
    leaves = jax.tree_util.tree_leaves_with_path(tree, is_leaf=is_shape)
    return {jax.tree_util.keystr(path, simple=True, separator="."): leaf for path, leaf in leaves}


def _digest(arrays: Mapping[str, np.ndarray]) -> str:
    """Of the arrays' names and bytes: the format itself would not notice another bit."""
    found = hashlib.sha256()
    for name in sorted(arrays):
        found.update(name.encode())
        found.update(arrays[name].tobytes())
    return found.hexdigest()


@contextlib.contextmanager
def _naming(path: pathlib.Path) -> Iterator[None]:
    """Trouble with a file's content as one line that names the file."""
    from safetensors import SafetensorError

    try:
        yield
    except (ValueError, SafetensorError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"{path} is not a network that lstm_jax.save wrote: {reason}") from error


def _read(path: pathlib.Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    from safetensors import safe_open

    with safe_open(path, framework="numpy") as file:
        metadata = file.metadata() or {}
        if metadata.get("format") != FORMAT:
            raise ValueError(f"format must be {FORMAT!r}, got {metadata.get('format')!r}")
        return {name: file.get_tensor(name) for name in file.keys()}, metadata  # noqa: SIM118


def _architecture(metadata: Mapping[str, str]) -> Architecture:
    try:
        return Architecture(**json.loads(metadata["architecture"]))
    except (KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"no architecture in its header ({error})") from error


def _as_parameters(
    architecture: Architecture, arrays: Mapping[str, np.ndarray], dtype: DTypeLike | None
) -> Parameters:
    """The arrays in their places, of one dtype that JAX holds."""
    wanted = parameter_shapes(architecture)
    names = list(_named(wanted))
    for name in {*names} ^ {*arrays}:
        raise ValueError(f"it {'lacks' if name in names else 'has unknown'} weights {name}")
    if dtype is None and not jax.config.read("jax_enable_x64"):
        for name in names:
            if arrays[name].dtype == np.float64:
                raise ValueError("it holds float64: enable jax_enable_x64, or give load a dtype")
    leaves = [jnp.array(arrays[name], dtype) for name in names]
    return jax.tree.unflatten(jax.tree.structure(wanted, is_leaf=is_shape), leaves)


def network_from_document(document: Document) -> tuple[Architecture, Parameters]:
    """The network of the first solved trial of a result file, to the last bit.

    A solved network is two lines away: `document = json.load(open("out/6a.json"))`, and this.

    >>> weights = {".layer.cell.input": [[0.5]], ".output.cell": [[1.0]]}
    >>> architecture = {"num_inputs": 1, "blocks": [1], "num_outputs": 1, "output": "logistic"}
    >>> bare = dict(input_gates=False, output_gates=False, recurrent="none", biases="none")
    >>> document = {"architecture": architecture | bare, "network": {"parameters": weights}}
    >>> network_from_document(document)[1].layer.cell.input
    Array([[0.5]], dtype=float32)

    Args:
      document: a result file's content, as JSON reads it.

    Returns:
      The architecture and the parameters, float32.

    Raises:
      ValueError: if no trial was solved, a field is missing or of another kind, or the weights do
        not fit the architecture.
    """
    document = _as_object("document", document)
    if document.get("network", 0) is None:
        raise ValueError(f"the result of {document.get('task')} has no solved trial")
    network = _as_object("network", document.get("network"))
    weights = _as_object("network.parameters", network.get("parameters"))
    architecture = _read_architecture(_as_object("architecture", document.get("architecture")))
    shapes = parameter_shapes(architecture)
    is_shape = lambda node: type(node) is tuple
    paths, structure = jax.tree_util.tree_flatten_with_path(shapes, is_leaf=is_shape)
    names = [jax.tree_util.keystr(path) for path, _ in paths]
    for name in sorted({*names} ^ {*weights}):
        told = "lacks" if name in names else "has unknown"
        raise ValueError(f"network.parameters {told} {name}")
    leaves = [as_array(name, weights[name]).astype(jnp.float32) for name in names]
    parameters = jax.tree.unflatten(structure, leaves)
    check_parameters(architecture, parameters)
    return architecture, parameters


def _read_architecture(fields: Document) -> Architecture:
    """Files of before errors had names call output units whose f' is left out "logistic_1"."""
    renamed = {"logistic_1": "logistic"}
    if isinstance(fields.get("output"), str):
        fields = fields | {"output": renamed.get(fields["output"], fields["output"])}
    try:
        return Architecture(**fields)
    except TypeError as error:  # a field too many, or missing
        raise ValueError(f"architecture must be one of the LSTM's: {error}") from error


def _as_object(name: str, value: object) -> Document:
    if not isinstance(value, dict):
        raise ValueError(f"{name} must be an object of a result file, got {displayed(value)}")
    return value
