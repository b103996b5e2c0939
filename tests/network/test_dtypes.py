"""Every result has the dtype of the parameters, and stays finite however large the weights."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import EVERYTHING, assert_close, quick_jit

from lstm_jax.cell.architecture import Architecture
from lstm_jax.cell.parameters import initialise
from lstm_jax.network.layer import apply, unroll
from lstm_jax.network.losses import half_squared_error
from lstm_jax.network.online import online_gradient
from lstm_jax.network.run import RunOptions

GRADIENTS = ("truncated", "truncated_autodiff", "full")
STEPS = 20


def inputs_and_targets(architecture: Architecture, steps: int = STEPS) -> tuple:
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(steps, architecture.num_inputs)).astype(np.float32)
    return inputs, rng.random((steps, architecture.num_outputs)).astype(np.float32)


def everything(architecture: Architecture, gradient: str, parameters) -> tuple:
    """E / 2, outputs, final state and the gradient of one network on one sequence."""
    inputs, targets = inputs_and_targets(architecture)
    targets = targets.astype(parameters.output.cell.dtype)

    def loss(parameters) -> tuple:
        outputs, final = apply(
            architecture, parameters, inputs, options=RunOptions(gradient=gradient)
        )
        return half_squared_error(outputs, targets), (outputs, final)

    return jax.value_and_grad(loss, has_aux=True)(parameters)


@pytest.mark.parametrize(
    "dtype, x64", [("bfloat16", False), ("float32", False), ("float32", True), ("float64", True)]
)
@pytest.mark.parametrize("gradient", [*GRADIENTS, "online"])
def test_everything_follows_the_parameters(dtype: str, gradient: str, x64: bool):
    with jax.enable_x64(x64):
        parameters = initialise(jax.random.key(0), EVERYTHING, dtype=dtype)
        inputs, targets = inputs_and_targets(EVERYTHING)
        if gradient == "online":
            run = functools.partial(online_gradient, EVERYTHING)
            results = jax.eval_shape(run, parameters, inputs, targets, np.ones(STEPS, bool))
        else:
            results = jax.eval_shape(
                functools.partial(everything, EVERYTHING, gradient), parameters
            )
            activations = jax.eval_shape(
                functools.partial(unroll, EVERYTHING, options=RunOptions(gradient=gradient)),
                parameters,
                inputs,
            )
            results = (results, activations)
    assert {leaf.dtype for leaf in jax.tree.leaves(results)} == {jnp.dtype(dtype)}
    assert not any(leaf.weak_type for leaf in jax.tree.leaves(results))


@pytest.mark.parametrize("gradient", ["truncated", "full"])
def test_bfloat16_is_float32_rounded(gradient: str):
    # bfloat16 keeps 8 bits: one rounding is off by at most 2^-8 = 0.4%, and the carrousel adds up
    # 20 steps' worth.
    parameters = initialise(jax.random.key(0), EVERYTHING, init_range=0.5, dtype=jnp.bfloat16)
    run = quick_jit(functools.partial(everything, EVERYTHING, gradient))
    (_, (outputs, final)), slopes = run(parameters)
    as_float32 = jax.tree.map(lambda w: w.astype(jnp.float32), parameters)
    (_, (expected, expected_final)), expected_slopes = run(as_float32)
    assert_close(outputs, expected, 0.01)
    assert_close(final, expected_final, 0.02)
    assert_close(slopes, expected_slopes, 0.05)


@pytest.mark.parametrize("gradient", [*GRADIENTS, "online"])
def test_extreme_weights_leave_everything_finite(gradient: str):
    parameters = initialise(jax.random.key(0), EVERYTHING, init_range=1e3)
    if gradient == "online":
        inputs, targets = inputs_and_targets(EVERYTHING)
        run = functools.partial(online_gradient, EVERYTHING)
        results = quick_jit(run)(parameters, inputs, targets, np.ones(STEPS))
    else:
        results = quick_jit(functools.partial(everything, EVERYTHING, gradient))(parameters)
    for leaf in jax.tree.leaves(results):
        assert np.isfinite(leaf).all()
    outputs = results[0] if gradient == "online" else results[0][1][0]
    assert np.any((outputs == 0) | (outputs == 1))  # the weights are extreme indeed


def test_float32_is_close_to_float64():
    with jax.enable_x64(True):
        parameters = initialise(jax.random.key(0), EVERYTHING, init_range=1.0, dtype=jnp.float32)
        as_float64 = jax.tree.map(lambda w: w.astype(jnp.float64), parameters)
        run = quick_jit(functools.partial(everything, EVERYTHING, "truncated"))
        assert_close(run(parameters), run(as_float64), 1e-5)
