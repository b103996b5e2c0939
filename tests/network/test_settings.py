"""A network computes the same bits under all settings of JAX; what is only close is named here."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable
from contextlib import AbstractContextManager

import jax
import numpy as np
import optax
import pytest
from helpers import DESCENDANT, assert_close, random_parameters

import lstm_jax as lstm

NET, STEPS = DESCENDANT, 5
RNG = np.random.default_rng(0)
normal = lambda *shape: RNG.normal(size=shape).astype(np.float32)
PARAMETERS = jax.tree.map(np.float32, random_parameters(NET))
INPUTS, TARGETS, WEIGHTS = normal(STEPS, 3), normal(STEPS, 2), normal(STEPS) ** 2
SYMBOLS, MASK = np.int32([0, 2, 1, 1, 0]), np.array([True, False, True, True, True])
PADDED = lstm.Steps(mask=MASK)
ADDITIVE = lstm.AdditiveAttention(normal(2, 4), normal(2, 4), normal(4))
DOT_PRODUCT = lstm.DotProductAttention(normal(2, 4), normal(2, 4))
KEY = jax.random.key(0, impl="threefry2x32")

# The default settings; those of the tests are stricter.
DEFAULTS = (
    lambda: jax.numpy_rank_promotion("allow"),
    lambda: jax.numpy_dtype_promotion("standard"),
)
SETTINGS: dict[str, Callable[[], AbstractContextManager]] = {
    "x64": lambda: jax.enable_x64(True),
    "generator": lambda: jax.default_prng_impl("rbg"),
    "rank promotion": lambda: jax.numpy_rank_promotion("raise"),
    "dtype promotion": lambda: jax.numpy_dtype_promotion("strict"),
    "device": lambda: jax.default_device(jax.devices()[1]),
    "highest precision": lambda: jax.default_matmul_precision("highest"),
    "bfloat16 precision": lambda: jax.default_matmul_precision("bfloat16"),
    "debug NaN": lambda: jax.debug_nans(True),
    "debug infinity": lambda: jax.debug_infs(True),
    "no jit": jax.disable_jit,
}


def gradient_of(gradient: str, inputs: np.ndarray) -> object:
    """E / 2, outputs, final state and the gradient."""

    def loss(parameters: lstm.Parameters) -> tuple:
        options = lstm.RunOptions(gradient=gradient)
        found = lstm.apply(NET, parameters, inputs, steps=PADDED, options=options)
        return lstm.half_squared_error(found[0], TARGETS, WEIGHTS), found

    return jax.value_and_grad(loss, has_aux=True)(PARAMETERS)


def learned(optimiser: optax.GradientTransformation) -> object:
    """The outputs of a few steps and of a chunk, and the learner after them."""
    learner, outputs = lstm.init_learner(NET, PARAMETERS, optimiser), []
    for at in zip(INPUTS, TARGETS, strict=True):
        output, learner = lstm.learn(NET, learner, *at, weight=0.5, mask=True, reset=False)
        learner = lstm.update(optimiser, learner)
        outputs.append(output)
    chunk, learner = lstm.learn_chunk(NET, learner, INPUTS, TARGETS, weights=WEIGHTS, steps=PADDED)
    return outputs, chunk, lstm.update(optimiser, learner)


def attention(padding: lstm.Steps) -> object:
    """Contexts, weights and their gradients."""

    def read(additive, product, query, outputs) -> tuple:
        found = (
            lstm.additive_attention(additive, query, outputs, steps=padding),
            lstm.dot_product_attention(product, query, outputs, steps=padding),
        )
        return sum(attended.context.sum() for attended in found), found

    gradient = jax.value_and_grad(read, (0, 1, 2, 3), has_aux=True)
    return gradient(ADDITIVE, DOT_PRODUCT, TARGETS[0], TARGETS)


CALLS: dict[str, Callable[[], object]] = {
    "truncated": lambda: gradient_of("truncated", INPUTS),
    "truncated, symbols": lambda: gradient_of("truncated", SYMBOLS),
    "truncated_autodiff": lambda: gradient_of("truncated_autodiff", INPUTS),
    "full": lambda: gradient_of("full", INPUTS),
    "learn": lambda: learned(optax.sgd(0.1)),
    "learn with Adam": lambda: learned(optax.adam(0.01)),
    "online_gradient": lambda: lstm.online_gradient(NET, PARAMETERS, INPUTS, TARGETS, WEIGHTS),
    "attention": lambda: attention(PADDED),
    "bidirectional": lambda: lstm.bidirectional(NET, PARAMETERS, PARAMETERS, INPUTS),
    "initialise": lambda: lstm.initialise(KEY, NET, input_gate_bias=(1.0, 2.0)),
    "losses": lambda: [loss(TARGETS, 1 - TARGETS, WEIGHTS) for loss in lstm.LOSSES.values()],
}
# Exceptions, which are equal to rounding alone: without `jit` nothing is fused, and optax computes
# Adam's 1 - beta^n in the default floating dtype.
ROUNDING = {("no jit", name) for name in CALLS} | {("x64", "learn with Adam")}


@functools.cache
def result(setting: str | None, name: str) -> object:
    with contextlib.ExitStack() as stack:
        for enter in (*DEFAULTS, SETTINGS.get(setting, contextlib.nullcontext)):
            stack.enter_context(enter())
        return CALLS[name]()


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("setting", SETTINGS)
def test_a_setting_changes_no_bit(setting: str, name: str):
    found, expected = result(setting, name), result(None, name)
    is_rounded = (setting, name) in ROUNDING
    assert_close(found, expected, 1e-5 if is_rounded else 0.0)
    describe = lambda array: (array.dtype, array.weak_type)
    assert jax.tree.map(describe, found) == jax.tree.map(describe, expected)


@pytest.mark.parametrize("name", [name for name in CALLS if name != "initialise"])
def test_what_comes_from_the_host_is_computed_on_the_default_device(name: str):
    device = jax.devices()[1]
    assert {leaf.device for leaf in jax.tree.leaves(result("device", name))} == {device}
