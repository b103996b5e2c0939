"""A network under construction is the network of the blocks that have been added."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import assert_close
from small_tasks import take_trial

from lstm_jax.cell.architecture import Architecture
from lstm_jax.cell.parameters import initialise
from lstm_jax.cell.records import Parameters
from lstm_jax.cell.units import UNIT_TYPES
from lstm_jax.network.layer import apply
from lstm_jax.network.run import Gradient, RunOptions
from lstm_jax.training.update_rules.construction import mask_blocks

pytestmark = pytest.mark.usefixtures("float64")

# Every type of unit, each of which receives the activations of all others.
NET = Architecture(
    num_inputs=2,
    blocks=(2, 1, 2),
    num_outputs=1,
    num_hidden=1,
    input_to_output=True,
    forget_gates=True,
    peepholes=True,
)


def first_blocks(parameters: Parameters, number: int) -> Parameters:
    """The weights of the network that has the first blocks alone."""
    cells = sum(NET.blocks[:number])
    counts = {t.name: number if t.is_gate else cells for t in UNIT_TYPES}
    counts["hidden"] = NET.num_hidden
    sizes = NET.sizes._asdict()
    is_source = np.concatenate([np.arange(sizes[name]) < n for name, n in counts.items()])

    def first(weights, count: int):
        return weights._replace(
            input=weights.input[:, :count],
            recurrent=weights.recurrent[is_source][:, :count],
            bias=weights.bias[:count],
            peephole=None if weights.peephole is None else weights.peephole[:cells],
        )

    layer = {name: first(getattr(parameters.layer, name), n) for name, n in counts.items()}
    output = parameters.output._replace(cell=parameters.output.cell[:cells])
    return Parameters(parameters.layer._replace(**layer), output)


@pytest.mark.parametrize(("gradient", "number"), [("truncated", 1), ("full", 2)])
def test_outputs_and_gradient_are_those_of_the_added_blocks(gradient: Gradient, number: int):
    """All other weights have no gradient, so that they are not trained."""
    parameters = initialise(jax.random.key(1), NET, init_range=1.0, dtype=jnp.float64)
    inputs = jax.random.normal(jax.random.key(2), (7, 2), jnp.float64)
    smaller = dataclasses.replace(NET, blocks=NET.blocks[:number])

    def loss(parameters: Parameters, net: Architecture, is_masked: bool):
        if is_masked:
            parameters = mask_blocks(net, parameters, jnp.int32(number))
        outputs, _ = apply(net, parameters, inputs, options=RunOptions(gradient=gradient))
        return (outputs**2).sum(), outputs

    run = jax.jit(jax.grad(loss, has_aux=True), static_argnums=(1, 2))
    found, outputs = run(parameters, NET, True)
    expected, expected_outputs = run(first_blocks(parameters, number), smaller, False)
    assert_close(outputs, expected_outputs)
    assert_close(first_blocks(found, number), expected)
    size = lambda tree: sum(np.abs(leaf).sum() for leaf in jax.tree.leaves(tree))
    np.testing.assert_allclose(size(found), size(expected), rtol=1e-12)


def test_every_trial_of_a_batch_has_its_number_of_blocks():
    one = initialise(jax.random.key(1), NET, dtype=jnp.float64)
    batch = jax.tree.map(lambda w: jnp.stack([w] * 4, -1), one)
    masked = mask_blocks(NET, batch, jnp.arange(4))
    for number in range(4):
        assert_close(take_trial(masked, number), mask_blocks(NET, one, jnp.int32(number)))
    assert_close(take_trial(masked, 3), one)
