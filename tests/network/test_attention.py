"""The context is a mean over real steps; truncated errors stay with the step they enter at."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import EVERYTHING, assert_close, assert_equal, make_problem, quick_jit

from lstm_jax.cell.scan import Steps
from lstm_jax.network.attention import (
    AdditiveAttention,
    Attention,
    DotProductAttention,
    additive_attention,
    dot_product_attention,
)
from lstm_jax.network.layer import unroll
from lstm_jax.network.run import RunOptions

pytestmark = pytest.mark.usefixtures("float64")

RNG = np.random.default_rng(0)
STEPS, SIZE = 5, 3
QUERY, OUTPUTS = RNG.normal(size=4), RNG.normal(size=(STEPS, SIZE))
WEIGHTS: dict = {
    "additive": AdditiveAttention(*(RNG.normal(size=size) for size in ((4, 6), (SIZE, 6), 6))),
    "dot product": DotProductAttention(RNG.normal(size=(4, 6)), RNG.normal(size=(SIZE, 6))),
}
both_types = pytest.mark.parametrize("weights", WEIGHTS.values(), ids=WEIGHTS)


def attend(weights, query, outputs, **padding) -> Attention:
    is_additive = isinstance(weights, AdditiveAttention)
    function = additive_attention if is_additive else dot_product_attention
    return function(weights, query, outputs, steps=Steps(**padding))


def test_the_equations_of_bahdanau_and_of_vaswani():
    additive, product = WEIGHTS["additive"], WEIGHTS["dot product"]
    scores = {
        "additive": [
            additive.score @ np.tanh(additive.query.T @ QUERY + additive.output.T @ y)
            for y in OUTPUTS
        ],
        "dot product": [
            (product.query.T @ QUERY) @ (product.output.T @ y) / np.sqrt(6) for y in OUTPUTS
        ],
    }
    for kind, weights in WEIGHTS.items():
        alpha = np.exp(scores[kind]) / np.exp(scores[kind]).sum()
        expected = sum(a * y for a, y in zip(alpha, OUTPUTS, strict=True))
        found = attend(weights, QUERY, OUTPUTS)
        assert_close((found.context, found.weights), (expected, alpha), 1e-14)


@both_types
def test_of_one_step_it_reads_that_step(weights):
    found = attend(weights, QUERY, OUTPUTS[:1])
    assert_equal((found.context, found.weights), (OUTPUTS[0], np.ones(1)))
    alone = np.arange(STEPS) == 3
    assert_close(attend(weights, QUERY, OUTPUTS, mask=alone).context, OUTPUTS[3], 1e-15)


@both_types
def test_equal_scores_read_the_mean_of_the_real_steps(weights):
    equal = weights._replace(query=0 * weights.query, output=0 * weights.output)
    found = attend(equal, QUERY, OUTPUTS, length=4)
    assert_close(found.context, OUTPUTS[:4].mean(0), 1e-14)


@both_types
def test_scores_beyond_all_numbers_pick_one_step(weights):
    far = weights._replace(query=1e5 * weights.query, output=1e5 * weights.output)
    if isinstance(far, AdditiveAttention):
        far = far._replace(score=1e9 * far.score)
    scores = attend(far, QUERY, OUTPUTS)
    assert np.isfinite(scores.context).all()
    assert_close(scores.weights.sum(), 1.0, 1e-14)


def loss(weights, query, outputs, **padding) -> jax.Array:
    context, alpha = attend(weights, query, outputs, **padding)
    return jnp.sin(context).sum() + (alpha**2).sum()


@both_types
@pytest.mark.parametrize(("junk", "by"), [(np.nan, "mask"), (np.inf, "length")])
def test_padding_moves_nothing(weights, junk: float, by: str):
    real = np.arange(STEPS + 3) < STEPS
    padded = np.full((STEPS + 3, SIZE), junk)
    padded[:STEPS] = OUTPUTS
    padding = {"mask": real} if by == "mask" else {"length": STEPS}
    gradient = quick_jit(jax.value_and_grad(loss, (0, 1, 2)), static_argnames="length")
    value, (by_weights, by_query, by_outputs) = gradient(weights, QUERY, padded, **padding)
    assert not np.any(by_outputs[STEPS:])
    found = value, (by_weights, by_query, by_outputs[:STEPS])
    assert_close(found, gradient(weights, QUERY, OUTPUTS), 1e-14)


@both_types
def test_where_no_step_is_real_nothing_is_read(weights):
    gradient_of = quick_jit(jax.value_and_grad(loss), static_argnames="length")
    value, gradient = gradient_of(weights, QUERY, OUTPUTS, length=0)
    assert value == 0
    assert not any(np.any(leaf) for leaf in jax.tree.leaves(gradient))


@both_types
def test_gradients_are_finite_differences(weights):
    arguments = (weights, QUERY, OUTPUTS)
    gradient = quick_jit(lambda *all_: jax.grad(loss, (0, 1, 2))(*all_, length=4))(*arguments)
    way = jax.tree.map(lambda w: np.random.default_rng(w.size).normal(size=w.shape), arguments)
    at = lambda step: loss(*jax.tree.map(lambda w, d: w + step * d, arguments, way), length=4)
    expected = (at(1e-5) - at(-1e-5)) / 2e-5
    along = sum(jax.tree.leaves(jax.tree.map(lambda g, d: (g * d).sum(), gradient, way)))
    assert_close(along, expected, 1e-8)


# Over what a hidden layer did -------------------------------------------------------------------

PROBLEM = make_problem(EVERYTHING, STEPS)


def gradient_of_layer(gradient, mask: np.ndarray, weights):
    """Of what attention reads of a hidden layer, by the layer's weights and its inputs."""

    def read(parameters, inputs) -> jax.Array:
        activations, _ = unroll(
            EVERYTHING, parameters, inputs, options=RunOptions(gradient=gradient)
        )
        context = attend(weights, QUERY, activations.cell_output, mask=mask).context
        return jnp.sin(context).sum()

    return quick_jit(jax.grad(read, (0, 1)))(PROBLEM.parameters, jnp.asarray(PROBLEM.inputs))


@both_types
def test_truncated_errors_stay_with_their_step_and_the_carrousel(weights):
    """An error at step 3 alone: output gates of that step hear of it; before, only what fed s."""
    at_3 = np.arange(STEPS) == 3
    for gradient, is_cut in (("truncated", True), ("full", False)):
        gradient, by_inputs = gradient_of_layer(gradient, at_3, weights)
        by_output_gate = gradient.layer.output_gate.input  # [I, J], x(3) times the gates' deltas
        x_3 = PROBLEM.inputs[3]
        along = np.outer(x_3, x_3 @ by_output_gate) / (x_3 @ x_3)
        size = np.abs(by_output_gate).max()
        assert (np.abs(by_output_gate - along).max() < 1e-12 * size) == is_cut
        assert np.any(gradient.layer.hidden.input) != is_cut  # that step's cells do not see them
        assert np.any(by_inputs[:3]) and not np.any(by_inputs[4:])


@both_types
def test_both_ways_to_truncate_agree_behind_attention(weights):
    mask = np.arange(STEPS) != 1
    found = gradient_of_layer("truncated", mask, weights)
    assert_close(found, gradient_of_layer("truncated_autodiff", mask, weights), 1e-11)


WRONG: dict = {
    r"query must be \[Q\], got \(1, 4\)": lambda w: attend(w, QUERY[None], OUTPUTS),
    r"outputs must be \[T, Y\], got \(3,\)": lambda w: attend(w, QUERY, OUTPUTS[0]),
    r"parameters.query must have shape \(2, 6\), got \(4, 6\)": lambda w: attend(
        w, QUERY[:2], OUTPUTS
    ),
    r"parameters.score must have shape \(6,\), got \(\)": lambda w: attend(
        w._replace(score=1.0), QUERY, OUTPUTS
    ),
    r"parameters.score must have shape \(6,\), got \(5,\)": lambda w: attend(
        w._replace(score=np.ones(5)), QUERY, OUTPUTS
    ),
    r"parameters.query must have shape \(4, 3\), got \(4, 4\)": lambda _: attend(
        DotProductAttention(None, None), QUERY, OUTPUTS
    ),
    "parameters must be of class AdditiveAttention": lambda _: additive_attention(
        WEIGHTS["dot product"], QUERY, OUTPUTS
    ),
}


@pytest.mark.parametrize("message", WRONG)
def test_arguments_that_do_not_fit_are_refused(message: str):
    with pytest.raises(ValueError, match=message):
        WRONG[message](WEIGHTS["additive"])
