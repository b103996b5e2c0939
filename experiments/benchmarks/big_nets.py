"""Cases d, e, i and j: one gradient of a big net on a batch of sequences, loss at every step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.benchmarks import torch_peers
from experiments.benchmarks.measure import (
    OURS,
    BenchmarkPlan,
    Measurement,
    check_close,
    check_gradient,
    measure_call,
    measure_jax,
)
from experiments.benchmarks.peers import Peer, jax_peers
from lstm_jax import Architecture, initialise, unroll
from lstm_jax.cell.parameters import Parameters
from lstm_jax.network.interop import modern
from lstm_jax.network.layer import Gradient, RunOptions

UNIT = "gradients"
Net = tuple[str, Architecture, Gradient]  # the ending of its name, the network, its gradient


class Sizes(NamedTuple):
    """The sizes of a case."""

    steps: int  # T
    batch: int  # B
    inputs: int  # I
    cells: int  # C


SIZES = {"d": Sizes(200, 32, 64, 256), "e": Sizes(1000, 16, 32, 128)}
QUICK = Sizes(10, 3, 4, 8)


def run(case: str, plan: BenchmarkPlan) -> list[Measurement]:
    """Measure the truncated and the full gradient, and the peers' gradients.

    Blocks of one cell have as many gates as a peer's cells. Blocks of four share their gates.
    """
    sizes = QUICK if plan.quick else SIZES[case]
    single, in_blocks = (
        Architecture(num_inputs=sizes.inputs, blocks=(n,) * (sizes.cells // n), num_outputs=1)
        for n in (1, 4)
    )
    nets: list[Net] = [
        ("", single, "truncated"),
        ("", single, "full"),
        (", blocks of 4", in_blocks, "truncated"),
    ]
    return _measure(plan, sizes, nets)


def run_modern(case: str, plan: BenchmarkPlan) -> list[Measurement]:
    """Measure the peers' cell with the truncated and the full gradient."""
    sizes = QUICK if plan.quick else SIZES[case]
    net = modern(sizes.inputs, sizes.cells)
    return _measure(plan, sizes, [(", modern", net, "truncated"), (", modern", net, "full")])


def _measure(plan: BenchmarkPlan, sizes: Sizes, nets: Sequence[Net]) -> list[Measurement]:
    keys = jax.random.split(jax.random.key(0))
    inputs = jax.random.normal(keys[0], (sizes.steps, sizes.batch, sizes.inputs))
    targets = jax.random.uniform(keys[1], (sizes.steps, sizes.batch, sizes.cells), minval=-1.0)
    ours = [_measure_net(plan, *net, inputs, targets) for net in nets]
    peers = [
        _measure_peer(plan, peer, inputs, targets) for peer in jax_peers(sizes.inputs, sizes.cells)
    ]
    if plan.with_torch and torch_peers.is_installed():
        call = torch_peers.layer_gradient(np.asarray(inputs), np.asarray(targets))
        check = "its own autograd, not checked"
        peers.append(measure_call(plan, "torch.nn.LSTM", call, work=1, unit=UNIT, check=check))
    return ours + peers


def make_loss(
    net: Architecture, inputs: jax.Array, targets: jax.Array, gradient: Gradient
) -> Callable[[Parameters], jax.Array]:
    """Return the mean squared error of every cell output at every step, for [T, B, ...] data."""

    def run_one(parameters: Parameters, inputs: jax.Array) -> jax.Array:
        activations, _ = unroll(net, parameters, inputs, options=RunOptions(gradient=gradient))
        return activations.cell_output

    over_batch = jax.vmap(run_one, in_axes=(None, 1), out_axes=1)
    return lambda parameters: 0.5 * jnp.mean((over_batch(parameters, inputs) - targets) ** 2)


def _measure_net(
    plan: BenchmarkPlan,
    ending: str,
    net: Architecture,
    gradient: Gradient,
    inputs: jax.Array,
    targets: jax.Array,
) -> Measurement:
    parameters = initialise(jax.random.key(2), net)
    loss = make_loss(net, inputs, targets, gradient)
    found = jax.jit(jax.grad(loss))(parameters)
    if gradient == "truncated":
        reference = make_loss(net, inputs, targets, "truncated_autodiff")
        expected = jax.jit(jax.grad(reference))(parameters)
        check = check_close("against truncated_autodiff", found.layer, expected.layer, 1e-4)
    else:
        check = check_gradient("gradient", loss, parameters, found)
    name = f"{OURS} {gradient}{ending}"
    return measure_jax(plan, name, jax.grad(loss), parameters, work=1, unit=UNIT, check=check)


def _measure_peer(
    plan: BenchmarkPlan, peer: Peer, inputs: jax.Array, targets: jax.Array
) -> Measurement:
    def loss(weights: Any) -> jax.Array:
        return 0.5 * jnp.mean((peer.run(weights, inputs) - targets) ** 2)

    found = jax.jit(jax.grad(loss))(peer.weights)
    check = check_gradient("gradient", loss, peer.weights, found)
    gradient = jax.grad(loss)
    return measure_jax(plan, peer.name, gradient, peer.weights, work=1, unit=UNIT, check=check)
