"""Initial weights are uniform, gate biases exact, and parameters that do not fit are named."""

from __future__ import annotations

import hypothesis
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from helpers import (
    EVERYTHING,
    architectures,
    assert_close,
    assert_equal,
    quick_jit,
    random_parameters,
)

from lstm_jax.cell.architecture import Architecture
from lstm_jax.cell.parameters import (
    check_parameters,
    draw_weights,
    initialise,
    is_shape,
    join,
    parameter_shapes,
    split,
)
from lstm_jax.cell.records import Parameters, UnitWeights
from lstm_jax.cell.units import UnitType, map_layer

KEY = jax.random.key(1997)
draw = quick_jit(initialise, static_argnums=1, static_argnames=("init_range",))
WIDE = Architecture(num_inputs=60, blocks=(5, 5, 5, 5), num_outputs=30, num_hidden=30)


@pytest.mark.parametrize("init_range", [0.1, 3.0])
def test_weights_are_uniform_in_their_range(init_range: float):
    parameters = draw(KEY, WIDE, init_range=init_range)
    for leaf in jax.tree.leaves(parameters):
        assert np.abs(leaf).max() <= init_range
    uniform = scipy.stats.uniform(-init_range, 2 * init_range).cdf
    arrays = [leaf for leaf in jax.tree.leaves(parameters) if leaf.size > 300]
    for sample in [*arrays, np.concatenate([leaf.ravel() for leaf in arrays])]:
        assert scipy.stats.kstest(np.ravel(sample), uniform).pvalue > 1e-3


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_arrays_drawn_together_equal_those_drawn_alone(dtype: str):
    shapes, ranges = [(3, 5), (), (7,), (2, 1)], np.array([0.1, 0.2, 8.0])
    with jax.enable_x64(True):
        keys = jax.random.split(jax.random.key(0), (3, len(shapes)))
        drawn = jax.vmap(lambda keys, width: draw_weights(keys, shapes, width, dtype))(keys, ranges)
        for i, (array, shape) in enumerate(zip(drawn, shapes, strict=True)):
            for row, key, width in zip(array, keys[:, i], ranges, strict=True):
                alone = jax.random.uniform(key, shape, dtype, -width, width)
                np.testing.assert_array_equal(row, alone)


def test_no_two_arrays_share_their_draws():
    firsts = [float(leaf.ravel()[0]) for leaf in jax.tree.leaves(draw(KEY, WIDE))]
    assert len(set(firsts)) == len(firsts)


def test_parameters_depend_on_the_key_alone():
    again = initialise(jax.random.key(1997), EVERYTHING)
    assert_equal(again, initialise(KEY, EVERYTHING))
    assert_close(draw(KEY, EVERYTHING), again, 1e-6)  # a compiler may round otherwise
    others = jax.tree.leaves(initialise(jax.random.key(0), EVERYTHING))
    for x, y in zip(jax.tree.leaves(again), others, strict=True):
        assert not np.any(x == y)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16, jnp.float32])
def test_dtype_is_the_requested_one(dtype):
    parameters = initialise(
        KEY, EVERYTHING, input_gate_bias=(-1, -2), output_gate_bias=(0.5, 1), dtype=dtype
    )
    check_parameters(EVERYTHING, parameters)
    assert {leaf.dtype for leaf in jax.tree.leaves(parameters)} == {jnp.dtype(dtype)}


def test_gate_biases_are_set_exactly_and_nothing_else_changes():
    plain = initialise(KEY, EVERYTHING)
    both = initialise(KEY, EVERYTHING, input_gate_bias=[-1, -3], output_gate_bias=(-2.0, -4.5))
    np.testing.assert_array_equal(both.layer.input_gate.bias, [-1, -3])
    np.testing.assert_array_equal(both.layer.output_gate.bias, [-2, -4.5])
    gates = {
        gate: getattr(both.layer, gate)._replace(bias=getattr(plain.layer, gate).bias)
        for gate in ("input_gate", "output_gate")
    }
    assert_equal(both._replace(layer=both.layer._replace(**gates)), plain)
    assert_equal(
        initialise(KEY, EVERYTHING, input_gate_bias=[-1, -3]).layer.output_gate,
        plain.layer.output_gate,
    )


@hypothesis.given(architecture=architectures())
@hypothesis.settings(max_examples=15)
def test_joining_preserves_every_weight_in_the_layers_order(architecture: Architecture):
    # The numbers 0, 1, ..., H - 1 over the layer are split, then joined as weights.
    sizes, numbers = architecture.sizes, np.arange(architecture.num_units)
    parts = split(architecture, numbers)
    assert [0 if part is None else part.size for part in parts] == list(sizes)

    def weights(_: UnitType, shapes: UnitWeights, part: np.ndarray) -> UnitWeights:
        fill = lambda shape: np.broadcast_to(part.astype(np.float32), shape)
        return jax.tree.map(fill, shapes._replace(peephole=None), is_leaf=is_shape)

    joined = join(architecture, map_layer(weights, parameter_shapes(architecture).layer, parts))
    assert np.all(np.asarray(joined.input) == numbers)
    assert (joined.recurrent is None) == (architecture.num_sources == 0)
    if joined.recurrent is not None:
        assert joined.recurrent.shape == (architecture.num_sources, architecture.num_units)
        assert np.all(np.asarray(joined.recurrent) == numbers)
    is_biased = np.repeat([name in architecture.biased for name in sizes._fields], sizes)
    assert (joined.bias is None) == (not is_biased.any())
    if joined.bias is not None:
        np.testing.assert_array_equal(joined.bias, np.where(is_biased, numbers, 0))


def test_lanes_are_one_more_axis_on_every_array():
    parameters = initialise(KEY, EVERYTHING)
    stacked = jax.tree.map(lambda w: jnp.stack([w] * 4, -1), parameters)
    check_parameters(EVERYTHING, stacked)
    bias = jnp.zeros((2, 5))
    with pytest.raises(ValueError, match=r"output.bias must have shape \(2, 4\), got \(2, 5\)"):
        check_parameters(EVERYTHING, stacked._replace(output=stacked.output._replace(bias=bias)))


def replaced(parameters: Parameters, unit: str, **weights) -> Parameters:
    """Return parameters with some weights of one type of unit replaced."""
    if unit == "output":
        return parameters._replace(output=parameters.output._replace(**weights))
    units = getattr(parameters.layer, unit)._replace(**weights)
    return parameters._replace(layer=parameters.layer._replace(**{unit: units}))


BAD_PARAMETERS = {
    r"parameters.layer.cell.input must have shape \(3, 3\), got \(3, 2\)": (
        "cell",
        {"input": np.zeros((3, 2), np.float32)},
    ),
    r"parameters.layer.hidden.bias is missing; the architecture needs shape \(2,\)": (
        "hidden",
        {"bias": None},
    ),
    r"parameters.output.cell is missing; .* \(3, 2\)": ("output", {"cell": None}),
    "parameters.layer.input_gate.bias must have a floating dtype, got int32": (
        "input_gate",
        {"bias": np.zeros(2, np.int32)},
    ),
    "parameters.output.bias must be finite": ("output", {"bias": np.float32([0, np.nan])}),
    "parameters.layer.output_gate.bias must be finite": (
        "output_gate",
        {"bias": np.float32([np.inf, 0])},
    ),
    "parameters must all have one dtype, got float16, float32": (
        "output",
        {"bias": np.zeros(2, np.float16)},
    ),
}


@pytest.mark.parametrize("message", BAD_PARAMETERS)
def test_bad_parameters_are_named(message: str):
    unit, weights = BAD_PARAMETERS[message]
    parameters = replaced(initialise(KEY, EVERYTHING), unit, **weights)
    with pytest.raises(ValueError, match=message):
        check_parameters(EVERYTHING, parameters)
    if "finite" not in message:  # only values are unknown inside `jit`
        with pytest.raises(ValueError, match=message):
            jax.jit(check_parameters, static_argnums=0)(EVERYTHING, parameters)


def test_weights_that_the_architecture_lacks_are_named():
    net = Architecture(num_inputs=3, blocks=(2, 1), num_outputs=2, num_hidden=2, biases="hidden")
    with pytest.raises(ValueError, match=r"parameters.output.input is given, .* no such weights"):
        check_parameters(net, replaced(random_parameters(EVERYTHING), "output", bias=None))


BAD_INITIAL_VALUES = {
    r"init_range must be positive and at most 1.701e\+38, got 1e\+39": {"init_range": 1e39},
    "dtype must be a floating dtype, got <class 'jax.numpy.int32'>": {"dtype": jnp.int32},
    r"input_gate_bias must be 2 finite numbers, .* got \(-1, -2, -3\)": {
        "input_gate_bias": (-1, -2, -3)
    },
    r"output_gate_bias must be 2 finite numbers, .* got \(0, nan\)": {
        "output_gate_bias": (0, float("nan"))
    },
}


@pytest.mark.parametrize("message", BAD_INITIAL_VALUES)
def test_bad_initial_values_are_named(message: str):
    with pytest.raises(ValueError, match=message):
        initialise(KEY, EVERYTHING, **BAD_INITIAL_VALUES[message])


@pytest.mark.parametrize("lacking", [{"input_gates": False}, {"biases": "none"}])
def test_gate_biases_that_the_architecture_lacks_are_named(lacking: dict):
    net = Architecture(num_inputs=1, blocks=(1,), num_outputs=1, **lacking)
    with pytest.raises(ValueError, match=r"input_gate_bias is \(-1,\), but .* no such bias"):
        initialise(KEY, net, input_gate_bias=(-1,))
