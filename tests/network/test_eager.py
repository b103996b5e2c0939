"""Eager calls of public functions are compiled once, and are fast from the second on."""

from __future__ import annotations

import re
from collections.abc import Callable

import jax
import numpy as np
import optax
import pytest
from helpers import DESCENDANT, random_parameters

import lstm_jax as lstm
from lstm_jax.analysis.error_flow import carrousel_factors

NET = DESCENDANT
PARAMETERS = jax.tree.map(np.float32, random_parameters(NET))
SGD = optax.sgd(0.1)
LEARNER = lstm.init_learner(NET, PARAMETERS, SGD)
KEY, STATE = jax.random.key(0), lstm.zero_state(NET)
INPUTS, TARGETS, WEIGHTS = (np.ones(shape, np.float32) for shape in ((5, 3), (5, 2), 5))
DOT_PRODUCT = lstm.DotProductAttention(None, None)
ADDITIVE = lstm.AdditiveAttention(*(np.ones(shape, np.float32) for shape in ((2, 4), (2, 4), 4)))
LOSS = lstm.LOSSES["squared_and_cross_entropy"]

# What converts array-likes and makes zero states.
CONVERSIONS = {"stage", "convert_element_type", "broadcast_in_dim", "copy"}
# Each with the number of programs beside the conversions.
EAGER: dict[str, tuple[int, Callable]] = {
    "initialise": (1, lambda: lstm.initialise(KEY, NET, forget_gate_bias=np.float32([1, 2]))),
    "apply": (1, lambda: lstm.apply(NET, PARAMETERS, INPUTS)),
    "unroll": (1, lambda: lstm.unroll(NET, PARAMETERS, INPUTS)),
    "bidirectional": (3, lambda: lstm.bidirectional(NET, PARAMETERS, PARAMETERS, INPUTS)),
    "step": (1, lambda: lstm.step(NET, PARAMETERS, STATE, INPUTS[0])),
    "output_units": (1, lambda: lstm.output_units(NET, PARAMETERS.output, STATE, INPUTS[0])),
    "learn": (1, lambda: lstm.learn(NET, LEARNER, INPUTS[0], TARGETS[0], mask=True, reset=True)),
    "learn_chunk": (1, lambda: lstm.learn_chunk(NET, LEARNER, INPUTS, TARGETS, weights=WEIGHTS)),
    "update": (1, lambda: lstm.update(SGD, LEARNER)),
    "start_sequence": (1, lambda: lstm.start_sequence(NET, LEARNER)),
    "online_gradient": (1, lambda: lstm.online_gradient(NET, PARAMETERS, INPUTS, TARGETS, WEIGHTS)),
    "additive_attention": (1, lambda: lstm.additive_attention(ADDITIVE, TARGETS[0], TARGETS)),
    "dot_product_attention": (
        1,
        lambda: lstm.dot_product_attention(DOT_PRODUCT, TARGETS[0], TARGETS),
    ),
    "half_squared_error": (1, lambda: lstm.half_squared_error(TARGETS, TARGETS, WEIGHTS)),
    "cross_entropy": (1, lambda: lstm.cross_entropy(TARGETS, TARGETS, WEIGHTS, tolerance=0.1)),
    "Loss": (1, lambda: LOSS(TARGETS, TARGETS, WEIGHTS)),
    "carrousel_factors": (1, lambda: carrousel_factors(NET, PARAMETERS, INPUTS)),
}


def programs(call: Callable, caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return the names of the programs that a call compiles."""
    caplog.clear()
    with jax.log_compiles(True), caplog.at_level("WARNING"):
        jax.block_until_ready(call())
    messages = [record.getMessage() for record in caplog.records]
    compiled = [re.match(r"Finished XLA compilation of jit\((\w+)\)", m) for m in messages]
    return [name[1] for name in compiled if name]


@pytest.mark.parametrize("name", EAGER)
def test_eager_calls_compile_once_and_little(name: str, caplog: pytest.LogCaptureFixture):
    number, call = EAGER[name]
    jax.clear_caches()
    first = [name for name in programs(call, caplog) if name not in CONVERSIONS]
    assert len(first) == number, first
    assert not programs(call, caplog)


def test_diagnosing_compiles_once(caplog: pytest.LogCaptureFixture):
    call = lambda: lstm.diagnose(NET, PARAMETERS, INPUTS[None])
    call()
    assert not programs(call, caplog)


def test_unequal_blocks_compile_like_equal_ones():
    """The size of a program does not grow with the number of blocks."""

    def operations(blocks: tuple[int, ...]) -> int:
        net = lstm.Architecture(num_inputs=3, blocks=blocks, num_outputs=1, peepholes=True)
        parameters = jax.tree.map(np.float32, random_parameters(net))
        loss = lambda parameters: lstm.apply(net, parameters, INPUTS)[0].sum()
        return jax.jit(jax.grad(loss)).lower(parameters).as_text().count("\n")

    assert operations((1, 2) * 20) == operations((1, 2) * 10)
    assert operations((1, 2) * 10) < 1.5 * operations((2, 2) * 10)
