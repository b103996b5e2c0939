"""Cases d, e, i and j: one gradient of a big net on a batch of sequences, loss on every output."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.benchmarks import torch_peers
from experiments.benchmarks.measure import (
    OURS,
    Measurement,
    Plan,
    check_close,
    check_slope,
    measure_call,
    measure_jax,
)
from experiments.benchmarks.peers import Peer, jax_peers
from lstm_jax import Architecture, initialise, unroll
from lstm_jax.cell.parameters import Parameters
from lstm_jax.network.interop import modern
from lstm_jax.network.layer import Gradient, RunOptions

UNIT = "gradients"


class Sizes(NamedTuple):
    """What a case's gradient is of."""

    steps: int  # T
    batch: int  # B
    inputs: int  # I
    cells: int  # C


SIZES = {"d": Sizes(200, 32, 64, 256), "e": Sizes(1000, 16, 32, 128)}
QUICK = Sizes(10, 3, 4, 8)


def run(case: str, plan: Plan) -> list[Measurement]:
    """Measures the truncated and the exact gradient, and the peers' gradients.

    The paper's net has one gate of each kind a block. With blocks of one cell there are as many
    gates as a peer has; blocks of four are what the paper's design is meant for.
    """
    sizes = QUICK if plan.quick else SIZES[case]
    single, in_blocks = (
        Architecture(num_inputs=sizes.inputs, blocks=(n,) * (sizes.cells // n), num_outputs=1)
        for n in (1, 4)
    )
    ours: list[tuple[str, Architecture, Gradient]] = [
        ("", single, "truncated"),
        ("", single, "full"),
        (", blocks of 4", in_blocks, "truncated"),
    ]
    return _measure(plan, sizes, ours)


def run_modern(case: str, plan: Plan) -> list[Measurement]:
    """The same of the cell that the peers have, by the paper's gradient and by theirs."""
    sizes = QUICK if plan.quick else SIZES[case]
    net = modern(sizes.inputs, sizes.cells)
    return _measure(plan, sizes, [(", modern", net, "truncated"), (", modern", net, "full")])


def _measure(
    plan: Plan, sizes: Sizes, nets: Sequence[tuple[str, Architecture, Gradient]]
) -> list[Measurement]:
    """Ours, each with what its name ends in, then the peers."""
    keys = jax.random.split(jax.random.key(0))
    inputs = jax.random.normal(keys[0], (sizes.steps, sizes.batch, sizes.inputs))
    targets = jax.random.uniform(keys[1], (sizes.steps, sizes.batch, sizes.cells), minval=-1.0)
    ours = [_ours(plan, *kind, inputs, targets) for kind in nets]
    peers = [_peer(plan, peer, inputs, targets) for peer in jax_peers(sizes.inputs, sizes.cells)]
    if plan.beside_xla and torch_peers.is_installed():
        call = torch_peers.layer_gradient(np.asarray(inputs), np.asarray(targets))
        check = "its own autograd, not checked"
        peers.append(measure_call(plan, "torch.nn.LSTM", call, work=1, unit=UNIT, check=check))
    return ours + peers


def make_loss(
    net: Architecture, inputs: jax.Array, targets: jax.Array, gradient: Gradient
) -> Callable[[Parameters], jax.Array]:
    """The mean squared error of every cell output at every step, [T, B, ...] data."""

    def run_one(parameters: Parameters, inputs: jax.Array) -> jax.Array:
        activations, _ = unroll(net, parameters, inputs, options=RunOptions(gradient=gradient))
        assert activations is not None
        return activations.cell_output

    over_batch = jax.vmap(run_one, in_axes=(None, 1), out_axes=1)
    return lambda parameters: 0.5 * jnp.mean((over_batch(parameters, inputs) - targets) ** 2)


def _ours(
    plan: Plan,
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
        check = check_slope("gradient", loss, parameters, found)
    name = f"{OURS} {gradient}{ending}"
    return measure_jax(plan, name, jax.grad(loss), parameters, work=1, unit=UNIT, check=check)


def _peer(plan: Plan, peer: Peer, inputs: jax.Array, targets: jax.Array) -> Measurement:
    def loss(weights: Any) -> jax.Array:
        return 0.5 * jnp.mean((peer.run(weights, inputs) - targets) ** 2)

    found = jax.jit(jax.grad(loss))(peer.weights)
    check = check_slope("gradient", loss, peer.weights, found)
    return measure_jax(
        plan, peer.name, jax.grad(loss), peer.weights, work=1, unit=UNIT, check=check
    )
