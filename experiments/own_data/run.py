"""Networks on prepared data: their loss, their outputs, and their files."""

from __future__ import annotations

import dataclasses
import json
import pathlib
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

import lstm_jax as lstm
from experiments.own_data.tasks import Loss
from lstm_jax import Architecture, Parameters, RunOptions, Steps
from lstm_jax.data import Batch, batches
from lstm_jax.network.files import Document
from lstm_jax.network.interop import modern

NETWORKS = ("modern", "1997")


def make_network(
    name: str, num_inputs: int, cells: int, num_outputs: int, output: str, seed: int
) -> tuple[Architecture, Parameters]:
    """Return a network of single cells and its initial weights."""
    key, biases = jax.random.key(seed), (1.0,) * cells
    options: Document = {"num_outputs": num_outputs, "output": output, "biases": "all"}
    init_range = cells**-0.5
    if name == "1997":
        net = Architecture(num_inputs, (1,) * cells, **options)
        closed = tuple(np.linspace(-1, -3, cells).tolist())
        return net, lstm.initialise(key, net, init_range=init_range, input_gate_bias=closed)
    net = dataclasses.replace(modern(num_inputs, cells), **options)
    return net, lstm.initialise(key, net, init_range=init_range, forget_gate_bias=biases)


def make_loss(
    net: Architecture, loss: Loss, per_step: bool, gradient: str
) -> Callable[[Parameters, Batch], jax.Array]:
    """Return the mean loss of a batch: of its sequences, or of all their steps."""
    linear, options = lstm.net_inputs_only(net), RunOptions(gradient=gradient)  # pyright: ignore

    def of_batch(parameters: Parameters, batch: Batch) -> jax.Array:
        def of_one(one: Batch) -> jax.Array:
            at, steps = "every_step" if per_step else "end", Steps(length=one.lengths)
            net = lstm.apply(linear, parameters, one.inputs, at=at, steps=steps, options=options)[0]
            is_real = jnp.arange(len(one.inputs), dtype=one.lengths.dtype) < one.lengths
            return loss(net, one.targets, is_real if per_step else None)

        number = batch.lengths.sum() if per_step else len(batch.lengths)
        return jax.vmap(of_one)(batch).sum() / number

    return of_batch


def outputs_of(
    net: Architecture, parameters: Parameters, inputs: list[np.ndarray], per_step: bool
) -> list[np.ndarray]:
    """Return the outputs of every sequence, [K] at its end or [T_i, K]."""
    at = "every_step" if per_step else "end"

    @jax.jit
    def run(inputs: np.ndarray, lengths: np.ndarray) -> jax.Array:
        of_one = lambda x, n: lstm.apply(net, parameters, x, at=at, steps=Steps(length=n))[0]
        return jax.vmap(of_one)(inputs, lengths)

    found = []
    for batch in batches(inputs, size=256):
        outputs = np.asarray(run(batch.inputs, batch.lengths))
        found += [y[:n] if per_step else y for y, n in zip(outputs, batch.lengths, strict=True)]
    return found


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
