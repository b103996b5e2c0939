"""The squashing functions are eqs. 3-5, and each slope is the derivative, from the value alone."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import oracle
import pytest

from lstm_jax.cell.activations import ACTIVATIONS, logistic

pytestmark = pytest.mark.usefixtures("float64")

POINTS = np.concatenate([np.linspace(-8, 8, 33), [-1e-9, 1e-9]])
RANGES = {"logistic": (0, 1), "centred_1": (-1, 1), "centred_2": (-2, 2), "tanh": (-1, 1)}


def test_the_oracle_knows_all_of_them():
    assert ACTIVATIONS.keys() == oracle.FUNCTIONS.keys()
    assert logistic is ACTIVATIONS["logistic"]


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_value_and_slope_are_the_formulas(name: str):
    value, slope = ACTIVATIONS[name]
    expected = [oracle.FUNCTIONS[name](x) for x in POINTS]
    np.testing.assert_allclose(value(POINTS), expected, rtol=1e-13, atol=1e-15)
    # From the value alone, a slope near 0 is known to the last bit of a value near 1.
    found, precision = slope(value(POINTS)), {"rtol": 1e-12, "atol": 5e-16}
    derivative = [oracle.DERIVATIVES[name](x) for x in POINTS]
    np.testing.assert_allclose(found, derivative, **precision)
    np.testing.assert_allclose(found, jax.vmap(jax.grad(value))(POINTS), **precision)


@pytest.mark.parametrize("name", RANGES)
def test_far_out_values_are_the_ends_of_the_range_and_slopes_vanish(name: str):
    value, slope = ACTIVATIONS[name]
    for far in (1e3, 1e30, np.inf):
        ends = value(jnp.array([-far, far]))
        np.testing.assert_array_equal(ends, RANGES[name])
        np.testing.assert_array_equal(slope(ends), 0)


def test_centred_functions_are_scaled_logistics_without_cancellation():
    f, g, h = (ACTIVATIONS[name].value for name in ("logistic", "centred_2", "centred_1"))
    np.testing.assert_allclose(h(POINTS), 2 * f(POINTS) - 1, atol=1e-15)  # eq. 4
    np.testing.assert_allclose(g(POINTS), 4 * f(POINTS) - 2, atol=1e-15)  # eq. 5
    tiny = jnp.array([-1e-20, 0.0, 1e-20])
    np.testing.assert_array_equal(g(tiny), tiny)
    np.testing.assert_array_equal(h(tiny), tiny / 2)


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float32])
def test_dtype_is_kept(name: str, dtype: jnp.dtype):
    value, slope = ACTIVATIONS[name]
    y = value(jnp.array(0.3, dtype))
    assert y.dtype == slope(y).dtype == dtype
