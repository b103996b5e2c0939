"""The layer's product is a product, whatever is done to it."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh

from lstm_jax.cell.products import product

pytestmark = pytest.mark.usefixtures("float64")
Product = Callable[[jax.Array, jax.Array], jax.Array]

BATCHES = {
    "one step": (lambda f: f, (3,)),
    "a sequence": (lambda f: f, (7, 3)),
    "a batch of steps": (lambda f: jax.vmap(f, (0, None)), (5, 3)),
    "a batch in front": (lambda f: jax.vmap(f, (0, None)), (5, 7, 3)),
    "a batch behind time": (lambda f: jax.vmap(f, (1, None)), (7, 5, 3)),
    "batches of batches": (lambda f: jax.vmap(jax.vmap(f, (2, None)), (0, None)), (2, 7, 3, 5)),
}


def drawn(*shape: int) -> jax.Array:
    return jax.random.normal(jax.random.key(len(shape)), shape, jnp.float64)


def assert_close(found: object, expected: object) -> None:
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-12), found, expected)


@pytest.mark.parametrize("name", BATCHES)
def test_values_and_derivatives_are_those_of_a_matrix_product(name: str):
    """...the first in both modes, the second, and those of weights that a batch shares."""
    over_batch, shape = BATCHES[name]
    rows, weights = drawn(*shape), drawn(3, 4)
    ours, theirs = over_batch(product), over_batch(jnp.matmul)
    loss = lambda f: lambda *arrays: jnp.sin(f(*arrays)).sum()
    assert_close(ours(rows, weights), theirs(rows, weights))
    for derivative in (jax.grad, jax.jacfwd, jax.hessian):
        both = [jax.jit(derivative(loss(f), (0, 1)))(rows, weights) for f in (ours, theirs)]
        assert_close(*both)


def test_networks_with_weights_of_their_own():
    rows, weights = drawn(5, 7, 3), drawn(2, 5, 3, 4)
    for axes, ours in (((0, 0), weights[0]), ((0, 2), jnp.moveaxis(weights[0], 0, 2))):
        found = jax.vmap(product, axes)(rows, ours)
        assert_close(found, jnp.einsum("btm,bmn->btn", rows, weights[0]))


def test_devices_that_share_weights_share_their_gradient():
    rows, weights = drawn(4, 7, 3), drawn(3, 4)
    mesh = Mesh(jax.devices()[:2], ("batch",))
    across = (jax.P("batch"), jax.P())
    total = jax.shard_map(
        lambda r, w: jax.lax.psum(jnp.sin(product(r, w)).sum(), "batch"),
        mesh=mesh,
        in_specs=across,
        out_specs=jax.P(),
    )
    found = jax.grad(total, (0, 1))(rows, weights)
    assert_close(found, jax.grad(lambda r, w: jnp.sin(r @ w).sum(), (0, 1))(rows, weights))
