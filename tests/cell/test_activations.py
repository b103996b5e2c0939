"""The activation functions are eqs. 3-5, with derivatives as functions of the activation."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import oracle
import pytest
from helpers import DESCENDANT, assert_close, assert_equal, make_problem

import lstm_jax
from lstm_jax.cell import activations
from lstm_jax.cell.activations import ACTIVATIONS, Activation, register_activation

pytestmark = pytest.mark.usefixtures("float64")

POINTS = np.concatenate([np.linspace(-8, 8, 33), [-1e-9, 1e-9]])
RANGES = {"logistic": (0, 1), "centred_1": (-1, 1), "centred_2": (-2, 2), "tanh": (-1, 1)}


@pytest.mark.parametrize("name", sorted(oracle.FUNCTIONS.keys() | ACTIVATIONS.keys()))
def test_values_and_derivatives_are_the_formulas(name: str):
    f = ACTIVATIONS[name]
    expected = [oracle.FUNCTIONS[name](x) for x in POINTS]
    np.testing.assert_allclose(f(POINTS), expected, rtol=1e-13, atol=1e-15)
    # A derivative near 0 is known only to the last bit of an activation near 1.
    found, precision = f.derivative(f(POINTS)), {"rtol": 1e-12, "atol": 5e-16}
    expected = [oracle.DERIVATIVES[name](x) for x in POINTS]
    np.testing.assert_allclose(found, expected, **precision)
    np.testing.assert_allclose(found, jax.vmap(jax.grad(f.function))(POINTS), **precision)


@pytest.mark.parametrize("name", RANGES)
def test_tails_reach_the_ends_of_the_range_with_derivative_0(name: str):
    f = ACTIVATIONS[name]
    for far in (1e3, 1e30, np.inf):
        ends = f(jnp.array([-far, far]))
        np.testing.assert_array_equal(ends, RANGES[name])
        np.testing.assert_array_equal(f.derivative(ends), 0)


def test_centred_functions_do_not_cancel_near_0():
    tiny = jnp.array([-1e-20, 0.0, 1e-20])
    np.testing.assert_array_equal(ACTIVATIONS["centred_2"](tiny), tiny)  # g
    np.testing.assert_array_equal(ACTIVATIONS["centred_1"](tiny), tiny / 2)  # h


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float32])
def test_dtype_is_preserved(name: str, dtype: jnp.dtype):
    f = ACTIVATIONS[name]
    y = f(jnp.array(0.3, dtype))
    assert y.dtype == f.derivative(y).dtype == dtype


def relu_squared(x):
    return jnp.maximum(x, 0) ** 2


def register() -> Activation:
    return register_activation("relu_squared", relu_squared, lambda y: 2 * jnp.sqrt(y))


def test_a_registered_activation_is_used_with_its_gradient():
    """...that the oracle of `truncated_autodiff`, which knows only the function, confirms."""
    register()
    fields = {"cell_input": "relu_squared", "cell_output": "relu_squared"}
    net = dataclasses.replace(DESCENDANT, **fields, output="relu_squared")
    problem = make_problem(net, steps=5, padding="length", seed=3)
    parameters = jax.tree.map(lambda w: w / 2, problem.parameters)

    def loss(parameters, gradient):
        outputs, _ = lstm_jax.apply(
            net,
            parameters,
            problem.inputs,
            steps=lstm_jax.Steps(length=problem.mask.sum()),
            options=lstm_jax.RunOptions(gradient=gradient),
        )
        return (outputs**2).sum()

    found, expected = (
        jax.grad(loss)(parameters, name) for name in ("truncated", "truncated_autodiff")
    )
    assert_close(found, expected, 1e-10)
    assert np.abs(found.layer.cell.input).max() > 0


def test_a_wrong_derivative_is_refused_with_the_place():
    with pytest.raises(ValueError, match=r"derivative must be .* at net input .*, got"):
        register_activation("wrong", jnp.sin, lambda y: 1 - y * y)
    assert "wrong" not in ACTIVATIONS


def test_a_name_stands_for_one_function():
    assert register() is register() is ACTIVATIONS["relu_squared"]
    with pytest.raises(ValueError, match="name must be a new one, or one of the same function"):
        register_activation("relu_squared", jnp.tanh, lambda y: 1 - y * y)
    with pytest.raises(TypeError):
        ACTIVATIONS["other"] = ACTIVATIONS["tanh"]  # pyright: ignore[reportIndexIssue]


def test_files_keep_the_name_and_unknown_names_are_refused(tmp_path, monkeypatch):
    register()
    net = dataclasses.replace(DESCENDANT, cell_input="relu_squared")
    parameters = lstm_jax.initialise(jax.random.key(0), net)
    path = tmp_path / "net.safetensors"
    lstm_jax.save(path, net, parameters)
    assert_equal(lstm_jax.load(path), (net, parameters))
    monkeypatch.delitem(activations._activations, "relu_squared")
    with pytest.raises(ValueError, match="does not hold a network: cell_input must be one of"):
        lstm_jax.load(path)
    with pytest.raises(ValueError, match="or made known by register_activation, got 'relu'"):
        lstm_jax.Architecture(3, (1,), 1, cell_output="relu")
