"""Other libraries' LSTM layers, and the 1997 cell as a PyTorch loop with `detach`.

The layers have forget gates and the full gradient, unlike the paper's cell.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lstm_jax import Architecture, Parameters
from lstm_jax.training.update_rules.base import AnyModel

try:
    import torch  # pyright: ignore[reportMissingImports]
except ImportError:
    torch = None

UNCHECKED = "its own autograd, not checked"


class Peer(NamedTuple):
    """A layer."""

    name: str
    weights: AnyModel
    run: Callable[[AnyModel, jax.Array], jax.Array]  # (weights, [T, B, I]) to [T, B, C]


def jax_peers(num_inputs: int, num_cells: int) -> list[Peer]:
    """Return the layers of haiku, flax and equinox, if they are installed."""
    found = []
    for make in (_haiku, _flax, _equinox):
        with contextlib.suppress(ImportError):
            found.append(make(num_inputs, num_cells))
    return found


def _haiku(num_inputs: int, num_cells: int) -> Peer:
    import haiku as hk  # pyright: ignore[reportMissingImports]

    def unroll(inputs: jax.Array) -> AnyModel:
        core = hk.LSTM(num_cells)
        return hk.dynamic_unroll(core, inputs, core.initial_state(inputs.shape[1]))[0]

    layer = hk.without_apply_rng(hk.transform(unroll))
    weights = layer.init(jax.random.key(0), jnp.zeros((1, 1, num_inputs)))
    return Peer("haiku LSTM", weights, layer.apply)


def _flax(num_inputs: int, num_cells: int) -> Peer:
    from flax import nnx  # pyright: ignore[reportMissingImports]

    cell = nnx.OptimizedLSTMCell(num_inputs, num_cells, rngs=nnx.Rngs(0))
    layer = nnx.RNN(cell, time_major=True)
    graph, weights, others = nnx.split(layer, nnx.Param, ...)

    def run(weights: AnyModel, inputs: jax.Array) -> AnyModel:
        zeros = jnp.zeros((inputs.shape[1], num_cells))
        return nnx.merge(graph, weights, others)(inputs, initial_carry=(zeros, zeros))

    return Peer("flax nnx.RNN", weights, run)


def _equinox(num_inputs: int, num_cells: int) -> Peer:
    import equinox  # pyright: ignore[reportMissingImports]

    cell = equinox.nn.LSTMCell(num_inputs, num_cells, key=jax.random.key(0))
    weights, static = equinox.partition(cell, equinox.is_array)

    def run_one(weights: AnyModel, inputs: jax.Array) -> jax.Array:
        cell = equinox.combine(weights, static)

        def step(state: tuple, x_t: jax.Array) -> tuple[tuple, jax.Array]:
            state = cell(x_t, state)
            return state, state[0]

        zeros = jnp.zeros(num_cells)
        return jax.lax.scan(step, (zeros, zeros), inputs)[1]

    run = jax.vmap(run_one, in_axes=(None, 1), out_axes=1)
    return Peer("equinox LSTMCell", weights, run)


def layer_gradient(inputs: np.ndarray, targets: np.ndarray) -> Callable[[], object]:
    """Return one gradient of torch.nn.LSTM, loss on every output; [T, B, I] and [T, B, C].

    It runs in full float32, on a GPU (cuDNN) if JAX uses one.
    """
    torch.manual_seed(0)
    device = "cuda" if jax.default_backend() == "gpu" else "cpu"
    torch.backends.cudnn.allow_tf32 = False
    layer = torch.nn.LSTM(inputs.shape[-1], targets.shape[-1]).to(device)
    x, y = (torch.tensor(np.array(array)).to(device) for array in (inputs, targets))

    def gradient() -> None:
        layer.zero_grad()
        (0.5 * (layer(x)[0] - y).square().mean()).backward()
        if device == "cuda":
            torch.cuda.synchronize()

    return gradient


def train_layer(
    symbols: np.ndarray, targets: np.ndarray, num_inputs: int, num_cells: int, rate: float
) -> Callable[[], object]:
    """Return online training of torch.nn.LSTM and logistic outputs, for [N, T] and [N, K]."""
    torch.manual_seed(0)
    layer = torch.nn.LSTM(num_inputs, num_cells)
    readout = torch.nn.Linear(num_cells, targets.shape[1])
    parameters = [*layer.parameters(), *readout.parameters()]
    optimiser = torch.optim.SGD(parameters, rate)
    x = torch.nn.functional.one_hot(torch.tensor(symbols).long(), num_inputs).float()
    y = torch.tensor(np.array(targets))

    def train() -> None:
        for sequence, target in zip(x, y, strict=True):
            optimiser.zero_grad()
            outputs = torch.sigmoid(readout(layer(sequence)[0][-1]))
            (0.5 * (outputs - target).square().sum()).backward()
            optimiser.step()

    return train


def train_1997_loop(
    architecture: Architecture,
    parameters: Parameters,
    symbols: np.ndarray,
    targets: np.ndarray,
    rate: float,
) -> tuple[list[np.ndarray], Callable[[], object]]:
    """Return the first sequence's gradient, and online training, of the net of 6a as a loop.

    `detach` truncates the gradient, of the input, recurrent, bias and output weights.
    """
    layer, (size, *_) = parameters.layer, architecture.blocks
    units = (layer.input_gate, layer.output_gate, layer.cell)
    arrays = [np.concatenate([unit[i] for unit in units], axis=-1) for i in range(3)]
    arrays += [parameters.output.cell, parameters.output.bias]
    weights = [torch.tensor(np.array(a), requires_grad=True) for a in arrays]

    def gradient(symbols: np.ndarray, target: np.ndarray) -> tuple:
        into, recurrent, bias, output, output_bias = weights
        num_cells = len(output)
        y = torch.zeros(len(recurrent))
        y_cell = state = torch.zeros(num_cells)
        for symbol in symbols.tolist():
            net = into[symbol] + y.detach() @ recurrent + bias
            gates = torch.sigmoid(net[:-num_cells])
            spread = gates.repeat_interleave(size)
            state = state + spread[:num_cells] * (2 * torch.tanh(net[-num_cells:] / 2))
            y_cell = spread[num_cells:] * torch.tanh(state / 2)
            y = torch.cat([gates, y_cell])
        outputs = torch.sigmoid(y_cell @ output + output_bias)
        loss = 0.5 * (outputs - torch.tensor(np.array(target))).square().sum()
        return torch.autograd.grad(loss, weights)

    def train() -> None:
        for sequence, target in zip(symbols, targets, strict=True):
            gradients = gradient(sequence, target)
            with torch.no_grad():
                for weight, change in zip(weights, gradients, strict=True):
                    weight -= rate * change

    return [array.numpy() for array in gradient(symbols[0], targets[0])], train
