"""The weights of a network: a pytree with named fields, its initialisation and its checks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.typing import DTypeLike
from numpy.typing import ArrayLike

from lstm_jax.cell.architecture import Architecture
from lstm_jax.cell.random_weights import draw_weights
from lstm_jax.cell.units import GATES, UNIT_TYPES, Layer, MaybeNone, UnitType
from lstm_jax.cell.validation import as_number, check_floating, check_key, check_type, displayed


class UnitWeights(NamedTuple):
    """The incoming weights of n units of one kind in the hidden layer.

    `w_lm` of the paper, unit l and source m, is `[m, l]` here: sources lead, units follow.
    """

    input: jax.Array
    """[I, n] floating."""
    recurrent: jax.Array | MaybeNone
    """[S, n], the sources in the order of `Layer`; None if the layer does not see itself."""
    bias: jax.Array | MaybeNone
    """[n]; None without biases."""
    peephole: Any = None
    """[C], from each cell to its own block's gate; None without peepholes. Of the whole layer, a
    `Layer` of these."""


class OutputWeights(NamedTuple):
    """The incoming weights of the K output units, which see no gates."""

    cell: jax.Array
    """[C, K] floating."""
    hidden: jax.Array | MaybeNone
    """[N, K]; None without conventional hidden units."""
    input: jax.Array | MaybeNone
    """[I, K] with `input_to_output`, else None."""
    bias: jax.Array | MaybeNone
    """[K]; None without biases."""


class Parameters(NamedTuple):
    """All weights of one network, a pytree; all arrays of one floating dtype."""

    layer: Layer[UnitWeights]
    """The hidden layer's, by kind of unit."""
    output: OutputWeights
    """The output units'."""


def parameter_shapes(architecture: Architecture) -> Parameters:
    """The shape of every weight array: a `Parameters` of tuples, None where there is none."""
    sources = architecture.num_sources
    num_inputs, num_outputs = architecture.num_inputs, architecture.num_outputs

    def unit(kind: UnitType) -> UnitWeights | None:
        n = architecture.count(kind)
        if n == 0:
            return None
        return UnitWeights(
            input=stand_in(num_inputs, n),
            recurrent=stand_in(sources, n) if sources else None,
            bias=stand_in(n) if kind.name in architecture.biased else None,
            peephole=stand_in(architecture.num_cells) if architecture.has_peephole(kind) else None,
        )

    output = OutputWeights(
        cell=stand_in(architecture.num_cells, num_outputs),
        hidden=stand_in(architecture.num_hidden, num_outputs) if architecture.num_hidden else None,
        input=stand_in(num_inputs, num_outputs) if architecture.input_to_output else None,
        bias=stand_in(num_outputs) if "output" in architecture.biased else None,
    )
    return Parameters(Layer(*(unit(kind) for kind in UNIT_TYPES)), output)


def initialise(
    key: jax.Array,
    architecture: Architecture,
    *,
    init_range: float | jax.Array = 0.1,
    input_gate_bias: Sequence[float] | jax.Array | None = None,
    output_gate_bias: Sequence[float] | jax.Array | None = None,
    forget_gate_bias: Sequence[float] | jax.Array | None = None,
    dtype: DTypeLike = jnp.float32,
) -> Parameters:
    """Draws every weight uniformly from [-init_range, init_range], then sets the gate biases.

    The range and the biases may be traced values, of which only the shape is checked.

    >>> net = Architecture(num_inputs=8, blocks=(2, 2), num_outputs=4)
    >>> parameters = initialise(jax.random.key(0), net, input_gate_bias=(-2.0, -4.0))
    >>> parameters.layer.input_gate.bias
    Array([-2., -4.], dtype=float32)

    Args:
      key: a PRNG key; each array draws from its own `fold_in` of it.
      architecture: the network.
      init_range: half the width of the uniform distribution, positive; 0.1 or 0.2 in the paper.
      input_gate_bias: J initial biases of the input gates, usually negative against drift of the
        internal state; None keeps the random ones.
      output_gate_bias: J initial biases of the output gates, usually negative against the abuse
        of memory cells as bias units; None keeps the random ones.
      forget_gate_bias: J initial biases of the forget gates, usually positive, so that cells
        remember before they have learned to forget; None keeps the random ones.
      dtype: the floating dtype of every array, and with it of everything computed from them.

    Raises:
      ValueError: if the key is none, a range is not positive or beyond half the dtype's largest
        number, a gate bias has not J entries or has no bias weight to set, or the dtype is not
        floating.
    """
    check_type("architecture", architecture, Architecture)
    check_key("key", key)
    biases = {
        "input_gate": input_gate_bias,
        "output_gate": output_gate_bias,
        "forget_gate": forget_gate_bias,
    }
    _check_initial_values(architecture, init_range, biases, dtype)
    shapes, treedef = jax.tree.flatten(parameter_shapes(architecture), is_leaf=is_shape)
    keys = jax.vmap(jax.random.fold_in, (None, 0))(key, jnp.arange(len(shapes)))
    leaves = draw_weights(keys, shapes, init_range, dtype)
    parameters: Parameters = jax.tree.unflatten(treedef, leaves)
    given = {
        name: getattr(parameters.layer, name)._replace(bias=jnp.array(bias, dtype))
        for name, bias in biases.items()
        if bias is not None
    }
    return parameters._replace(layer=parameters.layer._replace(**given))


def check_parameters(architecture: Architecture, parameters: Parameters) -> None:
    """Checks that `parameters` fit `architecture`.

    Structure, shapes and dtypes are always checked; values (NaN, infinity) only where they are
    known: not on arguments of a function under `jit`. Lanes, axes behind the others, must be the
    same on all.

    >>> net = Architecture(num_inputs=8, blocks=(2, 2), num_outputs=4)
    >>> check_parameters(net, initialise(jax.random.key(0), net))

    Args:
      architecture: the network.
      parameters: its weights, [..., *lanes] each.

    Raises:
      ValueError: naming the first array that is missing, too many, or not as it should be.
    """
    check_type("architecture", architecture, Architecture)
    check_type("parameters", parameters, Parameters)
    shapes = jax.tree_util.tree_leaves_with_path(parameter_shapes(architecture), is_leaf=is_shape)
    found = dict(jax.tree_util.tree_leaves_with_path(parameters))
    lanes = np.shape(parameters.output.cell)[2:]
    for path, shape in shapes:
        name = "parameters" + jax.tree_util.keystr(path)
        array = found.pop(path, None)
        if array is None:
            raise ValueError(f"{name} is missing; the architecture needs shape {shape}")
        if jnp.shape(array) != shape + lanes:
            raise ValueError(f"{name} must have shape {shape + lanes}, got {jnp.shape(array)}")
        if not jnp.issubdtype(array.dtype, jnp.floating):
            raise ValueError(f"{name} must have a floating dtype, got {array.dtype}")
        if not isinstance(array, Tracer) and not np.isfinite(np.asarray(array)).all():
            raise ValueError(f"{name} must be finite, but holds NaN or infinity")
    if found:
        names = [jax.tree_util.keystr(path) for path in found]
        raise ValueError(f"parameters{names[0]} is given, but the architecture has no such weights")
    dtypes = sorted({str(array.dtype) for array in jax.tree.leaves(parameters)})
    if len(dtypes) > 1:
        raise ValueError(f"parameters must all have one dtype, got {', '.join(dtypes)}")


def join(architecture: Architecture, layer: Layer[UnitWeights]) -> UnitWeights:
    """The weights of the whole hidden layer as one `UnitWeights`, [I, H], [S, H], [H].

    One product then serves all kinds of units. Units without a bias get a constant 0. Peepholes,
    which are no product, stay a `Layer` of [C].
    """
    kinds = [weights for weights in layer if weights is not None]
    like = kinds[0].input
    biases = [
        jnp.zeros((kind.input.shape[1], *like.shape[2:]), like.dtype)
        if kind.bias is None
        else kind.bias
        for kind in kinds
    ]
    return UnitWeights(
        input=jnp.concatenate([kind.input for kind in kinds], axis=1),
        recurrent=(
            jnp.concatenate([kind.recurrent for kind in kinds], axis=1)
            if architecture.num_sources
            else None
        ),
        bias=(jnp.concatenate(biases) if any(kind.bias is not None for kind in kinds) else None),
        peephole=Layer(*(None if kind is None else kind.peephole for kind in layer)),
    )


def split(architecture: Architecture, units: jax.Array, axis: int = 0) -> Layer[jax.Array]:
    """An array over the H units of the hidden layer, as a `Layer` of arrays; undoes joining."""
    sizes = architecture.sizes
    parts = jnp.split(units, np.cumsum(sizes)[:-1].tolist(), axis=axis)
    return Layer(*(part if size else None for part, size in zip(parts, sizes, strict=True)))


def stand_in(*sizes: int) -> Any:
    """The shape of an array, in its stead."""
    return sizes


def is_shape(node: object) -> bool:
    """Whether a node of `parameter_shapes` is a leaf: a plain tuple of integers."""
    return type(node) is tuple and all(isinstance(size, int) for size in node)


def _check_initial_values(
    architecture: Architecture,
    init_range: float | jax.Array,
    biases: Mapping[str, Sequence[float] | jax.Array | None],
    dtype: DTypeLike,
) -> None:
    check_floating("dtype", dtype)
    most = float(jnp.finfo(dtype).max) / 2  # the width of the distribution must be finite
    if not isinstance(init_range, Tracer) and not 0 < as_number(init_range) <= most:
        allowed = f"positive and at most {most:.4g}"
        raise ValueError(f"init_range must be {allowed}, got {displayed(init_range)}")
    for kind in GATES:
        values = biases[kind.name]
        if values is not None:
            _check_gate_bias(architecture, kind, values, most)


def _check_gate_bias(
    architecture: Architecture, kind: UnitType, values: ArrayLike, most: float
) -> None:
    name = f"{kind.name}_bias"
    if not architecture.count(kind) or kind.name not in architecture.biased:
        raise ValueError(f"{name} is {values!r}, but the architecture has no such bias")
    is_finite = isinstance(values, Tracer) or _all_within(values, most)
    if not is_finite or np.shape(values) != (architecture.num_blocks,):
        raise ValueError(
            f"{name} must hold {architecture.num_blocks} finite numbers, one for each "
            f"memory block, got {displayed(values)}"
        )


def _all_within(values: ArrayLike, most: float) -> bool:
    try:
        return bool(np.all(np.abs(np.asarray(values, float)) <= most))
    except (TypeError, ValueError, OverflowError):
        return False
