"""Two directions are two runs side by side, and padding changes neither."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import DESCENDANT, assert_close, assert_equal, make_problem, quick_jit

from lstm_jax.cell.scan import Steps
from lstm_jax.network.interop import from_library
from lstm_jax.network.layer import bidirectional, output_units, unroll
from lstm_jax.network.run import RunOptions

pytestmark = pytest.mark.usefixtures("float64")

STEPS, LENGTH = 7, 5
FORWARD, BACKWARD = (make_problem(DESCENDANT, STEPS, seed=seed) for seed in range(2))
INPUTS = FORWARD.inputs


def test_both_directions_are_two_runs_side_by_side():
    arguments = DESCENDANT, FORWARD.parameters, BACKWARD.parameters, INPUTS
    found, (ahead_state, back_state) = bidirectional(*arguments)
    ahead, state = unroll(DESCENDANT, FORWARD.parameters, INPUTS)
    back, other = unroll(DESCENDANT, BACKWARD.parameters, INPUTS[::-1])
    assert_close((ahead_state, back_state), (state, other), 1e-14)
    for one, first, second in zip(found, ahead, back, strict=True):
        assert_close(one, np.concatenate([first, second[::-1]], axis=1), 1e-14)


@pytest.mark.parametrize(
    ("gradient", "padding"),
    [("truncated", "length"), ("full", "mask"), ("truncated", "mask in the middle")],
)
def test_padding_moves_neither_values_nor_gradients(gradient, padding: str):
    real = np.arange(STEPS) < LENGTH
    if padding == "mask in the middle":
        real = np.arange(STEPS) % 3 != 1
    steps = Steps(length=LENGTH) if padding == "length" else Steps(mask=real)
    padded = np.where(real[:, None], INPUTS, np.nan)

    def run(weights: tuple, inputs, steps: Steps = Steps(), keep=slice(None)) -> tuple:
        found, states = bidirectional(
            DESCENDANT, *weights, inputs, options=RunOptions(gradient=gradient), steps=steps
        )
        outputs = found.cell_output[keep]
        factors = jnp.cos(jnp.arange(outputs.size, dtype=outputs.dtype)).reshape(outputs.shape)
        return (outputs * factors).sum(), (outputs, states)

    gradient_of = jax.value_and_grad(run, has_aux=True)
    weights = (FORWARD.parameters, BACKWARD.parameters)
    found = quick_jit(lambda weights: gradient_of(weights, padded, steps, real))(weights)
    expected = quick_jit(lambda weights: gradient_of(weights, INPUTS[real]))(weights)
    assert_close(found, expected, 1e-12)


def test_every_step_depends_on_all_steps():
    arguments = DESCENDANT, FORWARD.parameters, BACKWARD.parameters
    other = INPUTS.copy()
    other[3] += 1
    found, changed = (bidirectional(*arguments, x)[0].cell_output for x in (INPUTS, other))
    moved = np.any(found != changed, axis=0), np.any(found != changed, axis=1)
    assert moved[0].all() and moved[1].all()
    cells = DESCENDANT.num_cells
    assert_equal(found[:3, :cells], changed[:3, :cells])  # forward: steps before the change
    assert_equal(found[4:, cells:], changed[4:, cells:])  # backward: steps after it


def test_output_units_may_see_both():
    found, _ = bidirectional(DESCENDANT, FORWARD.parameters, BACKWARD.parameters, INPUTS)
    join = lambda a, b: np.concatenate([a, b])
    first, second = FORWARD.parameters.output, BACKWARD.parameters.output
    both = first._replace(
        cell=join(first.cell, second.cell), hidden=join(first.hidden, second.hidden)
    )
    outputs = output_units(DESCENDANT, both, found, jnp.asarray(INPUTS))
    cell, hidden = np.asarray(found.cell_output), np.asarray(found.hidden)
    net = cell @ both.cell + hidden @ both.hidden + INPUTS @ both.input + both.bias
    assert_close(outputs, 1 / (1 + np.exp(-net)), 1e-12)


@pytest.mark.parametrize("length", [None, LENGTH])
def test_flax_s_bidirectional_is_the_same(length: int | None):
    nnx = pytest.importorskip("flax.nnx")
    kinds = {"dtype": np.float64, "param_dtype": np.float64}
    cells = [nnx.OptimizedLSTMCell(3, 4, **kinds, rngs=nnx.Rngs(seed)) for seed in range(2)]
    theirs = nnx.Bidirectional(*(nnx.RNN(cell) for cell in cells), rngs=nnx.Rngs(0))
    lengths = None if length is None else jnp.array([length])
    expected = theirs(jnp.asarray(INPUTS)[None], seq_lengths=lengths)[0][:length]
    arrays = [nnx.to_pure_dict(nnx.state(cell, nnx.Param)) for cell in cells]
    (net, forward), (_, backward) = (
        from_library("flax.nnx.OptimizedLSTMCell", array) for array in arrays
    )
    found, _ = bidirectional(net, forward, backward, INPUTS, steps=Steps(length=length))
    assert_close(found.cell_output[:length], expected, 1e-10)
