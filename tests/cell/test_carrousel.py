"""Without recurrence only the carrousel is a loop: equal to the loop of steps, and to its sums."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import assert_close
from jax import export

from lstm_jax.cell import carrousel
from lstm_jax.cell.architecture import Architecture
from lstm_jax.cell.parameters import initialise, join
from lstm_jax.cell.scan import LayerScan, Sequence, Steps, project
from lstm_jax.cell.step import cell_step, zero_state
from lstm_jax.network.layer import apply
from lstm_jax.network.run import RunOptions

pytestmark = pytest.mark.usefixtures("float64")

STEPS = 9
NET = Architecture(3, (2, 1), 2, num_hidden=2, recurrent="none", biases="all")
FAMILY = {
    "1997": NET,
    "forget gates": dataclasses.replace(NET, forget_gates=True, cell_input="identity"),
    "no output gates": dataclasses.replace(NET, forget_gates=True, output_gates=False),
}
MASK = np.array([1, 0, 1, 1, 0, 0, 1, 0, 0], bool)
RESET = np.array([0, 0, 1, 0, 0, 0, 0, 1, 0], bool)
PADDING = {
    "none": (None, None),
    "mask": (MASK, None),
    "reset": (None, RESET),
    "both": (MASK, RESET),  # the last reset comes after the last real step
    "nothing real": (np.zeros(STEPS, bool), None),
}


@pytest.mark.parametrize("name", FAMILY)
@pytest.mark.parametrize("padding", PADDING)
def test_a_layer_without_recurrence_takes_the_steps_of_the_cell(name: str, padding: str):
    net, (mask, reset) = FAMILY[name], PADDING[padding]
    weights = join(net, initialise(jax.random.key(0), net, init_range=1.0).layer)
    weights = jax.tree.map(lambda w: jnp.asarray(w, jnp.float64), weights)
    inputs = jnp.asarray(np.random.default_rng(0).normal(size=(STEPS, 3)))
    state = zero_state(net, jnp.float64)
    arrays = [None if flags is None else jnp.asarray(flags) for flags in (mask, reset)]
    sequence = Sequence(inputs, state, arrays[0], None, arrays[1])
    final, found = LayerScan(net, record=True)(weights, sequence)
    for t, net_input in enumerate(project(weights, inputs)):
        state = zero_state(net, jnp.float64) if reset is not None and reset[t] else state
        if mask is None or mask[t]:
            state, cell_input = cell_step(net, weights, state, net_input)
            at_step = {
                name: values[t] for name, values in found._asdict().items() if values is not None
            }
            assert_close(at_step.pop("cell_input"), cell_input, 1e-14)
            assert_close(
                at_step, {k: v for k, v in state._asdict().items() if v is not None}, 1e-14
            )
        assert_close(found.internal_state[t], state.internal_state, 1e-14)
    assert_close(final, state, 1e-14)


@pytest.mark.parametrize("with_factors", [True, False])
def test_prefix_sums_are_the_loop(with_factors: bool):
    rng = np.random.default_rng(1)
    terms, factors = jnp.asarray(rng.normal(size=(2, 50, 3)))
    first = jnp.asarray(rng.normal(size=3))
    given = terms, factors if with_factors else None, first
    assert_close(carrousel._states_at_once(*given), carrousel._states_in_loop(*given), 1e-12)
    assert_close(carrousel._errors_at_once(*given), carrousel._errors_in_loop(*given), 1e-12)


@pytest.mark.parametrize("name", FAMILY)
def test_the_truncated_gradient_is_the_exact_one(name: str):
    net = FAMILY[name]
    parameters = initialise(jax.random.key(1), net, init_range=1.0)
    parameters = jax.tree.map(lambda w: jnp.asarray(w, jnp.float64), parameters)
    inputs = jnp.asarray(np.random.default_rng(2).normal(size=(STEPS, 3)))

    def loss(parameters, gradient: str) -> jax.Array:
        steps, options = Steps(mask=MASK, reset=RESET), RunOptions(gradient=gradient)
        outputs, _ = apply(net, parameters, inputs, steps=steps, options=options)
        return (outputs**2).sum()

    gradients = [jax.grad(loss)(parameters, name) for name in ("truncated", "full")]
    assert_close(*gradients, 1e-13)


@pytest.mark.parametrize("name", FAMILY)
def test_a_layer_without_recurrence_is_exported_for_sequences_of_any_length(name: str):
    pytest.importorskip("flatbuffers")
    net = FAMILY[name]
    parameters = initialise(jax.random.key(1), net)
    run = jax.jit(lambda inputs: apply(net, parameters, inputs))
    (steps,) = export.symbolic_shape("T")
    exported = export.export(run)(jax.ShapeDtypeStruct((steps, 3), np.float32))
    inputs = np.random.default_rng(2).normal(size=(STEPS, 3)).astype(np.float32)
    for length in (1, STEPS):
        assert_close(exported.call(inputs[:length]), run(inputs[:length]), 1e-6)
