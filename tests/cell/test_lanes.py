"""Lanes and `vmap` give each network's results; the layer's sums and products are exact."""

from __future__ import annotations

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import (
    EVERYTHING,
    Errors,
    Problem,
    assert_close,
    assert_equal,
    make_problem,
    quick_jit,
    random_state,
    with_errors,
)
from jax.sharding import Mesh

from lstm_jax.cell import lanes
from lstm_jax.cell.architecture import Architecture
from lstm_jax.cell.lanes import product
from lstm_jax.cell.scan import Steps
from lstm_jax.network.layer import apply
from lstm_jax.network.losses import half_squared_error
from lstm_jax.network.run import RunOptions

pytestmark = pytest.mark.usefixtures("float64")

WIDE = Architecture(40, (2, 2), 2, num_hidden=30, input_to_output=True)


def results(architecture: Architecture, at: str, gradient: str, problem: Problem) -> tuple:
    """Return outputs, final state, and the gradient by parameters, initial state and inputs."""
    is_float = np.issubdtype(problem.inputs.dtype, np.floating)

    def loss(parameters, initial_state, inputs):
        outputs, final = apply(
            architecture,
            parameters,
            problem.inputs if inputs is None else inputs,
            at=at,
            initial_state=initial_state,
            steps=Steps(mask=problem.mask),
            options=RunOptions(gradient=gradient),
        )
        targets = problem.targets[-1] if at == "end" else problem.targets
        weights = None if at == "end" else problem.weights
        return half_squared_error(outputs, targets, weights), (outputs, final)

    inputs = problem.inputs if is_float else None
    gradient_of = jax.grad(loss, argnums=(0, 1, 2) if is_float else (0, 1), has_aux=True)
    return gradient_of(problem.parameters, problem.initial_state, inputs)


def several(architecture: Architecture, steps: int, errors: Errors = "some", **options):
    """Return three problems without their architecture, and a function that stacks them."""
    made = [
        make_problem(architecture, steps, seed, padding="mask", initial=True, **options)
        for seed in range(3)
    ]
    made = [with_errors(problem, errors)._replace(architecture=None) for problem in made]
    return made, lambda axis: jax.tree.map(lambda *leaves: np.stack(leaves, axis), *made)


@pytest.mark.parametrize(
    "architecture, steps, symbols, at, gradient",
    [
        (EVERYTHING, 1, True, "every_step", "truncated"),
        (EVERYTHING, 50, False, "every_step", "truncated"),
        (EVERYTHING, 50, True, "end", "truncated"),
        (EVERYTHING, 5, False, "every_step", "truncated_autodiff"),
        (EVERYTHING, 5, True, "end", "full"),
        (WIDE, 5, True, "every_step", "truncated"),
        (WIDE, 5, False, "end", "truncated"),
    ],
)
def test_lanes_equal_networks_run_one_by_one(architecture, steps, symbols, at, gradient):
    made, stack = several(architecture, steps, symbols=symbols)
    run = quick_jit(functools.partial(results, architecture, at, gradient))
    one_by_one = [run(problem) for problem in made]
    expected = jax.tree.map(lambda *leaves: np.stack(leaves, -1), *one_by_one)
    assert_close(run(stack(-1)), expected, 1e-12)


@pytest.mark.parametrize("symbols", [True, False])
def test_lanes_of_no_steps(symbols: bool):
    run = quick_jit(functools.partial(results, EVERYTHING, "every_step", "truncated"))
    _, stack = several(EVERYTHING, 0, symbols=symbols)
    gradient, (outputs, final) = run(stack(-1))
    assert outputs.shape == (0, 2, 3)
    assert_equal(final, stack(-1).initial_state)
    assert_equal(gradient, jax.tree.map(np.zeros_like, gradient))


@pytest.mark.parametrize("at", ["every_step", "end"])
def test_a_lane_does_not_depend_on_the_others(at: str):
    _, stack = several(EVERYTHING, 50)
    run = jax.jit(functools.partial(results, EVERYTHING, at, "truncated"))
    stacked = stack(-1)

    def spoil(leaf: np.ndarray) -> np.ndarray:
        spoiled = leaf.copy()
        spoiled[..., 0] = np.nan if leaf.dtype == np.float64 else ~leaf[..., 0]
        spoiled[..., 2] = leaf[..., 0]
        return spoiled

    expected = jax.tree.map(lambda leaf: leaf[..., 1], run(stacked))
    assert_equal(
        jax.tree.map(lambda leaf: leaf[..., 1], run(jax.tree.map(spoil, stacked))), expected
    )
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(expected))


@pytest.mark.parametrize("shared", [True, False], ids=["shared-weights", "weights-per-network"])
@pytest.mark.parametrize("symbols", [True, False])
def test_vmap_equals_networks_run_one_by_one(shared: bool, symbols: bool):
    made, stack = several(EVERYTHING, 6, symbols=symbols)
    axes, stacked = Problem(*[0] * 7), stack(0)
    if shared:
        first = made[0].parameters
        made = [problem._replace(parameters=first) for problem in made]
        axes, stacked = axes._replace(parameters=None), stacked._replace(parameters=first)
    run = functools.partial(results, EVERYTHING, "every_step", "truncated")
    one_by_one = [quick_jit(run)(problem) for problem in made]
    expected = jax.tree.map(lambda *leaves: np.stack(leaves), *one_by_one)
    assert_close(quick_jit(jax.vmap(run, in_axes=(axes,)))(stacked), expected, 1e-12)


def test_length_and_initial_state_per_lane():
    _, stack = several(EVERYTHING, 6)
    stacked, lengths = stack(-1), np.array([6, 0, 3])
    run = quick_jit(functools.partial(apply, EVERYTHING))
    arguments = (stacked.parameters, stacked.inputs)
    state = jax.tree.map(lambda x: np.stack([x] * 3, -1), random_state(EVERYTHING))
    found = run(*arguments, initial_state=state, steps=Steps(length=lengths))
    mask = np.arange(6)[:, None] < lengths
    assert_equal(found, run(*arguments, initial_state=state, steps=Steps(mask=mask)))
    assert_equal(jax.tree.map(lambda leaf: leaf[..., 1], found[1]), random_state(EVERYTHING))
    of_length = lambda length: run(*arguments, steps=Steps(length=length))
    assert_equal(of_length(4), of_length(np.full(3, 4)))


@pytest.mark.parametrize("steps", [0, 1, 2, 15, 16, 17, 31, 33, 1000, 1025])
@pytest.mark.parametrize("shape", [(), (2,), (2, 3), (2, 3, 2)])
def test_sums_over_time(steps: int, shape: tuple[int, ...]):
    terms = np.random.default_rng(steps).normal(size=(steps, *shape))
    np.testing.assert_allclose(lanes.sum_over_time(terms), terms.sum(0), atol=1e-12)


@pytest.mark.parametrize("sources", [1, 32, 33])
@pytest.mark.parametrize("lane_shape", [(), (3,), (2, 3)])
def test_sums_over_sources(sources: int, lane_shape: tuple[int, ...]):
    rng = np.random.default_rng(sources)
    weights, rows = (rng.normal(size=(sources, n, *lane_shape)) for n in (2, 5))
    rows, deltas = rows.swapaxes(0, 1), rng.normal(size=(5, 2, *lane_shape))
    letters = "xy"[: len(lane_shape)]
    over_time = np.einsum(f"mn{letters},tm{letters}->tn{letters}", weights, rows)
    outer = np.einsum(f"tm{letters},tn{letters}->mn{letters}", rows, deltas)
    at_once = lanes.weighted_sum(weights, [rows[0, :1], rows[0, 1:]])
    np.testing.assert_allclose(at_once, over_time[0], atol=1e-13)
    np.testing.assert_allclose(lanes.weighted_sum_over_time(weights, rows), over_time, atol=1e-13)
    np.testing.assert_allclose(lanes.outer_sum_over_time(rows, deltas), outer, atol=1e-13)


BATCHES: dict[str, tuple[Callable, tuple[int, ...]]] = {
    "one step": (lambda f: f, (3,)),
    "a sequence": (lambda f: f, (7, 3)),
    "a batch of steps": (lambda f: jax.vmap(f, (0, None)), (5, 3)),
    "a batch in front": (lambda f: jax.vmap(f, (0, None)), (5, 7, 3)),
    "a batch after time": (lambda f: jax.vmap(f, (1, None)), (7, 5, 3)),
    "batches of batches": (lambda f: jax.vmap(jax.vmap(f, (2, None)), (0, None)), (2, 7, 3, 5)),
}


def drawn(*shape: int) -> jax.Array:
    return jax.random.normal(jax.random.key(len(shape)), shape, jnp.float64)


@pytest.mark.parametrize("name", BATCHES)
def test_product_has_the_values_and_derivatives_of_matmul(name: str):
    over_batch, shape = BATCHES[name]
    rows, weights = drawn(*shape), drawn(3, 4)
    ours, theirs = over_batch(product), over_batch(jnp.matmul)
    loss = lambda f: lambda *arrays: jnp.sin(f(*arrays)).sum()
    assert_close(ours(rows, weights), theirs(rows, weights), 1e-12)
    for derivative in (jax.grad, jax.jacfwd, jax.hessian):
        both = [jax.jit(derivative(loss(f), (0, 1)))(rows, weights) for f in (ours, theirs)]
        assert_close(*both, 1e-12)


def test_product_with_weights_per_network():
    rows, weights = drawn(5, 7, 3), drawn(2, 5, 3, 4)
    for axes, ours in (((0, 0), weights[0]), ((0, 2), jnp.moveaxis(weights[0], 0, 2))):
        found = jax.vmap(product, axes)(rows, ours)
        assert_close(found, jnp.einsum("btm,bmn->btn", rows, weights[0]), 1e-12)


def test_product_sums_the_gradient_of_shared_weights_over_devices():
    rows, weights = drawn(4, 7, 3), drawn(3, 4)
    mesh = Mesh(jax.devices()[:2], ("batch",))
    across = (jax.P("batch"), jax.P())
    total = jax.shard_map(
        lambda r, w: jax.lax.psum(jnp.sin(product(r, w)).sum(), "batch"),
        mesh=mesh,
        in_specs=across,
        out_specs=jax.P(),
    )
    expected = jax.grad(lambda r, w: jnp.sin(r @ w).sum(), (0, 1))(rows, weights)
    assert_close(jax.grad(total, (0, 1))(rows, weights), expected, 1e-12)
