"""A padded batch is its sequences, one by one."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import DESCENDANT, EVERYTHING, assert_close, assert_equal, quick_jit, random_parameters

from lstm_jax import apply, half_squared_error, pad_sequences
from lstm_jax.cell.architecture import Architecture
from lstm_jax.cell.scan import Steps

pytestmark = pytest.mark.usefixtures("float64")

LENGTHS = (3, 1, 0)


def sequences(symbols: bool) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    if symbols:
        return [rng.integers(0, 3, steps) for steps in LENGTHS]
    return [rng.normal(size=(steps, 3)) for steps in LENGTHS]


@pytest.mark.parametrize("symbols", [False, True])
@pytest.mark.parametrize("steps", [None, 9])
def test_a_batch_holds_its_sequences_and_zeros(symbols: bool, steps: int | None):
    batch, lengths = pad_sequences(sequences(symbols), steps=steps)
    assert lengths.tolist() == list(LENGTHS) and batch.shape[:2] == (3, steps or 3)
    for row, given in zip(batch, sequences(symbols), strict=True):
        np.testing.assert_array_equal(row[: len(given)], given)
        assert not row[len(given) :].any()


@pytest.mark.parametrize(("net", "symbols"), [(EVERYTHING, True), (DESCENDANT, False)])
def test_padding_touches_neither_outputs_nor_gradient(net: Architecture, symbols: bool):
    parameters, given = random_parameters(net), sequences(symbols)
    targets = [np.full((len(inputs), 2), 0.3) for inputs in given]

    def error(parameters, inputs, targets, length=None):
        outputs, _ = apply(net, parameters, inputs, steps=Steps(length=length))
        real = None if length is None else jnp.arange(len(inputs), dtype=length.dtype) < length
        return half_squared_error(outputs, targets, real), outputs

    gradient_of = jax.grad(error, has_aux=True)
    of_batch = quick_jit(jax.vmap(gradient_of, (None, 0, 0, 0)))
    (inputs, lengths), (padded, _) = pad_sequences(given), pad_sequences(targets)
    by_batch, outputs = of_batch(parameters, inputs, padded, lengths)
    alone = [quick_jit(gradient_of)(parameters, *each) for each in zip(given, targets, strict=True)]
    for i, (gradient, expected) in enumerate(alone):
        assert_close(outputs[i, : LENGTHS[i]], expected, 1e-12)
        assert_close(jax.tree.map(lambda g, i=i: g[i], by_batch), gradient, 1e-12)


def test_lists_are_sequences_too():
    batch, lengths = pad_sequences([[1, 2], [3]])
    assert_equal((batch, lengths), (np.array([[1, 2], [3, 0]]), np.array([2, 1], np.int32)))


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ([], "sequences must hold at least one sequence, got none"),
        ([[1.0], 2.0], r"sequences\[1\] must hold numbers .*got float64 \(\)"),
        ([["a"]], r"sequences\[0\] must be an array of numbers"),
        ([[[1.0], [1.0, 2.0]]], r"sequences\[0\] must be an array"),
        ([[1.0], [1]], r"sequences\[1\] must .* fit sequences\[0\], got int64 \(1,\)"),
        ([[[1.0]], [[1.0, 2.0]]], r"fit sequences\[0\], got float64 \(1, 2\)"),
    ],
)
def test_what_is_no_batch_is_named(wrong: list, told: str):
    with pytest.raises(ValueError, match=told) as caught:
        pad_sequences(wrong)
    assert "\n" not in str(caught.value)


def test_too_few_steps_are_refused():
    with pytest.raises(ValueError, match=r"steps must be at least 3, the longest .*got 2"):
        pad_sequences(sequences(True), steps=2)
