"""A network under construction is the network of the blocks that have joined, and no other."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import assert_close

from lstm_jax.cell.architecture import Architecture
from lstm_jax.cell.parameters import Parameters, initialise
from lstm_jax.cell.units import UNIT_TYPES
from lstm_jax.network.layer import Gradient, RunOptions
from lstm_jax.network.outputs import apply
from lstm_jax.training.update_rules.construction import joined

pytestmark = pytest.mark.usefixtures("float64")

# Every kind of unit, each of which sees all others.
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
    """The weights of the first blocks, as a network that has no others."""
    cells = sum(NET.blocks[:number])
    kept = {k.name: number if k.is_gate else cells for k in UNIT_TYPES} | {"hidden": NET.num_hidden}
    sizes = NET.sizes._asdict()
    is_source = np.concatenate([np.arange(sizes[name]) < n for name, n in kept.items()])

    def weights_of(name: str, own: Any) -> Any:
        return own._replace(
            input=own.input[:, : kept[name]],
            recurrent=own.recurrent[is_source][:, : kept[name]],
            bias=own.bias[: kept[name]],
            peephole=None if own.peephole is None else own.peephole[:cells],
        )

    layer = {name: weights_of(name, own) for name, own in parameters.layer._asdict().items()}
    output = parameters.output._replace(cell=parameters.output.cell[:cells])
    return Parameters(parameters.layer._replace(**layer), output)


@pytest.mark.parametrize(("gradient", "number"), [("truncated", 1), ("full", 2)])
def test_outputs_and_gradient_are_those_of_the_blocks_that_have_joined(
    gradient: Gradient, number: int
):
    """...and nothing else has a gradient, so that blocks that have not joined learn nothing."""
    parameters = initialise(jax.random.key(1), NET, init_range=1.0, dtype=jnp.float64)
    inputs = jax.random.normal(jax.random.key(2), (7, 2), jnp.float64)
    smaller = dataclasses.replace(NET, blocks=NET.blocks[:number])

    def error(parameters: Parameters, net: Architecture, is_part: bool) -> Any:
        if is_part:
            parameters = joined(net, parameters, jnp.int32(number))
        outputs, _ = apply(net, parameters, inputs, options=RunOptions(gradient=gradient))
        return (outputs**2).sum(), outputs

    run = jax.jit(jax.grad(error, has_aux=True), static_argnums=(1, 2))
    found, outputs = run(parameters, NET, True)
    expected, expected_outputs = run(first_blocks(parameters, number), smaller, False)
    assert_close(outputs, expected_outputs)
    assert_close(first_blocks(found, number), expected)
    size = lambda tree: sum(np.abs(leaf).sum() for leaf in jax.tree.leaves(tree))
    np.testing.assert_allclose(size(found), size(expected), rtol=1e-12)


def test_every_lane_has_as_many_blocks_as_have_joined_there():
    one = initialise(jax.random.key(1), NET, dtype=jnp.float64)
    lanes = jax.tree.map(lambda w: jnp.stack([w] * 4, -1), one)
    found = joined(NET, lanes, jnp.arange(4))
    for number in range(4):
        own = jax.tree.map(lambda w, n=number: w[..., n], found)
        assert_close(own, joined(NET, one, jnp.int32(number)))
    assert_close(own, one)
