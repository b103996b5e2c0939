"""Cases d, e, i and j: one gradient of a big net on a batch of sequences, loss at every step."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.benchmarks import peers
from experiments.benchmarks.measure import (
    OURS,
    BenchmarkPlan,
    Measurement,
    check_close,
    check_gradient,
    measure_call,
    measure_jax,
)
from lstm_jax import Architecture, initialise, unroll
from lstm_jax.cell.parameters import Parameters
from lstm_jax.network.interop import modern
from lstm_jax.network.layer import Gradient, RunOptions
from lstm_jax.training.update_rules.base import AnyModel

Net = tuple[str, Architecture, Gradient]  # the ending of its name, the network, its gradient


class Sizes(NamedTuple):
    """The sizes of a case."""

    steps: int  # T
    batch: int  # B
    inputs: int  # I
    cells: int  # C


SIZES = {"d": Sizes(200, 32, 64, 256), "e": Sizes(1000, 16, 32, 128)}
SIZES |= {"i": SIZES["d"], "j": SIZES["e"]}
QUICK = Sizes(10, 3, 4, 8)


def run(case: str, plan: BenchmarkPlan) -> list[Measurement]:
    """Measure our gradients and the peers'."""
    sizes = QUICK if plan.quick else SIZES[case]
    keys = jax.random.split(jax.random.key(0))
    inputs = jax.random.normal(keys[0], (sizes.steps, sizes.batch, sizes.inputs))
    targets = jax.random.uniform(keys[1], (sizes.steps, sizes.batch, sizes.cells), minval=-1.0)
    found = [_measure_net(plan, net, inputs, targets) for net in _nets(case, sizes)]
    for peer in peers.jax_peers(sizes.inputs, sizes.cells):
        loss = lambda weights, peer=peer: 0.5 * jnp.mean((peer.run(weights, inputs) - targets) ** 2)
        found.append(_measure_gradient(plan, peer.name, loss, peer.weights))
    if plan.with_torch and peers.torch is not None:
        call = peers.layer_gradient(np.asarray(inputs), np.asarray(targets))
        check = "its own autograd, not checked"
        found.append(measure_call(plan, "torch.nn.LSTM", call, check=check))
    return found


def _nets(case: str, sizes: Sizes) -> list[Net]:
    """Return the peers' cell in cases i and j, and the cell of 1997 in d and e.

    Blocks of one cell have as many gates as a peer's cells. Blocks of four share their gates.
    """
    if case in "ij":
        net = modern(sizes.inputs, sizes.cells)
        return [(", modern", net, "truncated"), (", modern", net, "full")]
    single, in_blocks = (
        Architecture(num_inputs=sizes.inputs, blocks=(n,) * (sizes.cells // n), num_outputs=1)
        for n in (1, 4)
    )
    blocks_of_4: Net = (", blocks of 4", in_blocks, "truncated")
    return [("", single, "truncated"), ("", single, "full"), blocks_of_4]


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
    plan: BenchmarkPlan, net: Net, inputs: jax.Array, targets: jax.Array
) -> Measurement:
    ending, architecture, gradient = net
    parameters = initialise(jax.random.key(2), architecture)
    loss = make_loss(architecture, inputs, targets, gradient)
    name, check = f"{OURS} {gradient}{ending}", ""
    if gradient == "truncated":
        reference = make_loss(architecture, inputs, targets, "truncated_autodiff")
        found, expected = (jax.jit(jax.grad(f))(parameters).layer for f in (loss, reference))
        check = check_close("against truncated_autodiff", found, expected, 1e-4)
    return _measure_gradient(plan, name, loss, parameters, check)


def _measure_gradient(
    plan: BenchmarkPlan, name: str, loss: Callable, weights: AnyModel, check: str = ""
) -> Measurement:
    check = check or check_gradient(loss, weights)
    return measure_jax(plan, name, jax.grad(loss), weights, check=check)
