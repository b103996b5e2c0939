"""The weights of a network: a pytree with named fields, its initialisation and its checks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from lstm_jax.network.architecture import Architecture


class UnitWeights(NamedTuple):
    """The incoming weights of n units of one kind in the hidden layer.

    `w_lm` of the paper, unit l and source m, is `[m, l]` here: sources lead, units follow.
    """

    input: Any  # [I, n]
    recurrent: Any  # [H, n], sources in the order of `Layer`; None if not recurrent
    bias: Any  # [n] or None


class Layer(NamedTuple):
    """One entry for each kind of unit of the hidden layer, in the layer's order.

    Holds weights (`Layer[UnitWeights]`) or, sliced from an array over the layer, arrays. A kind
    that the architecture lacks is None.
    """

    input_gate: Any  # J units, in_j
    output_gate: Any  # J units, out_j
    cell: Any  # C units, c_j^v, block by block
    hidden: Any  # N conventional hidden units, i


class OutputWeights(NamedTuple):
    """The incoming weights of the K output units, which see no gates."""

    cell: Any  # [C, K]
    hidden: Any  # [N, K] or None
    input: Any  # [I, K] with `input_to_output`, or None
    bias: Any  # [K] or None


class Parameters(NamedTuple):
    """All weights of one network."""

    layer: Layer
    output: OutputWeights


def layer_sizes(architecture: Architecture) -> Layer:
    """The number of units of each kind in the hidden layer.

    >>> layer_sizes(Architecture(num_inputs=2, blocks=(2, 2), num_outputs=1, output_gates=False))
    Layer(input_gate=2, output_gate=0, cell=4, hidden=0)
    """
    blocks = architecture.num_blocks
    return Layer(
        input_gate=blocks * architecture.input_gates,
        output_gate=blocks * architecture.output_gates,
        cell=architecture.num_cells,
        hidden=architecture.num_hidden,
    )


def parameter_shapes(architecture: Architecture) -> Parameters:
    """The shape of every weight array: a `Parameters` of tuples, None where there is none."""
    biased = {
        "none": (),
        "gates": ("input_gate", "output_gate"),
        "hidden": Layer._fields,
        "all": Layer._fields,
    }[architecture.biases]

    def unit(kind: str, n: int) -> UnitWeights | None:
        if n == 0:
            return None
        return UnitWeights(
            input=(architecture.num_inputs, n),
            recurrent=(architecture.num_units, n) if architecture.recurrent else None,
            bias=(n,) if kind in biased else None,
        )

    num_outputs = architecture.num_outputs
    output = OutputWeights(
        cell=(architecture.num_cells, num_outputs),
        hidden=(architecture.num_hidden, num_outputs) if architecture.num_hidden else None,
        input=(architecture.num_inputs, num_outputs) if architecture.input_to_output else None,
        bias=(num_outputs,) if architecture.biases == "all" else None,
    )
    sizes = layer_sizes(architecture)._asdict()
    return Parameters(Layer(**{kind: unit(kind, n) for kind, n in sizes.items()}), output)


def initialise(
    key: jax.Array,
    architecture: Architecture,
    *,
    init_range: float | jax.Array = 0.1,
    input_gate_bias: Sequence[float] | jax.Array | None = None,
    output_gate_bias: Sequence[float] | jax.Array | None = None,
    dtype: Any = jnp.float32,
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
      dtype: the floating dtype of every array, and with it of everything computed from them.

    Raises:
      ValueError: if a range is not positive and finite, a gate bias has not J entries or has no
        bias weight to set, or the dtype is not floating.
    """
    _check_initial_values(architecture, init_range, input_gate_bias, output_gate_bias, dtype)
    shapes, treedef = jax.tree.flatten(parameter_shapes(architecture), is_leaf=_is_shape)
    leaves = [
        jax.random.uniform(
            jax.random.fold_in(key, i), shape, dtype, minval=-init_range, maxval=init_range
        )
        for i, shape in enumerate(shapes)
    ]
    parameters = jax.tree.unflatten(treedef, leaves)
    layer = parameters.layer
    if input_gate_bias is not None:
        bias = jnp.asarray(input_gate_bias, dtype)
        layer = layer._replace(input_gate=layer.input_gate._replace(bias=bias))
    if output_gate_bias is not None:
        bias = jnp.asarray(output_gate_bias, dtype)
        layer = layer._replace(output_gate=layer.output_gate._replace(bias=bias))
    return parameters._replace(layer=layer)


def check_parameters(architecture: Architecture, parameters: Parameters) -> None:
    """Raises ValueError if `parameters` do not fit `architecture`.

    Structure, shapes and dtypes are always checked; values (NaN, infinity) only where they are
    known: not on arguments of a function under `jit`. Lanes, axes behind the others, must be the
    same on all.

    >>> net = Architecture(num_inputs=8, blocks=(2, 2), num_outputs=4)
    >>> check_parameters(net, initialise(jax.random.key(0), net))
    """
    shapes = jax.tree_util.tree_leaves_with_path(parameter_shapes(architecture), is_leaf=_is_shape)
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


def join(architecture: Architecture, layer: Layer) -> UnitWeights:
    """The weights of the whole hidden layer as one `UnitWeights`, [I, H], [H, H], [H].

    One product then serves all kinds of units. Units without a bias get a constant 0.
    """
    sizes = [size for size in layer_sizes(architecture) if size]
    kinds = [kind for kind in layer if kind is not None]
    like = kinds[0].input
    biases = [
        jnp.zeros((size, *like.shape[2:]), like.dtype) if kind.bias is None else kind.bias
        for kind, size in zip(kinds, sizes, strict=True)
    ]
    return UnitWeights(
        input=jnp.concatenate([kind.input for kind in kinds], axis=1),
        recurrent=(
            jnp.concatenate([kind.recurrent for kind in kinds], axis=1)
            if architecture.recurrent
            else None
        ),
        bias=jnp.concatenate(biases) if architecture.biases != "none" else None,
    )


def split(architecture: Architecture, units: jax.Array, axis: int = 0) -> Layer:
    """An array over the H units of the hidden layer, as a `Layer` of arrays; undoes joining."""
    sizes = layer_sizes(architecture)
    parts = jnp.split(units, np.cumsum(sizes)[:-1].tolist(), axis=axis)
    return Layer(*(part if size else None for part, size in zip(parts, sizes, strict=True)))


def _is_shape(node: Any) -> bool:
    return type(node) is tuple and all(isinstance(size, int) for size in node)


def _check_initial_values(architecture, init_range, input_gate_bias, output_gate_bias, dtype):
    is_known = lambda value: not isinstance(value, Tracer)
    if is_known(init_range) and not (math.isfinite(init_range) and init_range > 0):
        raise ValueError(f"init_range must be positive and finite, got {init_range!r}")
    if not jnp.issubdtype(dtype, jnp.floating):
        raise ValueError(f"dtype must be a floating dtype, got {dtype!r}")
    for name, values in (("input_gate", input_gate_bias), ("output_gate", output_gate_bias)):
        if values is None:
            continue
        if not getattr(architecture, name + "s") or architecture.biases == "none":
            raise ValueError(f"{name}_bias is {values!r}, but the architecture has no such bias")
        is_finite = not is_known(values) or np.all(np.isfinite(values))
        if np.shape(values) != (architecture.num_blocks,) or not is_finite:
            raise ValueError(
                f"{name}_bias must hold {architecture.num_blocks} finite numbers, one for each "
                f"memory block, got {values!r}"
            )
