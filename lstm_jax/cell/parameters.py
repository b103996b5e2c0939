"""The weights of a network: a pytree with named fields, its initialisation and its checks."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.typing import DTypeLike
from numpy.typing import ArrayLike

from lstm_jax.cell.architecture import Architecture, NetworkWith, check_network
from lstm_jax.cell.records import OutputWeights, P, Parameters, StackParameters, UnitWeights
from lstm_jax.cell.units import GATES, UNIT_TYPES, Layer, MaybeNone, UnitType
from lstm_jax.cell.validation import (
    as_number,
    as_real,
    batch_hint,
    check_floating,
    check_is_array,
    check_key,
    check_type,
    require,
)


def parameter_shapes(architecture: NetworkWith[P]) -> P:
    """Return the shape of every weight array, a tuple; None for an absent array."""
    layers = tuple(map(_layer_shapes, architecture.layers))
    backward = layers if architecture.bidirectional else None
    outputs = _output_shapes(architecture.seen(-1))
    return architecture.make_parameters(StackParameters(layers, backward, outputs))


def _layer_shapes(architecture: Architecture) -> Layer[MaybeNone]:
    num_sources, biased = architecture.num_sources, architecture.biased

    def unit(unit_type: UnitType) -> UnitWeights | None:
        n = architecture.count(unit_type)
        if n == 0:
            return None
        has_peephole = architecture.has_peephole(unit_type)
        return UnitWeights(
            input=shape_leaf(architecture.num_inputs, n),
            recurrent=shape_leaf(num_sources, n) if num_sources else None,
            bias=shape_leaf(n) if unit_type.name in biased else None,
            peephole=shape_leaf(architecture.num_cells) if has_peephole else None,
        )

    return Layer(*map(unit, UNIT_TYPES))


def _output_shapes(architecture: Architecture) -> OutputWeights | None:
    num_inputs, num_outputs = architecture.num_inputs, architecture.num_outputs
    num_hidden = architecture.num_hidden
    if not num_outputs:
        return None
    return OutputWeights(
        cell=shape_leaf(architecture.num_cells, num_outputs),
        hidden=shape_leaf(num_hidden, num_outputs) if num_hidden else None,
        input=shape_leaf(num_inputs, num_outputs) if architecture.input_to_output else None,
        bias=shape_leaf(num_outputs) if "output" in architecture.biased else None,
    )


def shape_leaf(*sizes: int) -> MaybeNone:
    """Return a shape that takes the place of an array in a pytree of shapes."""
    return sizes


def is_shape(node: object) -> bool:
    """Return whether a node of `parameter_shapes` is a leaf: a plain tuple of integers."""
    return type(node) is tuple and all(isinstance(size, int) for size in node)


def initialise(
    key: jax.Array,
    architecture: NetworkWith[P],
    *,
    init_range: ArrayLike = 0.1,
    input_gate_bias: Sequence[float] | ArrayLike | None = None,
    output_gate_bias: Sequence[float] | ArrayLike | None = None,
    forget_gate_bias: Sequence[float] | ArrayLike | None = None,
    dtype: DTypeLike = jnp.float32,
) -> P:
    """Draw every weight uniformly from [-init_range, init_range], then set the gate biases.

    >>> net = Architecture(num_inputs=8, blocks=(2, 2), num_outputs=4)
    >>> parameters = initialise(jax.random.key(0), net, input_gate_bias=(-2.0, -4.0))
    >>> parameters.layer.input_gate.bias
    Array([-2., -4.], dtype=float32)

    Args:
      key: a PRNG key; each array is drawn with its `fold_in`.
      architecture: the network, an `Architecture` or a `Stack`.
      init_range: half the width of the uniform distribution, positive; 0.1 or 0.2 in the paper. It
        and the biases may be traced values, of which only the shape is checked.
      input_gate_bias: J initial biases of the input gates, usually negative against drift of the
        internal state; None keeps the random ones. In a stack, the same for every layer.
      output_gate_bias: the same for the output gates, usually negative against the abuse of memory
        cells as bias units.
      forget_gate_bias: the same for the forget gates, usually positive, so that cells remember
        before they have learned to forget.
      dtype: the floating dtype of every array, and of everything computed from them.

    Raises:
      ValueError: if an argument is out of its range, or a gate bias does not fit the architecture.
    """
    check_network(architecture)
    check_key("key", key)
    check_floating("dtype", dtype)
    largest = float(jnp.finfo(dtype).max) / 2  # the width of the distribution must be finite
    is_met = isinstance(init_range, Tracer) or 0 < as_number(init_range) <= largest
    require(is_met, "init_range", f"positive and at most {largest:.4g}", init_range)
    given = zip(GATES, (input_gate_bias, forget_gate_bias, output_gate_bias), strict=True)
    biases = {}
    for gate, bias in given:
        if bias is not None:
            for layer in architecture.layers:
                _check_gate_bias(layer, gate, bias, largest)
            biases[gate.name] = jnp.array(bias, dtype)
    return _initialise(architecture, jnp.dtype(dtype), key, jnp.asarray(init_range, dtype), biases)


@functools.partial(jax.jit, static_argnums=(0, 1), inline=True)
def _initialise(
    architecture: NetworkWith[P],
    dtype: DTypeLike,
    key: jax.Array,
    init_range: jax.Array,
    biases: dict[str, jax.Array],
) -> P:
    shapes, treedef = jax.tree.flatten(parameter_shapes(architecture), is_leaf=is_shape)
    keys = jax.vmap(jax.random.fold_in, (None, 0))(key, jnp.arange(len(shapes)))
    leaves = draw_weights(keys, shapes, init_range, dtype)

    def set_biases(layer: Layer[UnitWeights]) -> Layer[UnitWeights]:
        gates = {name: getattr(layer, name)._replace(bias=bias) for name, bias in biases.items()}
        return layer._replace(**gates)

    return map_hidden(set_biases, jax.tree.unflatten(treedef, leaves))


def map_hidden(change: Callable[[Layer[UnitWeights]], Layer[UnitWeights]], parameters: P) -> P:
    """Return parameters with every hidden layer changed."""
    is_layer = lambda node: isinstance(node, Layer)
    return jax.tree.map(lambda x: change(x) if is_layer(x) else x, parameters, is_leaf=is_layer)


def draw_weights(
    keys: jax.Array,
    shapes: Sequence[tuple[int, ...]],
    init_range: float | jax.Array,
    dtype: DTypeLike,
) -> list[jax.Array]:
    """Draw arrays as `jax.random.uniform` in [-init_range, init_range] does, each with its key.

    One call draws all, which compiles faster. Entry n of a draw depends only on n
    (`jax_threefry_partitionable`), so all are drawn at the size of the largest and cut.
    """
    sizes = [math.prod(shape) for shape in shapes]
    draw = lambda key: jax.random.uniform(key, (max(sizes),), dtype, -init_range, init_range)
    rows = jax.vmap(draw)(keys)
    return [row[:size].reshape(shape) for row, size, shape in zip(rows, sizes, shapes, strict=True)]


def one_array(parameters: Parameters | StackParameters) -> jax.Array:
    """Return an array that every network has, [I, C, *lanes]: all have its dtype and its lanes."""
    return parameters.layers[0].cell.input


def join(architecture: Architecture, layer: Layer[UnitWeights]) -> UnitWeights:
    """Join the weights of all types of unit, [I, H], [S, H] and [H]; absent biases become 0."""
    present = [weights for weights in layer if weights is not None]
    recurrent = bias = None
    if architecture.num_sources:
        recurrent = jnp.concatenate([w.recurrent for w in present], axis=1)
    if any(w.bias is not None for w in present):
        zeros = lambda w: jnp.zeros(w.input.shape[1:], w.input.dtype)
        bias = jnp.concatenate([zeros(w) if w.bias is None else w.bias for w in present])
    peephole = Layer(*(None if w is None else w.peephole for w in layer))
    inputs = jnp.concatenate([w.input for w in present], axis=1)
    return UnitWeights(inputs, recurrent, bias, peephole)


def split(architecture: Architecture, units: jax.Array, axis: int = 0) -> Layer[jax.Array]:
    """Split an array over the H units of the hidden layer into a `Layer` of arrays."""
    parts = jnp.split(units, np.cumsum(architecture.sizes)[:-1].tolist(), axis=axis)
    return Layer(*(part if part.shape[axis] else None for part in parts))


def check_parameters(architecture: NetworkWith[P], parameters: P) -> None:
    """Raise ValueError unless `parameters` fit `architecture`.

    Structure, shapes and dtypes are always checked; values (NaN, infinity) only outside of `jit`.

    >>> net = Architecture(num_inputs=8, blocks=(2, 2), num_outputs=4)
    >>> check_parameters(net, initialise(jax.random.key(0), net))

    Args:
      architecture: the network, an `Architecture` or a `Stack`.
      parameters: its weights, [..., *lanes] each, with the same lanes on all arrays.

    Raises:
      ValueError: if an array is missing, unexpected, or of the wrong shape or dtype.
    """
    check_network(architecture)
    wanted = parameter_shapes(architecture)
    check_type("parameters", parameters, type(wanted))
    shapes = jax.tree_util.tree_leaves_with_path(wanted, is_leaf=is_shape)
    found = dict(jax.tree_util.tree_leaves_with_path(parameters))
    lanes = next((_lanes(found.get(path)) for path, _ in shapes if _is_cell_input(path)), ())
    for path, shape in shapes:
        name = "parameters" + jax.tree_util.keystr(path)
        array = found.pop(path, None)
        if array is None:
            raise ValueError(f"{name} is missing; the architecture needs shape {shape}")
        check_is_array(name, array)
        if jnp.shape(array) != shape + lanes:
            found = f"{jnp.shape(array)}{batch_hint(jnp.shape(array), shape)}"
            raise ValueError(f"{name} must have shape {shape + lanes}, got {found}")
        if not jnp.issubdtype(array.dtype, jnp.floating):
            raise ValueError(f"{name} must have a floating dtype, got {array.dtype}")
        if not isinstance(array, Tracer) and not np.isfinite(np.asarray(array)).all():
            raise ValueError(f"{name} must be finite, but holds NaN or infinity")
    if found:
        name = "parameters" + jax.tree_util.keystr(next(iter(found)))
        raise ValueError(f"{name} is given, but the architecture has no such weights")
    dtypes = sorted({str(array.dtype) for array in jax.tree.leaves(parameters)})
    if len(dtypes) > 1:
        raise ValueError(f"parameters must all have one dtype, got {', '.join(dtypes)}")


def _is_cell_input(path: tuple) -> bool:
    return jax.tree_util.keystr(path).endswith(".cell.input")


def _lanes(weights: object) -> tuple[int, ...]:
    return weights.shape[2:] if isinstance(weights, (jax.Array, np.ndarray)) else ()


def _check_gate_bias(
    architecture: Architecture, gate: UnitType, values: ArrayLike, largest: float
) -> None:
    name, num_blocks = f"{gate.name}_bias", architecture.num_blocks
    if not architecture.count(gate) or gate.name not in architecture.biased:
        raise ValueError(f"{name} is {values!r}, but the architecture has no such bias")
    given = as_real(name, values)
    is_known = not isinstance(given, Tracer)
    is_finite = not is_known or np.all(np.abs(np.asarray(given, np.float64)) <= largest)
    is_met = given.shape == (num_blocks,) and is_finite
    require(is_met, name, f"{num_blocks} finite numbers, one for each memory block", values)
