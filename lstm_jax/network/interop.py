"""Conversion of LSTM layers from and to other libraries.

Their layers are architectures of single cells with forget gates (Gers, Schmidhuber & Cummins 2000)
and without peepholes; `modern` makes one. After `from_library` a network computes the same numbers,
with the library's gradient as `gradient="full"`, and the paper's as "truncated". No other library
is imported.

`LAYOUTS` lists the libraries, their arrays and their order of the gates: i input gate, f forget
gate, g cell input, o output gate. Of flax.nnx, take `nnx.to_pure_dict(nnx.state(cell, nnx.Param))`;
of flax.linen, the variables' "params"; of haiku, the parameters of "lstm/linear"; of torch, the
`state_dict` or the `named_parameters`; of keras, the weights by name. Several layers are a `Stack`:
a list of arrays, the lowest layer first, with a pair, forward and backward, for each layer of two
directions; the names of torch.nn.LSTM tell all of them apart, `num_layers` and `bidirectional`.
Recurrent states are (c, h) in flax and (h, c) in the others; here they are `internal_state` and
`cell_output` of `State`.
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
import itertools
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from numpy.typing import ArrayLike

from lstm_jax.cell.architecture import Architecture, NetworkWith, check_network
from lstm_jax.cell.parameters import check_parameters
from lstm_jax.cell.records import OutputWeights, P, Parameters, StackParameters, UnitWeights
from lstm_jax.cell.stack import Stack, without_outputs
from lstm_jax.cell.units import Layer
from lstm_jax.cell.validation import as_floats, as_real, check_choice, check_type, require
from lstm_jax.network.files import Network

Arrays: TypeAlias = "Mapping[str, ArrayLike | Arrays]"  # nested where a name has a dot
Row: TypeAlias = "Arrays | Sequence[Arrays]"  # of a layer, or of its two directions
Names = tuple[str, ...]

_UNIT_TYPES = {"i": "input_gate", "f": "forget_gate", "o": "output_gate", "g": "cell"}


class Layout(NamedTuple):
    """The arrays of a library's layer; several names are arrays to be joined along the units."""

    input: Names  # weights from the inputs, [I, units]
    recurrent: Names  # weights from the cells, [C, units]; as `input` if they are its further rows
    biases: tuple[Names, ...]  # [units]; several are added
    gates: str = "ifgo"  # the order of the unit types, each with C units
    units_first: bool = False  # whether weights are [units, sources]
    added_to_forget: float = 0.0  # what the library adds to the net inputs of the forget gates

    @property
    def names(self) -> Names:
        """The names of all arrays."""
        return (*self.input, *self.recurrent, *itertools.chain(*self.biases))


_LINEN = Layout(
    ("ii.kernel", "if.kernel", "ig.kernel", "io.kernel"),
    ("hi.kernel", "hf.kernel", "hg.kernel", "ho.kernel"),
    (("hi.bias", "hf.bias", "hg.bias", "ho.bias"),),
)
LAYOUTS: dict[str, Layout] = {
    "flax.nnx.OptimizedLSTMCell": Layout(
        ("dense_i.kernel",), ("dense_h.kernel",), (("dense_h.bias",),)
    ),
    "flax.nnx.LSTMCell": _LINEN._replace(
        input=("ii.kernel", "if_.kernel", "ig.kernel", "io.kernel")  # `if` is a keyword
    ),
    "flax.linen.OptimizedLSTMCell": _LINEN,
    "flax.linen.LSTMCell": _LINEN,
    "haiku.LSTM": Layout(("w",), ("w",), (("b",),), gates="igfo", added_to_forget=1.0),
    "equinox.LSTMCell": Layout(("weight_ih",), ("weight_hh",), (("bias",),), units_first=True),
    "torch.nn.LSTM": Layout(
        ("weight_ih_l0",), ("weight_hh_l0",), (("bias_ih_l0",), ("bias_hh_l0",)), units_first=True
    ),
    "torch.nn.LSTMCell": Layout(
        ("weight_ih",), ("weight_hh",), (("bias_ih",), ("bias_hh",)), units_first=True
    ),
    "keras.LSTM": Layout(("kernel",), ("recurrent_kernel",), (("bias",),)),
}


def modern(num_inputs: int, num_cells: int, *, biases: bool = True) -> Architecture:
    """Return the architecture of a present-day LSTM layer, with one output unit per cell."""
    return Architecture(
        num_inputs=num_inputs,
        blocks=(1,) * num_cells,
        num_outputs=num_cells,
        recurrent="cells",
        biases="hidden" if biases else "none",
        cell_input="tanh",
        cell_output="tanh",
        output="identity",
        forget_gates=True,
    )


def from_library(library: str, arrays: Arrays | Sequence[Row]) -> Network:
    """Convert layers of another library to a network whose outputs are the top's cell outputs.

    The output weights are the identity. For other output units, replace `num_outputs`, `output` and
    `biases` of the architecture, and `output` of the parameters.

    >>> import numpy as np
    >>> arrays = {"kernel": np.ones((3, 8)), "recurrent_kernel": np.ones((2, 8))}
    >>> net, parameters = from_library("keras.LSTM", arrays | {"bias": np.arange(8.0)})
    >>> net.num_inputs, net.num_cells, parameters.layer.forget_gate.bias
    (3, 2, Array([2., 3.], dtype=float32))

    Args:
      library: "flax.nnx.OptimizedLSTMCell", "flax.nnx.LSTMCell", "flax.linen.OptimizedLSTMCell",
        "flax.linen.LSTMCell", "haiku.LSTM", "equinox.LSTMCell", "torch.nn.LSTM",
        "torch.nn.LSTMCell" or "keras.LSTM".
      arrays: the layer's arrays by their names in the library (see `lstm_jax.network.interop`);
        names with a dot may also be nested mappings. Biases may be absent. May be traced. Tensors
        of torch are copied from its graph and devices. Of several layers or two directions, a list
        with the arrays of each layer, or with pairs of those of its directions.

    Returns:
      The architecture and the parameters; of several layers or two directions, a `Stack` and its
      `StackParameters`.

    Raises:
      ValueError: if the library is unknown, or an array is missing, unknown or of another shape.
    """
    check_choice("library", library, tuple(LAYOUTS))
    if library == "torch.nn.LSTM" and isinstance(arrays, Mapping):
        layers = _torch_layers(arrays)
        arrays = layers if len(layers) > 1 or isinstance(layers[0], tuple) else arrays
    if isinstance(arrays, Mapping):
        return _layer(library, arrays)
    require(isinstance(arrays, (list, tuple)), "arrays", "a mapping, or a list of them", arrays)
    return _stack(library, arrays)


def _stack(library: str, rows: Sequence[Row]) -> tuple[Stack, StackParameters]:
    """Convert the arrays of each layer, or pairs of those of its directions, to a stack."""
    is_pair = lambda row: isinstance(row, (list, tuple)) and len(row) == 2
    is_both = bool(rows) and all(map(is_pair, rows))
    is_met = is_both or (bool(rows) and all(isinstance(row, Mapping) for row in rows))
    require(is_met, "arrays", "a mapping per layer, or two with two directions", rows)
    found = [
        [_layer(library, arrays, f"arrays[{i}]") for arrays in directions]
        for i, directions in enumerate((row,) if isinstance(row, Mapping) else row for row in rows)
    ]
    for i, ((net, _), *others) in enumerate(found):
        is_met = all(other == net for other, _ in others)
        require(is_met, f"arrays[{i}]", "two layers of equal shapes", others)
    *below, top = (row[0][0] for row in found)
    width = top.num_cells * (1 + is_both)
    layers = (*map(without_outputs, below), dataclasses.replace(top, num_outputs=width))
    forward, *backward = zip(*([p.layer for _, p in row] for row in found), strict=True)
    identity = jnp.eye(width, dtype=forward[0].cell.input.dtype)
    output = OutputWeights(cell=identity, hidden=None, input=None, bias=None)
    weights = StackParameters(forward, backward[0] if is_both else None, output)
    return Stack(layers, bidirectional=is_both), weights


def _torch_layers(arrays: Arrays) -> list[Row]:
    """Return torch's arrays by layer, and by direction if there are two, under the names of one."""
    split: dict[tuple[int, bool], dict[str, ArrayLike | Arrays]] = {}
    for name, array in arrays.items():
        match = re.fullmatch(r"(\w+)_l(\d+)(_reverse)?", name)
        kind, index, is_back = match.groups() if match else (name, 0, None)
        known = f"{kind}_l0" if match else name
        split.setdefault((int(index), is_back is not None), {})[known] = array
    number = 1 + max((index for index, _ in split), default=0)
    get = lambda index, is_back: split.get((index, is_back), {})
    if not any(is_back for _, is_back in split):
        return [get(i, False) for i in range(number)]
    return [(get(i, False), get(i, True)) for i in range(number)]


def _layer(library: str, arrays: Arrays, place: str = "arrays") -> tuple[Architecture, Parameters]:
    """Convert one layer in one direction."""
    check_type(place, arrays, Mapping)
    layout = LAYOUTS[library]
    is_array = lambda node: not isinstance(node, Mapping)
    leaves = jax.tree_util.tree_leaves_with_path(dict(arrays), is_array)
    names = [jax.tree_util.keystr(path, simple=True, separator=".") for path, _ in leaves]
    found = {name: _as_real(name, leaf) for name, (_, leaf) in zip(names, leaves, strict=True)}
    flat = as_floats(found)
    num_inputs, num_cells, has_biases = _check_arrays(library, layout, flat, place)

    def joined(names: Names) -> jax.Array:
        parts = [flat[name].T if layout.units_first else flat[name] for name in names]
        return jnp.concatenate(parts, axis=-1)

    from_inputs, from_cells = joined(layout.input), joined(layout.recurrent)
    if layout.input == layout.recurrent:
        from_inputs, from_cells = from_inputs[:num_inputs], from_inputs[num_inputs:]
    bias = functools.reduce(jnp.add, map(joined, layout.biases)) if has_biases else None
    units = UnitWeights(from_inputs, from_cells, bias)
    entry = lambda k: jax.tree.map(lambda w: jnp.split(w, 4, axis=-1)[k], units)
    groups = {_UNIT_TYPES[gate]: entry(k) for k, gate in enumerate(layout.gates)}
    layer = _shift_forget_bias(Layer(**groups, hidden=None), layout.added_to_forget)
    identity = jnp.eye(num_cells, dtype=from_inputs.dtype)
    output = OutputWeights(cell=identity, hidden=None, input=None, bias=None)
    return modern(num_inputs, num_cells, biases=has_biases), Parameters(layer, output)


def _as_real(name: str, array: Any) -> jax.Array:
    """Convert weights; tensors of torch first leave its graph and its devices."""
    if not hasattr(array, "detach"):
        return as_real(name, array)
    array = array.detach().cpu()
    if str(array.dtype) != "torch.bfloat16":
        return as_real(name, array)
    return as_real(name, array.float()).astype(jnp.bfloat16)  # NumPy reads no bfloat16 of torch


def to_library(library: str, architecture: NetworkWith[P], parameters: P) -> Any:
    """Convert the hidden layers of a network to another library's arrays, inverting `from_library`.

    >>> from lstm_jax.cell.parameters import initialise
    >>> net = modern(3, 5)
    >>> arrays = to_library("keras.LSTM", net, initialise(jax.random.key(0), net))
    >>> {name: array.shape for name, array in arrays.items()}
    {'kernel': (3, 20), 'recurrent_kernel': (5, 20), 'bias': (20,)}

    Args:
      library: as in `from_library`.
      architecture: one as `from_library` returns it, a `Stack` for several layers. Its output units
        and dropout are not converted.
      parameters: its weights; not traced.

    Returns:
      The arrays by name, in nested dictionaries where a name has a dot: NumPy arrays of their own
      memory, in C order, which `torch.from_numpy` takes. Of two biases, the second is 0. Weights of
      bfloat16, which NumPy does not have, become float32. Of a stack, a list of them or of pairs,
      or the one dictionary of torch.nn.LSTM.

    Raises:
      ValueError: if the library is unknown or has no such layer, or the parameters do not fit, are
        traced, or are of several networks (lanes).
    """
    check_choice("library", library, tuple(LAYOUTS))
    check_network(architecture)
    for layer in architecture.layers:
        _check_modern(library, layer)
    normalisation = architecture.normalisation
    require(normalisation == "none", "normalisation", "'none'", normalisation)
    check_parameters(architecture, parameters)
    both = [layers for layers in (parameters.layers, parameters.backward) if layers is not None]
    rows = [
        [_layer_to_library(LAYOUTS[library], weights) for weights in directions]
        for directions in zip(*both, strict=True)
    ]
    if not isinstance(architecture, Stack):
        return rows[0][0]
    if library == "torch.nn.LSTM":
        return _join_torch(rows)
    return [tuple(row) if architecture.bidirectional else row[0] for row in rows]


def _join_torch(rows: list[list[dict]]) -> dict[str, np.ndarray]:
    """Return the arrays of all layers and directions under torch's names; see `_torch_layers`."""
    joined = {}
    for i, row in enumerate(rows):
        for arrays, end in zip(row, ("", "_reverse"), strict=False):
            joined |= {f"{n.removesuffix('_l0')}_l{i}{end}": array for n, array in arrays.items()}
    return joined


def _layer_to_library(layout: Layout, layer: Layer[UnitWeights]) -> dict:
    cell = layer.cell.input
    require(not isinstance(cell, Tracer), "parameters", "arrays outside jit and grad", cell)
    require(cell.ndim == 2, "parameters", "those of one network, without lanes", cell.shape)
    layer = jax.tree.map(_as_numpy, layer)
    layer = _shift_forget_bias(layer, -layout.added_to_forget)
    groups = [getattr(layer, _UNIT_TYPES[gate]) for gate in layout.gates]
    units = jax.tree.map(lambda *parts: np.concatenate(parts, axis=-1), *groups)
    joined = {layout.input: units.input, layout.recurrent: units.recurrent}
    if layout.input == layout.recurrent:
        joined = {layout.input: np.concatenate([units.input, units.recurrent])}
    if units.bias is not None:
        first, *others = layout.biases
        joined |= {first: units.bias} | dict.fromkeys(others, np.zeros_like(units.bias))
    found: dict = {}
    for names, array in joined.items():
        for name, part in zip(names, np.split(array, len(names), axis=-1), strict=True):
            *folders, last = name.split(".")
            folder = found.setdefault(folders[0], {}) if folders else found
            folder[last] = np.array(part.T if layout.units_first else part, order="C")
    return found


def _as_numpy(weights: jax.Array | np.ndarray) -> np.ndarray:
    """Return weights in a dtype of NumPy's own: bfloat16 becomes float32, exactly."""
    array = np.asarray(weights)
    return array if array.dtype.kind == "f" else array.astype(np.float32)


def _shift_forget_bias(layer: Layer[UnitWeights], added: float) -> Layer[UnitWeights]:
    gate = layer.forget_gate
    if gate.bias is None or not added:
        return layer
    return layer._replace(forget_gate=gate._replace(bias=gate.bias + added))


def _check_arrays(library: str, layout: Layout, arrays: dict, place: str) -> tuple[int, int, bool]:
    """Return I, C and whether there are biases; raise ValueError unless all shapes follow."""
    given = {name: array.shape for name, array in arrays.items()}
    turn = lambda shape: shape[::-1] if layout.units_first else shape
    sizes = [turn(given.get(names[0], ())) for names in (layout.input, layout.recurrent)]
    (rows, _), (_, units) = (size if len(size) == 2 else (0, 0) for size in sizes)
    num_cells = max(units * len(layout.recurrent) // 4, 1)
    num_inputs = max(rows - num_cells * (layout.input == layout.recurrent), 1)
    wanted: dict[str, tuple[int, ...]] = {}
    for names, rows in ((layout.input, num_inputs), (layout.recurrent, num_cells)):
        for name in names:
            both = sum(turn(wanted.get(name, ()))[:1]) + rows
            wanted[name] = turn((both, 4 * num_cells // len(names)))
    biases = {name: (4 * num_cells // len(names),) for names in layout.biases for name in names}
    has_biases = layout.added_to_forget != 0 or bool({*biases} & {*given})
    if has_biases:
        wanted |= biases
    if given != wanted:
        nearest = _nearest(library, tuple(given))
        hint = "" if nearest == library else f"; their names are nearest to those of {nearest}"
        shapes = f"{place} of {library} must have shapes such as {wanted}, got {given}"
        raise ValueError(shapes + hint)
    return num_inputs, num_cells, has_biases


def _nearest(library: str, names: Names) -> str:
    """Return the library whose names are most like the given ones; the first one if several are."""
    text = lambda names: " ".join(sorted(names))
    matcher = difflib.SequenceMatcher(b=text(names))

    def likeness(library: str) -> float:
        matcher.set_seq1(text(LAYOUTS[library].names))
        return matcher.ratio()

    return max((library, *LAYOUTS), key=likeness)


def _check_modern(library: str, architecture: Architecture) -> None:
    wanted = modern(architecture.num_inputs, architecture.num_cells)
    free = ("num_outputs", "output", "input_to_output", "biases")
    names = [f.name for f in dataclasses.fields(Architecture) if f.name not in free]
    other = [name for name in names if getattr(architecture, name) != getattr(wanted, name)]
    if other:
        raise ValueError(f"{library} has no layer with the {', '.join(other)} of architecture")
    biased = {*_UNIT_TYPES.values()} & {*architecture.biased}
    if len(biased) < 4 and (biased or LAYOUTS[library].added_to_forget):
        raise ValueError(f"{library} needs biases of all units, got {architecture.biases!r}")
