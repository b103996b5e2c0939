"""The LSTM layers of other libraries, as networks of this one and back.

A trained layer comes as its library's arrays, by their names, and becomes an architecture of
single cells with forget gates (Gers, Schmidhuber & Cummins 2000) that computes the same numbers.
Then ask what you like of it: `gradient="full"` is its library's own, "truncated" what the paper's
rule would have done to it. No library is needed for that; a name is a key of `LAYOUTS`.

| library, layer             | arrays (I inputs, H cells)             | gates   | biases; f starts |
|----------------------------|----------------------------------------|---------|------------------|
| flax nnx.OptimizedLSTMCell | dense_i.kernel [I, 4H];                | i f g o | one; 0           |
|                            | dense_h.kernel [H, 4H], .bias [4H]     |         |                  |
| flax nnx.LSTMCell          | ii, if_, ig, io: .kernel [I, H];       | by name | one; 0           |
|                            | hi, hf, hg, ho: .kernel [H, H], .bias  |         |                  |
| haiku LSTM                 | w [I + H, 4H], inputs first; b [4H]    | i g f o | one, f's less 1; |
|                            |                                        |         | 1, stored as 0   |
| equinox LSTMCell           | weight_ih [4H, I], weight_hh [4H, H],  | i f g o | one; uniform     |
|                            | bias [4H]                              |         |                  |
| torch.nn.LSTM              | weight_ih_l0 [4H, I], bias_ih_l0 [4H], | i f g o | two, added up;   |
|                            | weight_hh_l0 [4H, H], bias_hh_l0 [4H]  |         | uniform, both    |
| keras LSTM                 | kernel [I, 4H], bias [4H],             | i f c o | one; 1           |
|                            | recurrent_kernel [H, 4H]               |         |                  |

Gates are in the order of the columns (torch, equinox: rows): i input gate, f forget gate, g or c
cell input, o output gate. "f starts": what the library sets the forget gates' bias to; haiku
stores it less 1, which its forward pass adds. None has peepholes. States are (c, h) in flax, (h, c)
in torch, keras, equinox and haiku, as `internal_state` and `cell_output` of `State`. Of flax, take
`nnx.to_pure_dict(nnx.state(cell, nnx.Param))`; of haiku, the parameters of "lstm/linear"; of torch,
the `state_dict` of one layer in one direction; of keras, the weights by their names.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
from numpy.typing import ArrayLike

from lstm_jax.cell.architecture import Architecture
from lstm_jax.cell.parameters import OutputWeights, Parameters, UnitWeights, check_parameters
from lstm_jax.cell.units import Layer
from lstm_jax.cell.validation import as_array, check_type

Flat = Mapping[str, ArrayLike]  # by the names of the table
Arrays: TypeAlias = "Mapping[str, ArrayLike | Arrays]"  # or nested where a name has a dot
Nested = dict[str, Any]  # the same as it is handed out: `jax.Array`s and dictionaries
Names = tuple[str, ...]

_KINDS = {"i": "input_gate", "f": "forget_gate", "o": "output_gate", "g": "cell"}


class Layout(NamedTuple):
    """How a library keeps the weights of a layer: where names are several, they are joined."""

    gates: str
    """The order of the four kinds of unit."""
    input: Names
    """Of the arrays from the inputs."""
    recurrent: Names
    """Of the arrays from the cells; the same as `input`: one array, its rows below the inputs'."""
    biases: tuple[Names, ...]
    """Of the biases, which are added up if there are several."""
    units_first: bool = False
    """Whether arrays are [units, sources]."""
    added_to_forget: float = 0.0
    """What the forward pass adds to the forget gates' net inputs."""


def _each(pattern: str, gates: Names) -> Names:
    return tuple(pattern.format(gate) for gate in gates)


LAYOUTS: dict[str, Layout] = {
    "flax.nnx.OptimizedLSTMCell": Layout(
        "ifgo", ("dense_i.kernel",), ("dense_h.kernel",), (("dense_h.bias",),)
    ),
    "flax.nnx.LSTMCell": Layout(
        "ifgo",
        _each("i{}.kernel", ("i", "f_", "g", "o")),
        _each("h{}.kernel", ("i", "f", "g", "o")),
        (_each("h{}.bias", ("i", "f", "g", "o")),),
    ),
    "haiku.LSTM": Layout("igfo", ("w",), ("w",), (("b",),), added_to_forget=1.0),
    "equinox.LSTMCell": Layout("ifgo", ("weight_ih",), ("weight_hh",), (("bias",),), True),
    "torch.nn.LSTM": Layout(
        "ifgo", ("weight_ih_l0",), ("weight_hh_l0",), (("bias_ih_l0",), ("bias_hh_l0",)), True
    ),
    "keras.LSTM": Layout("ifgo", ("kernel",), ("recurrent_kernel",), (("bias",),)),
}


def modern(num_inputs: int, num_cells: int, *, biases: bool = True) -> Architecture:
    """Today's LSTM layer, whose outputs are those of its cells.

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
    """A layer of another library as a network, whose outputs are the layer's own.

    The output units just hand on what the cells do, by the weights 1 and 0. To put others in their
    place, replace `num_outputs`, `output` and `biases` of the architecture, `output` of the
    parameters.

    >>> import numpy as np
    >>> arrays = {"kernel": np.ones((3, 8)), "recurrent_kernel": np.ones((2, 8))}
    >>> net, parameters = from_library("keras.LSTM", arrays | {"bias": np.arange(8.0)})
    >>> net.num_inputs, net.num_cells, parameters.layer.forget_gate.bias
    (3, 2, Array([2., 3.], dtype=float32))

    Args:
      library: a key of `LAYOUTS`.
      arrays: the layer's, by the names in the table above; those with a dot in them may also be
        nested mappings. Layers made without biases may lack them. May be traced.

    Returns:
      The architecture and its parameters, of the arrays' dtype.

    Raises:
      ValueError: if the library is unknown, an array is missing or not known, or has another shape.
    """
    layout = _layout(library)
    check_type("arrays", arrays, Mapping)
    flat = _flat(arrays)
    biased = _check_names(library, layout, flat)
    from_inputs, from_cells = _matrices(library, layout, flat)
    num_inputs, num_cells = from_inputs.shape[0], from_cells.shape[0]
    architecture = modern(num_inputs, num_cells, biases=biased)
    bias = _bias(library, layout, flat, num_cells) if biased else None
    groups = {}
    for place, gate in enumerate(layout.gates):
        units = slice(place * num_cells, (place + 1) * num_cells)
        of_gate = None if bias is None else bias[units]
        if of_gate is not None and gate == "f":
            of_gate = of_gate + layout.added_to_forget
        groups[_KINDS[gate]] = UnitWeights(from_inputs[:, units], from_cells[:, units], of_gate)
    hand_on = jnp.eye(num_cells, dtype=from_inputs.dtype)
    output = OutputWeights(cell=hand_on, hidden=None, input=None, bias=None)
    return architecture, Parameters(Layer(**groups, hidden=None), output)


def to_library(library: str, architecture: Architecture, parameters: Parameters) -> Nested:
    """The hidden layer of a network as another library's arrays: undoes `from_library`.

    Where two biases are added, the second is 0.

    >>> import jax
    >>> from lstm_jax.cell.parameters import initialise
    >>> net = modern(3, 5)
    >>> arrays = to_library("keras.LSTM", net, initialise(jax.random.key(0), net))
    >>> {name: array.shape for name, array in arrays.items()}
    {'kernel': (3, 20), 'recurrent_kernel': (5, 20), 'bias': (20,)}

    Args:
      library: a key of `LAYOUTS`.
      architecture: one like `modern`, with any output units.
      parameters: its weights, of which those of the output units are left to the caller.

    Returns:
      The arrays by their names; names with a dot in them are nested dictionaries.

    Raises:
      ValueError: if the library is unknown, has no such layer, or the parameters do not fit.
    """
    layout = _layout(library)
    _check_modern(library, layout, architecture)
    check_parameters(architecture, parameters)
    groups = [getattr(parameters.layer, _KINDS[gate]) for gate in layout.gates]
    from_inputs = _join([group.input for group in groups])
    from_cells = _join([group.recurrent for group in groups])
    if layout.input == layout.recurrent:
        arrays = {layout.input[0]: jnp.concatenate([from_inputs, from_cells])}
    else:
        arrays = _named(layout, layout.input, from_inputs)
        arrays |= _named(layout, layout.recurrent, from_cells)
    if groups[0].bias is not None:
        added = [layout.added_to_forget * (gate == "f") for gate in layout.gates]
        bias = _join([group.bias - x for group, x in zip(groups, added, strict=True)])
        for names in layout.biases:
            arrays |= _named(layout, names, bias)
            bias = jnp.zeros_like(bias)
    return _nested(arrays)


# Arrays ----------------------------------------------------------------------------------------


def _matrices(library: str, layout: Layout, arrays: Flat) -> tuple[jax.Array, jax.Array]:
    """The weights from inputs and from cells, [I, 4H] and [H, 4H]."""
    from_inputs = _side_by_side(library, layout, arrays, layout.input)
    from_cells = _side_by_side(library, layout, arrays, layout.recurrent)
    num_cells = from_cells.shape[1] // 4
    if layout.input == layout.recurrent:
        num_inputs = max(from_inputs.shape[0] - num_cells, 0)
        from_inputs, from_cells = from_inputs[:num_inputs], from_inputs[num_inputs:]
    wanted = (num_cells, 4 * num_cells)
    fits = from_inputs.shape[1] == wanted[1] and from_cells.shape == wanted
    if not fits or not from_inputs.shape[0] or not num_cells:
        raise ValueError(
            f"arrays of {library} must have I sources and 4 H units from the inputs, H and 4 H "
            f"from the cells, got {from_inputs.shape} and {from_cells.shape}"
        )
    return from_inputs, from_cells


def _side_by_side(library: str, layout: Layout, arrays: Flat, names: Names) -> jax.Array:
    """The arrays of these names as one, [sources, units]."""
    found = [as_array(name, arrays[name]) for name in names]
    for name, array in zip(names, found, strict=True):
        if array.ndim != 2 or array.shape != found[0].shape:
            raise ValueError(f"{name} of {library} must be a matrix like others, got {array.shape}")
    return _join([array.T if layout.units_first else array for array in found])


def _bias(library: str, layout: Layout, arrays: Flat, num_cells: int) -> jax.Array:
    """[4H], all biases added up."""
    total = jnp.zeros(())
    for names in layout.biases:
        part = _join([jnp.ravel(as_array(name, arrays[name])) for name in names])
        if part.shape != (4 * num_cells,):
            wanted = 4 * num_cells // len(names)
            raise ValueError(
                f"{names[0]} of {library} must have {wanted} entries, "
                f"got {part.shape[0] // len(names)}"
            )
        total = part if names == layout.biases[0] else total + part
    return total


def _named(layout: Layout, names: Names, joined: jax.Array) -> dict[str, jax.Array]:
    """An array [..., units] as the library's arrays of these names."""
    parts = jnp.split(joined, len(names), axis=-1)
    return {
        name: part.T if layout.units_first else part
        for name, part in zip(names, parts, strict=True)
    }


def _join(parts: list[jax.Array]) -> jax.Array:
    return jnp.concatenate(parts, axis=-1)


def _flat(arrays: Arrays) -> dict[str, ArrayLike]:
    """Nested mappings as one, names joined by dots."""
    found: dict[str, ArrayLike] = {}
    for name, value in arrays.items():
        if isinstance(value, Mapping):
            found |= {f"{name}.{rest}": array for rest, array in _flat(value).items()}
        else:
            found[name] = value
    return found


def _nested(arrays: dict[str, jax.Array]) -> Nested:
    found: Nested = {}
    for name, array in arrays.items():
        first, dot, rest = name.partition(".")
        if dot:
            found.setdefault(first, {})[rest] = array
        else:
            found[name] = array
    return found


# Checks ----------------------------------------------------------------------------------------


def _layout(library: str) -> Layout:
    if not isinstance(library, str) or library not in LAYOUTS:
        raise ValueError(f"library must be one of {', '.join(LAYOUTS)}, got {library!r}")
    return LAYOUTS[library]


def _check_names(library: str, layout: Layout, arrays: Flat) -> bool:
    """Whether there are biases."""
    biases = {name for names in layout.biases for name in names}
    weights = {*layout.input, *layout.recurrent}
    biased = bool(biases & set(arrays)) or layout.added_to_forget != 0
    wanted = weights | biases if biased else weights
    if wanted != set(arrays):
        raise ValueError(
            f"arrays of {library} must be {', '.join(sorted(weights | biases))}, "
            f"got {', '.join(sorted(arrays)) or 'none'}"
        )
    return biased


def _check_modern(library: str, layout: Layout, architecture: Architecture) -> None:
    check_type("architecture", architecture, Architecture)
    wanted = dataclasses.replace(
        modern(architecture.num_inputs, architecture.num_cells),
        num_outputs=architecture.num_outputs,
        output=architecture.output,
        input_to_output=architecture.input_to_output,
        biases=architecture.biases,
    )
    names = [field.name for field in dataclasses.fields(Architecture)]
    other = [n for n in names if getattr(architecture, n) != getattr(wanted, n)]
    if other:
        raise ValueError(f"{library} has no layer with the {', '.join(other)} of architecture")
    biased = set(_KINDS.values()) & set(architecture.biased)
    if biased != set(_KINDS.values()) and (biased or layout.added_to_forget):
        raise ValueError(f"{library} needs biases of all units, got {architecture.biases!r}")
