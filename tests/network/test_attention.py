"""What attention reads is a mean of real steps, and its errors stay with the step they came to."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import EVERYTHING, assert_close, assert_equal, make_problem, quick_jit

from lstm_jax.cell.scan import Steps
from lstm_jax.network.attention import Additive, DotProduct, attend
from lstm_jax.network.layer import RunOptions, unroll

pytestmark = pytest.mark.usefixtures("float64")

RNG = np.random.default_rng(0)
STEPS, SIZE = 5, 3
QUERY, OUTPUTS = RNG.normal(size=4), RNG.normal(size=(STEPS, SIZE))
UNIT_TYPES: dict[str, Any] = {
    "additive": Additive(*(RNG.normal(size=size) for size in ((4, 6), (SIZE, 6), 6))),
    "dot product": DotProduct(RNG.normal(size=(4, 6)), RNG.normal(size=(SIZE, 6))),
}
kinds = pytest.mark.parametrize("weights", UNIT_TYPES.values(), ids=UNIT_TYPES)


def test_the_equations_of_bahdanau_and_of_vaswani():
    additive, product = UNIT_TYPES["additive"], UNIT_TYPES["dot product"]
    scores = {
        "additive": [
            additive.score @ np.tanh(additive.query.T @ QUERY + additive.output.T @ y)
            for y in OUTPUTS
        ],
        "dot product": [
            (product.query.T @ QUERY) @ (product.output.T @ y) / np.sqrt(6) for y in OUTPUTS
        ],
    }
    for kind, weights in UNIT_TYPES.items():
        alpha = np.exp(scores[kind]) / np.exp(scores[kind]).sum()
        expected = sum(a * y for a, y in zip(alpha, OUTPUTS, strict=True))
        found = attend(weights, QUERY, OUTPUTS)
        assert_close((found.context, found.weights), (expected, alpha), 1e-14)


@kinds
def test_of_one_step_it_reads_that_step(weights: Any):
    found = attend(weights, QUERY, OUTPUTS[:1])
    assert_equal((found.context, found.weights), (OUTPUTS[0], np.ones(1)))
    alone = np.arange(STEPS) == 3
    assert_close(
        attend(weights, QUERY, OUTPUTS, steps=Steps(mask=alone)).context, OUTPUTS[3], 1e-15
    )


@kinds
def test_equal_scores_read_the_mean_of_the_real_steps(weights: Any):
    equal = weights._replace(query=0 * weights.query, output=0 * weights.output)
    found = attend(equal, QUERY, OUTPUTS, steps=Steps(length=4))
    assert_close(found.context, OUTPUTS[:4].mean(0), 1e-14)


@kinds
def test_scores_beyond_all_numbers_pick_one_step(weights: Any):
    far = weights._replace(query=1e5 * weights.query, output=1e5 * weights.output)
    if isinstance(far, Additive):
        far = far._replace(score=1e9 * far.score)
    scores = attend(far, QUERY, OUTPUTS)
    assert np.isfinite(scores.context).all()
    assert_close(scores.weights.sum(), 1.0, 1e-14)


def error(weights: Any, query: Any, outputs: Any, **padding: Any) -> jax.Array:
    context, alpha = attend(weights, query, outputs, **padding)
    return jnp.sin(context).sum() + (alpha**2).sum()


@kinds
@pytest.mark.parametrize(("junk", "by"), [(np.nan, "mask"), (np.inf, "length")])
def test_padding_moves_nothing(weights: Any, junk: float, by: str):
    real = np.arange(STEPS + 3) < STEPS
    padded = np.full((STEPS + 3, SIZE), junk)
    padded[:STEPS] = OUTPUTS
    padding = {"mask": real} if by == "mask" else {"length": STEPS}
    slope = quick_jit(jax.value_and_grad(error, (0, 1, 2)), static_argnames="length")
    value, (by_weights, by_query, by_outputs) = slope(weights, QUERY, padded, **padding)
    assert not np.any(by_outputs[STEPS:])
    found = value, (by_weights, by_query, by_outputs[:STEPS])
    assert_close(found, slope(weights, QUERY, OUTPUTS), 1e-14)


@kinds
def test_where_no_step_is_real_nothing_is_read(weights: Any):
    slope_of = quick_jit(jax.value_and_grad(error), static_argnames="length")
    value, slope = slope_of(weights, QUERY, OUTPUTS, length=0)
    assert value == 0
    assert not any(np.any(leaf) for leaf in jax.tree.leaves(slope))


@kinds
def test_gradients_are_finite_differences(weights: Any):
    arguments = (weights, QUERY, OUTPUTS)
    slope = quick_jit(lambda *all_: jax.grad(error, (0, 1, 2))(*all_, length=4))(*arguments)
    way = jax.tree.map(lambda w: np.random.default_rng(w.size).normal(size=w.shape), arguments)
    at = lambda step: error(*jax.tree.map(lambda w, d: w + step * d, arguments, way), length=4)
    expected = (at(1e-5) - at(-1e-5)) / 2e-5
    along = sum(jax.tree.leaves(jax.tree.map(lambda g, d: (g * d).sum(), slope, way)))
    assert_close(along, expected, 1e-8)


# Over what a hidden layer did -------------------------------------------------------------------

PROBLEM = make_problem(EVERYTHING, STEPS)


def slope_of_layer(gradient: Any, mask: np.ndarray, weights: Any) -> Any:
    """Of what attention reads of a hidden layer, by the layer's weights and its inputs."""

    def read(parameters: Any, inputs: Any) -> jax.Array:
        activations, _ = unroll(
            EVERYTHING, parameters, inputs, options=RunOptions(gradient=gradient)
        )
        context = attend(weights, QUERY, activations.cell_output, steps=Steps(mask=mask)).context
        return jnp.sin(context).sum()

    return quick_jit(jax.grad(read, (0, 1)))(PROBLEM.parameters, jnp.asarray(PROBLEM.inputs))


@kinds
def test_truncated_errors_stay_with_their_step_and_the_carrousel(weights: Any):
    """An error at step 3 alone: output gates of that step hear of it; before, only what fed s."""
    at_3 = np.arange(STEPS) == 3
    for gradient, is_cut in (("truncated", True), ("full", False)):
        slope, by_inputs = slope_of_layer(gradient, at_3, weights)
        by_output_gate = slope.layer.output_gate.input  # [I, J], x(3) times the gates' deltas
        x_3 = PROBLEM.inputs[3]
        along = np.outer(x_3, x_3 @ by_output_gate) / (x_3 @ x_3)
        size = np.abs(by_output_gate).max()
        assert (np.abs(by_output_gate - along).max() < 1e-12 * size) == is_cut
        assert np.any(slope.layer.hidden.input) != is_cut  # that step's cells do not see them
        assert np.any(by_inputs[:3]) and not np.any(by_inputs[4:])


@kinds
def test_both_ways_to_truncate_agree_behind_attention(weights: Any):
    mask = np.arange(STEPS) != 1
    found = slope_of_layer("truncated", mask, weights)
    assert_close(found, slope_of_layer("truncated_autodiff", mask, weights), 1e-11)


def test_what_does_not_fit_is_refused():
    additive, product = UNIT_TYPES["additive"], UNIT_TYPES["dot product"]
    for message, call in {
        r"query must be \[Q\], got \(1, 4\)": lambda: attend(product, QUERY[None], OUTPUTS),
        r"outputs must be \[T, Y\], got \(3,\)": lambda: attend(product, QUERY, OUTPUTS[0]),
        r"weights.query must be \[2, A\], got \(4, 6\)": lambda: attend(
            additive, QUERY[:2], OUTPUTS
        ),
        r"one number A of dimensions, got \[6, 6, 5\]": lambda: attend(
            additive._replace(score=np.ones(5)), QUERY, OUTPUTS
        ),
        r"one number A of dimensions, got \[4, 3\]": lambda: attend(
            DotProduct(None, None), QUERY, OUTPUTS
        ),
        r"mask must be bool of shape \(5,\)": lambda: attend(
            product, QUERY, OUTPUTS, steps=Steps(mask=np.ones(4, bool))
        ),
        "give mask or length, not both": lambda: attend(
            product, QUERY, OUTPUTS, steps=Steps(mask=np.ones(STEPS, bool), length=2)
        ),
        r"length must be in \[0, 5\], got 6": lambda: attend(
            product, QUERY, OUTPUTS, steps=Steps(length=6)
        ),
    }.items():
        with pytest.raises(ValueError, match=message):
            call()
