"""The activation functions are eqs. 3-5, with derivatives as functions of the activation."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import oracle
import pytest

from lstm_jax.cell.activations import ACTIVATIONS

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
