"""Initial weights are uniform in their range, gate biases exact, and misfits are named."""

from __future__ import annotations

from typing import Any

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
    Parameters,
    check_parameters,
    initialise,
    join,
    parameter_shapes,
    split,
)

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


def test_no_two_arrays_share_their_draws():
    firsts = [float(leaf.ravel()[0]) for leaf in jax.tree.leaves(draw(KEY, WIDE))]
    assert len(set(firsts)) == len(firsts)


def test_equal_keys_give_equal_parameters_and_others_do_not():
    again = initialise(jax.random.key(1997), EVERYTHING)
    assert_equal(again, initialise(KEY, EVERYTHING))
    assert_close(draw(KEY, EVERYTHING), again, 1e-6)  # a compiler may round otherwise
    others = jax.tree.leaves(initialise(jax.random.key(0), EVERYTHING))
    for x, y in zip(jax.tree.leaves(again), others, strict=True):
        assert not np.any(x == y)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16, jnp.float32])
def test_dtype_is_that_asked_for(dtype: Any):
    parameters = initialise(
        KEY, EVERYTHING, input_gate_bias=(-1, -2), output_gate_bias=(0.5, 1), dtype=dtype
    )
    check_parameters(EVERYTHING, parameters)
    assert {leaf.dtype for leaf in jax.tree.leaves(parameters)} == {jnp.dtype(dtype)}


def test_gate_biases_are_set_exactly_and_nothing_else_is():
    plain = initialise(KEY, EVERYTHING)
    both = initialise(KEY, EVERYTHING, input_gate_bias=[-1, -3], output_gate_bias=(-2.0, -4.5))
    np.testing.assert_array_equal(both.layer.input_gate.bias, [-1, -3])
    np.testing.assert_array_equal(both.layer.output_gate.bias, [-2, -4.5])
    gates = {
        kind: getattr(both.layer, kind)._replace(bias=getattr(plain.layer, kind).bias)
        for kind in ("input_gate", "output_gate")
    }
    assert_equal(both._replace(layer=both.layer._replace(**gates)), plain)
    assert_equal(
        initialise(KEY, EVERYTHING, input_gate_bias=[-1, -3]).layer.output_gate,
        plain.layer.output_gate,
    )


@hypothesis.given(architecture=architectures())
@hypothesis.settings(max_examples=15)
def test_joining_keeps_every_weight_in_the_layers_order(architecture: Architecture):
    # An array of numbers 0, 1, ..., H - 1 over the layer, split, then joined as weights.
    sizes = architecture.sizes
    numbers = split(architecture, np.arange(architecture.num_units))
    assert [0 if part is None else part.size for part in numbers] == list(sizes)
    shapes = parameter_shapes(architecture)
    layer = shapes.layer._replace(
        **{
            kind: jax.tree.map(
                lambda shape, part=part: np.broadcast_to(part.astype(np.float32), shape),
                getattr(shapes.layer, kind)._replace(peephole=None),
                is_leaf=lambda node: type(node) is tuple,
            )
            for kind, part in numbers._asdict().items()
            if part is not None
        }
    )
    joined = join(architecture, layer)
    everything = np.arange(architecture.num_units)
    assert np.all(np.asarray(joined.input) == everything)
    if architecture.num_sources:
        assert joined.recurrent.shape == (architecture.num_sources, architecture.num_units)
        assert np.all(np.asarray(joined.recurrent) == everything)
    else:
        assert joined.recurrent is None
    is_biased = [[kind in architecture.biased] * n for kind, n in sizes._asdict().items()]
    is_biased = np.concatenate(is_biased).astype(bool)
    if is_biased.any():
        np.testing.assert_array_equal(joined.bias, np.where(is_biased, everything, 0))
    else:
        assert joined.bias is None


def test_lanes_are_one_more_axis_on_every_array():
    parameters = initialise(KEY, EVERYTHING)
    stacked = jax.tree.map(lambda w: jnp.stack([w] * 4, -1), parameters)
    check_parameters(EVERYTHING, stacked)
    bias = jnp.zeros((2, 5))
    with pytest.raises(ValueError, match=r"output.bias must have shape \(2, 4\), got \(2, 5\)"):
        check_parameters(EVERYTHING, stacked._replace(output=stacked.output._replace(bias=bias)))


def without(parameters: Parameters, unit: str, **weights: Any) -> Parameters:
    """Parameters with some weights of one kind of unit replaced."""
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
    parameters = without(initialise(KEY, EVERYTHING), unit, **weights)
    with pytest.raises(ValueError, match=message):
        check_parameters(EVERYTHING, parameters)
    if "finite" not in message:  # values are unknown inside `jit`, all else is not
        with pytest.raises(ValueError, match=message):
            jax.jit(check_parameters, static_argnums=0)(EVERYTHING, parameters)


def test_weights_that_the_architecture_lacks_are_named():
    net = Architecture(num_inputs=3, blocks=(2, 1), num_outputs=2, num_hidden=2, biases="hidden")
    with pytest.raises(ValueError, match=r"parameters.output.input is given, .* no such weights"):
        check_parameters(net, without(random_parameters(EVERYTHING), "output", bias=None))


BAD_INITIAL_VALUES = {
    r"init_range must be positive and at most 1.701e\+38, got 0": {"init_range": 0},
    r"init_range must be positive and at most 1.701e\+38, got -0.1": {"init_range": -0.1},
    r"init_range must be positive and at most 1.701e\+38, got nan": {"init_range": float("nan")},
    r"init_range must be positive and at most 1.701e\+38, got inf": {"init_range": float("inf")},
    r"init_range must be positive and at most 1.701e\+38, got 1e\+39": {"init_range": 1e39},
    r"input_gate_bias must hold 2 finite numbers, .* got \(1e\+39, 0\)": {
        "input_gate_bias": (1e39, 0)
    },
    "dtype must be a floating dtype, got <class 'jax.numpy.int32'>": {"dtype": jnp.int32},
    r"input_gate_bias must hold 2 finite numbers, .* got \(-1, -2, -3\)": {
        "input_gate_bias": (-1, -2, -3)
    },
    r"output_gate_bias must hold 2 finite numbers, .* got \(0, nan\)": {
        "output_gate_bias": (0, float("nan"))
    },
    "input_gate_bias must hold 2 finite numbers, .* got -1.0": {"input_gate_bias": -1.0},
}


@pytest.mark.parametrize("message", BAD_INITIAL_VALUES)
def test_bad_initial_values_are_named(message: str):
    with pytest.raises(ValueError, match=message):
        initialise(KEY, EVERYTHING, **BAD_INITIAL_VALUES[message])


@pytest.mark.parametrize("lacking", [{"input_gates": False}, {"biases": "none"}])
def test_gate_biases_that_the_architecture_lacks_are_named(lacking: dict[str, Any]):
    net = Architecture(num_inputs=1, blocks=(1,), num_outputs=1, **lacking)
    with pytest.raises(ValueError, match=r"input_gate_bias is \(-1,\), but .* no such bias"):
        initialise(KEY, net, input_gate_bias=(-1,))
