"""Conversion of LSTM layers from and to other libraries.

Their layers are architectures of single cells with forget gates (Gers, Schmidhuber & Cummins 2000)
and without peepholes; `modern` makes one. After `from_library` a network computes the same numbers,
with the library's gradient as `gradient="full"`, and the paper's as "truncated". No other library
is imported.

`LAYOUTS` lists the libraries, their arrays and their order of the gates: i input gate, f forget
gate, g cell input, o output gate. Of flax, take `nnx.to_pure_dict(nnx.state(cell, nnx.Param))`; of
haiku, the parameters of "lstm/linear"; of torch, the `state_dict` of one layer in one direction; of
keras, the weights by name. Recurrent states are (c, h) in flax and (h, c) in the others; here they
are `internal_state` and `cell_output` of `State`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
from numpy.typing import ArrayLike

from lstm_jax.cell.architecture import Architecture, Layer
from lstm_jax.cell.parameters import OutputWeights, Parameters, UnitWeights, check_parameters
from lstm_jax.cell.validation import as_array, check_type

Arrays: TypeAlias = "Mapping[str, ArrayLike | Arrays]"  # nested where a name has a dot
Names = tuple[str, ...]

_UNIT_TYPES = {"i": "input_gate", "f": "forget_gate", "o": "output_gate", "g": "cell"}


class Layout(NamedTuple):
    """The arrays of a library's layer; several names are arrays to be joined along the units."""

    input: Names
    """Weights from the inputs, [I, units]."""
    recurrent: Names
    """Weights from the cells, [C, units]; as `input`, if they are the further rows of one array."""
    biases: tuple[Names, ...]
    """Biases, [units]; several are added."""
    gates: str = "ifgo"
    """The order of the unit types, each with C units."""
    units_first: bool = False
    """Whether weights are [units, sources]."""
    added_to_forget: float = 0.0
    """The constant that the library adds to the net inputs of the forget gates."""


LAYOUTS: dict[str, Layout] = {
    "flax.nnx.OptimizedLSTMCell": Layout(
        ("dense_i.kernel",), ("dense_h.kernel",), (("dense_h.bias",),)
    ),
    "flax.nnx.LSTMCell": Layout(
        ("ii.kernel", "if_.kernel", "ig.kernel", "io.kernel"),
        ("hi.kernel", "hf.kernel", "hg.kernel", "ho.kernel"),
        (("hi.bias", "hf.bias", "hg.bias", "ho.bias"),),
    ),
    "haiku.LSTM": Layout(("w",), ("w",), (("b",),), gates="igfo", added_to_forget=1.0),
    "equinox.LSTMCell": Layout(("weight_ih",), ("weight_hh",), (("bias",),), units_first=True),
    "torch.nn.LSTM": Layout(
        ("weight_ih_l0",), ("weight_hh_l0",), (("bias_ih_l0",), ("bias_hh_l0",)), units_first=True
    ),
    "keras.LSTM": Layout(("kernel",), ("recurrent_kernel",), (("bias",),)),
}


def modern(num_inputs: int, num_cells: int, *, biases: bool = True) -> Architecture:
    """Return the architecture of a present-day LSTM layer, with one output unit per cell.

    >>> modern(3, 5).num_weights - 5 * 5  # without those from the cells to the outputs
    180
    """
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


def from_library(library: str, arrays: Arrays) -> tuple[Architecture, Parameters]:
    """Convert a layer of another library to a network whose outputs are its cell outputs.

    The output weights are the identity. For other output units, replace `num_outputs`, `output` and
    `biases` of the architecture, and `output` of the parameters.

    >>> import numpy as np
    >>> arrays = {"kernel": np.ones((3, 8)), "recurrent_kernel": np.ones((2, 8))}
    >>> net, parameters = from_library("keras.LSTM", arrays | {"bias": np.arange(8.0)})
    >>> net.num_inputs, net.num_cells, parameters.layer.forget_gate.bias
    (3, 2, Array([2., 3.], dtype=float32))

    Args:
      library: a key of `LAYOUTS`.
      arrays: the layer's arrays by the names of its layout; names with a dot may also be nested
        mappings. Biases may be absent. May be traced.

    Returns:
      The architecture and its parameters, of the arrays' dtype.

    Raises:
      ValueError: if the library is unknown, or an array is missing, unknown or of another shape.
    """
    layout = _layout(library)
    check_type("arrays", arrays, Mapping)
    flat = _flatten(arrays)
    has_biases = _check_names(library, layout, flat)
    from_inputs, from_cells = _weights(library, layout, flat)
    num_inputs, num_cells = from_inputs.shape[0], from_cells.shape[0]
    split = lambda joined: jnp.split(joined, 4, axis=-1)
    biases = split(_bias(library, layout, flat, num_cells)) if has_biases else [None] * 4
    groups = {}
    for gate, from_input, from_cell, bias in zip(
        layout.gates, split(from_inputs), split(from_cells), biases, strict=True
    ):
        if bias is not None and gate == "f":
            bias = bias + layout.added_to_forget
        groups[_UNIT_TYPES[gate]] = UnitWeights(from_input, from_cell, bias)
    identity = jnp.eye(num_cells, dtype=from_inputs.dtype)
    output = OutputWeights(cell=identity, hidden=None, input=None, bias=None)
    architecture = modern(num_inputs, num_cells, biases=has_biases)
    return architecture, Parameters(Layer(**groups, hidden=None), output)


def to_library(library: str, architecture: Architecture, parameters: Parameters) -> dict[str, Any]:
    """Convert the hidden layer of a network to another library's arrays, inverting `from_library`.

    >>> import jax
    >>> from lstm_jax.cell.parameters import initialise
    >>> net = modern(3, 5)
    >>> arrays = to_library("keras.LSTM", net, initialise(jax.random.key(0), net))
    >>> {name: array.shape for name, array in arrays.items()}
    {'kernel': (3, 20), 'recurrent_kernel': (5, 20), 'bias': (20,)}

    Args:
      library: a key of `LAYOUTS`.
      architecture: one as of `modern`, with any output units.
      parameters: its weights; those of the output units are not converted.

    Returns:
      The arrays by name, in nested dictionaries where a name has a dot. Of two biases, the second
      is 0.

    Raises:
      ValueError: if the library is unknown or has no such layer, or the parameters do not fit.
    """
    layout = _layout(library)
    _check_modern(library, layout, architecture)
    check_parameters(architecture, parameters)
    groups = [getattr(parameters.layer, _UNIT_TYPES[gate]) for gate in layout.gates]
    weights = _join([group.input for group in groups]), _join([g.recurrent for g in groups])
    joined = dict(zip((layout.input, layout.recurrent), weights, strict=True))
    if layout.input == layout.recurrent:
        joined = {layout.input: jnp.concatenate(weights)}
    if groups[0].bias is not None:
        added = [layout.added_to_forget * (gate == "f") for gate in layout.gates]
        bias = _join([group.bias - x for group, x in zip(groups, added, strict=True)])
        for names in layout.biases:
            joined[names] = bias
            bias = jnp.zeros_like(bias)
    found: dict[str, Any] = {}
    for names, array in joined.items():
        for name, part in zip(names, jnp.split(array, len(names), axis=-1), strict=True):
            *folders, last = name.split(".")
            folder = found.setdefault(folders[0], {}) if folders else found
            folder[last] = part.T if layout.units_first else part
    return found


def _weights(library: str, layout: Layout, arrays: Arrays) -> tuple[jax.Array, jax.Array]:
    """Return the weights from inputs and from cells, [I, 4 C] and [C, 4 C]."""
    found = []
    for names in (layout.input, layout.recurrent):
        parts = [as_array(name, arrays[name]) for name in names]
        for name, part in zip(names, parts, strict=True):
            if part.ndim != 2 or part.shape != parts[0].shape:
                raise ValueError(f"{name} of {library} must be a matrix, got shape {part.shape}")
        found.append(_join([part.T if layout.units_first else part for part in parts]))
    from_inputs, from_cells = found
    num_cells = from_cells.shape[1] // 4
    if layout.input == layout.recurrent:
        num_inputs = max(from_inputs.shape[0] - num_cells, 0)
        from_inputs, from_cells = from_inputs[:num_inputs], from_inputs[num_inputs:]
    wanted = (num_cells, 4 * num_cells)
    fits = from_inputs.shape[1] == wanted[1] and from_cells.shape == wanted
    if not fits or not from_inputs.shape[0] or not num_cells:
        raise ValueError(
            f"arrays of {library} must have I sources and 4 C units from the inputs, C and 4 C "
            f"from the cells, got {from_inputs.shape} and {from_cells.shape}"
        )
    return from_inputs, from_cells


def _bias(library: str, layout: Layout, arrays: Arrays, num_cells: int) -> jax.Array:
    """Return the sum of the biases, [4 C]."""
    parts = []
    for names in layout.biases:
        part = _join([jnp.ravel(as_array(name, arrays[name])) for name in names])
        if part.shape != (4 * num_cells,):
            sizes = (size // len(names) for size in (4 * num_cells, len(part)))
            raise ValueError(
                "{} of {} must have {} entries, got {}".format(names[0], library, *sizes)
            )
        parts.append(part)
    return sum(parts[1:], parts[0])


def _join(parts: list[jax.Array]) -> jax.Array:
    return jnp.concatenate(parts, axis=-1)


def _flatten(arrays: Arrays) -> dict[str, ArrayLike]:
    """Join the names of nested mappings by dots."""
    found: dict[str, ArrayLike] = {}
    for name, value in arrays.items():
        if isinstance(value, Mapping):
            found |= {f"{name}.{rest}": array for rest, array in _flatten(value).items()}
        else:
            found[name] = value
    return found


def _layout(library: str) -> Layout:
    if not isinstance(library, str) or library not in LAYOUTS:
        raise ValueError(f"library must be one of {', '.join(LAYOUTS)}, got {library!r}")
    return LAYOUTS[library]


def _check_names(library: str, layout: Layout, arrays: Arrays) -> bool:
    """Return whether there are biases; raise ValueError if arrays are missing or unknown."""
    biases = {name for names in layout.biases for name in names}
    weights = {*layout.input, *layout.recurrent}
    has_biases = bool(biases & set(arrays)) or layout.added_to_forget != 0
    if set(arrays) != (weights | biases if has_biases else weights):
        raise ValueError(
            f"arrays of {library} must be {', '.join(sorted(weights | biases))}, "
            f"got {', '.join(sorted(arrays)) or 'none'}"
        )
    return has_biases


def _check_modern(library: str, layout: Layout, architecture: Architecture) -> None:
    check_type("architecture", architecture, Architecture)
    free = ("num_outputs", "output", "input_to_output", "biases")
    wanted = dataclasses.replace(
        modern(architecture.num_inputs, architecture.num_cells),
        **{name: getattr(architecture, name) for name in free},
    )
    names = [field.name for field in dataclasses.fields(Architecture)]
    other = [n for n in names if getattr(architecture, n) != getattr(wanted, n)]
    if other:
        raise ValueError(f"{library} has no layer with the {', '.join(other)} of architecture")
    biased = set(_UNIT_TYPES.values()) & set(architecture.biased)
    if len(biased) < 4 and (biased or layout.added_to_forget):
        raise ValueError(f"{library} needs biases of all units, got {architecture.biases!r}")
