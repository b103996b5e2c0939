"""Networks on prepared data: their loss, their outputs, and their files."""

from __future__ import annotations

import dataclasses
import json
import pathlib
from collections.abc import Callable, Sequence
from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

import lstm_jax as lstm
from experiments.own_data.tasks import Loss
from lstm_jax import Architecture, Parameters, RunOptions, Steps
from lstm_jax.data import Batch, batches
from lstm_jax.network.files import Document
from lstm_jax.network.interop import modern
from lstm_jax.network.run import At, Gradient

P = TypeVar("P")
Outputs = Callable[[P, ArrayLike, ArrayLike, At], jax.Array]  # of a sequence and its length

NETWORKS = ("modern", "1997")


def make_architecture(
    name: str, num_inputs: int, cells: int, num_outputs: int, output: str
) -> Architecture:
    """Return a network of single cells, of 1997 or modern."""
    options: Document = {"num_outputs": num_outputs, "output": output, "biases": "all"}
    if name == "1997":
        return Architecture(num_inputs, (1,) * cells, **options)
    return dataclasses.replace(modern(num_inputs, cells), **options)


def draw_weights(key: jax.Array, net: Architecture) -> Parameters:
    """Draw initial weights: forget gates open, input gates nearly closed for the g of 1997."""
    cells = net.num_cells
    closed = np.linspace(-1, -3, cells) if net.cell_input == "centred_2" else None
    opened = np.ones(cells) if net.forget_gates else None
    biases: Document = {"input_gate_bias": closed, "forget_gate_bias": opened}
    return lstm.initialise(key, net, init_range=cells**-0.5, **biases)


def net_inputs_of(net: Architecture, gradient: Gradient) -> Outputs[Parameters]:
    """Return a network as a function, whose gradient may be truncated or not."""
    linear, options = lstm.net_inputs_only(net), RunOptions(gradient)

    def net_inputs(
        parameters: Parameters, inputs: ArrayLike, length: ArrayLike, at: At
    ) -> jax.Array:
        steps = Steps(length=length)
        return lstm.apply(linear, parameters, inputs, at=at, steps=steps, options=options)[0]

    return net_inputs


def make_loss(
    net_inputs: Outputs[P], loss: Loss, per_step: bool
) -> Callable[[P, Batch], jax.Array]:
    """Return the mean loss of a batch: of its sequences, or of all their steps."""
    at = "every_step" if per_step else "end"

    def of_batch(parameters: P, batch: Batch) -> jax.Array:
        def of_one(one: Batch) -> jax.Array:
            net = net_inputs(parameters, one.inputs, one.lengths, at)
            is_real = jnp.arange(len(one.inputs), dtype=one.lengths.dtype) < one.lengths
            return loss(net, one.targets, is_real if per_step else None)

        number = batch.lengths.sum() if per_step else len(batch.lengths)
        return jax.vmap(of_one)(batch).sum() / number

    return of_batch


def make_outputs(
    outputs: Outputs[P], per_step: bool
) -> Callable[[P, Sequence[np.ndarray]], list[np.ndarray]]:
    """Return the function of parameters and sequences whose values are lists of [K] or [T_i, K]."""
    at = "every_step" if per_step else "end"

    @jax.jit
    def run(parameters: P, inputs: np.ndarray, lengths: np.ndarray) -> jax.Array:
        return jax.vmap(lambda x, n: outputs(parameters, x, n, at))(inputs, lengths)

    def of_sequences(parameters: P, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        found = []
        for batch in batches(inputs, size=512):
            of_all = np.asarray(run(parameters, batch.inputs, batch.lengths))
            found += [y[:n] if per_step else y for y, n in zip(of_all, batch.lengths, strict=True)]
        return found

    return of_sequences


def outputs_of(
    net: Architecture, parameters: Parameters, inputs: Sequence[np.ndarray], per_step: bool
) -> list[np.ndarray]:
    """Return the outputs of every sequence, [K] at its end or [T_i, K]."""
    outputs = lambda w, x, n, at: lstm.apply(net, w, x, at=at, steps=Steps(length=n))[0]
    return make_outputs(outputs, per_step)(parameters, inputs)


def read_network(path: pathlib.Path) -> tuple[Architecture, Parameters, Document]:
    """Read a network of `fit`, with what it knows of its data."""
    beside = path.parent / f"{path.stem}.json"
    if path.suffix != ".safetensors" or not path.is_file() or not beside.is_file():
        wanted = "net.safetensors of experiments.fit, with net.json beside it"
        raise ValueError(f"--net must be {wanted}, got {path}")
    try:
        about = json.loads(beside.read_text())["about"]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{beside} is not of experiments.fit: {error!r}") from error
    return *lstm.load(path), about
