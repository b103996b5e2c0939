"""The gradient composes with the transformations of JAX; forward mode names its alternatives."""

from __future__ import annotations

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import EVERYTHING, assert_close, make_problem, quick_jit
from jax.sharding import Mesh, PartitionSpec

from lstm_jax.cell.scan import Steps
from lstm_jax.network.layer import apply
from lstm_jax.network.losses import half_squared_error
from lstm_jax.network.run import RunOptions

pytestmark = pytest.mark.usefixtures("float64")

SEQUENCES, STEPS = 4, 5
PROBLEM = make_problem(EVERYTHING, SEQUENCES * STEPS)
INPUTS = PROBLEM.inputs.reshape(SEQUENCES, STEPS, -1)
TARGETS = PROBLEM.targets.reshape(SEQUENCES, STEPS, -1)


def loss(parameters, inputs, targets, gradient: str = "truncated") -> jax.Array:
    """E / 2 of one sequence."""
    return half_squared_error(
        apply(EVERYTHING, parameters, inputs, options=RunOptions(gradient=gradient))[0], targets
    )


def total(parameters, inputs=INPUTS, targets=TARGETS, **options):
    """E / 2 of all sequences, by `vmap`."""
    one = functools.partial(loss, **options)
    return jax.vmap(one, in_axes=(None, 0, 0))(parameters, inputs, targets).sum()


def total_by_scan(parameters, **options) -> jax.Array:
    """The same by `scan`."""
    one = functools.partial(loss, **options)

    def body(sum_so_far, sequence):
        return sum_so_far + one(parameters, *sequence), None

    return jax.lax.scan(body, jnp.zeros(()), (INPUTS, TARGETS))[0]


def total_by_devices(parameters, **options) -> jax.Array:
    """The same by `shard_map`, over all devices."""
    mesh = Mesh(np.array(jax.devices()), ("devices",))

    def on_one_device(parameters, inputs, targets):
        return jax.lax.psum(total(parameters, inputs, targets, **options), "devices")

    split = PartitionSpec("devices")
    return jax.shard_map(
        on_one_device,
        mesh=mesh,
        in_specs=(PartitionSpec(), split, split),
        out_specs=PartitionSpec(),
    )(parameters, INPUTS, TARGETS)


def gradient_inside_scan(parameters):
    """The sum of the sequences' gradients, each taken inside a scan."""

    def body(sum_so_far, sequence):
        return jax.tree.map(jnp.add, sum_so_far, jax.grad(loss)(parameters, *sequence)), None

    zeros = jax.tree.map(jnp.zeros_like, parameters)
    return jax.lax.scan(body, zeros, (INPUTS, TARGETS))[0]


def gradient_inside_devices(parameters):
    """The sum of the devices' gradients, each taken inside a `shard_map`."""
    mesh, split = Mesh(np.array(jax.devices()), ("devices",)), PartitionSpec("devices")
    # The gradient by weights that all devices share is summed over the devices by JAX.
    return jax.shard_map(
        jax.grad(total),
        mesh=mesh,
        in_specs=(PartitionSpec(), split, split),
        out_specs=PartitionSpec(),
    )(parameters, INPUTS, TARGETS)


def sum_of_gradients(parameters):
    """The gradients of all sequences by `vmap`, then summed."""
    all_of_them = jax.vmap(jax.grad(loss), in_axes=(None, 0, 0))(parameters, INPUTS, TARGETS)
    return jax.tree.map(lambda g: g.sum(0), all_of_them)


def vmap_of(gradient: Callable) -> Callable:
    """A gradient under `vmap` over the network and another one."""

    def of_the_first(parameters):
        networks = jax.tree.map(lambda w: jnp.stack([w, -w]), parameters)
        return jax.tree.map(lambda g: g[0], jax.vmap(gradient)(networks))

    return of_the_first


TOTALS = {
    "vmap": total,
    "scan": total_by_scan,
    "remat": jax.checkpoint(total),
    "shard_map": total_by_devices,
}
GRADIENTS = {f"grad of {name}": jax.grad(function) for name, function in TOTALS.items()} | {
    "vmap of grad": sum_of_gradients,
    "grad in scan": gradient_inside_scan,
    "grad in scan in vmap": vmap_of(gradient_inside_scan),
    "vmap of grad of scan": vmap_of(jax.grad(total_by_scan)),
    "grad in shard_map": gradient_inside_devices,
}


@pytest.fixture(scope="module")
def expected():
    one = quick_jit(jax.grad(loss))
    parts = [one(PROBLEM.parameters, *sequence) for sequence in zip(INPUTS, TARGETS, strict=True)]
    return jax.tree.map(lambda *leaves: np.sum(leaves, axis=0), *parts)


@pytest.mark.parametrize("name", GRADIENTS)
def test_every_nesting_gives_the_same_gradient(name: str, expected):
    assert_close(quick_jit(GRADIENTS[name])(PROBLEM.parameters), expected, 1e-12)


def test_and_without_jit():
    arguments = (PROBLEM.parameters, INPUTS[0], TARGETS[0])
    assert_close(jax.grad(loss)(*arguments), quick_jit(jax.grad(loss))(*arguments), 1e-12)


def test_second_call_does_not_trace_again():
    traces = []

    @jax.jit
    def step(parameters, inputs, targets, length):
        traces.append(None)

        def of_prefix(parameters):
            outputs, _ = apply(EVERYTHING, parameters, inputs, steps=Steps(length=length))
            return half_squared_error(outputs, targets)

        return jax.grad(of_prefix)(parameters)

    parameters = PROBLEM.parameters
    for inputs, targets, length in zip(INPUTS, TARGETS, (5, 0, 3, 1), strict=True):
        parameters = step(parameters, inputs, targets, length)
        parameters = jax.tree.map(np.asarray, parameters)
    assert len(traces) == 1


def test_parameters_may_be_constants_of_a_compiled_function():
    run = functools.partial(apply, EVERYTHING, PROBLEM.parameters)
    assert_close(jax.jit(run)(INPUTS[0]), run(INPUTS[0]), 1e-14)


def tangent(function: Callable) -> Callable:
    return lambda parameters: jax.jvp(function, (parameters,), (parameters,))[1]


FORWARD = {
    "jvp": tangent(total),
    "jit of jvp": jax.jit(tangent(total)),
    "jit of jvp of scan": jax.jit(tangent(total_by_scan)),
    "jvp of shard_map": tangent(total_by_devices),
    "vmap of jvp": vmap_of(tangent(total)),
    "linearize": lambda parameters: jax.linearize(total, parameters)[1](parameters),
    "jacfwd": jax.jacfwd(total),
}


@pytest.mark.parametrize("name", FORWARD)
def test_forward_mode_names_its_alternatives(name: str):
    message = 'gradient="truncated" works in reverse mode.*"truncated_autodiff".*"full"'
    with pytest.raises(TypeError, match=message):
        FORWARD[name](PROBLEM.parameters)


@pytest.mark.parametrize(
    "function, gradient",
    [
        (total, "full"),
        (total_by_scan, "truncated_autodiff"),
        (total_by_devices, "truncated_autodiff"),
    ],
)
def test_the_alternatives_have_a_forward_mode(function: Callable, gradient: str):
    function = functools.partial(function, gradient=gradient)
    along = quick_jit(tangent(function))(PROBLEM.parameters)
    gradients = quick_jit(jax.grad(function))(PROBLEM.parameters)
    products = jax.tree.map(lambda w, g: (w * g).sum(), PROBLEM.parameters, gradients)
    assert_close(along, sum(jax.tree.leaves(products)), 1e-12)
