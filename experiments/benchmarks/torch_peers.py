"""PyTorch as a peer: its LSTM layer, and the 1997 cell as a loop with `detach`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

try:
    import torch  # pyright: ignore[reportMissingImports]
except ImportError:
    torch = None

from lstm_jax.cell.architecture import Architecture
from lstm_jax.cell.parameters import Parameters


def is_installed() -> bool:
    """Return whether PyTorch is installed."""
    return torch is not None


def layer_gradient(inputs: np.ndarray, targets: np.ndarray) -> Callable[[], Any]:
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
) -> Callable[[], Any]:
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


class Loop1997:
    """The net of task 6a as a PyTorch loop, truncated by `detach`."""

    def __init__(self, architecture: Architecture, parameters: Parameters) -> None:
        sizes = set(architecture.blocks)
        assert len(sizes) == 1 and architecture.biases == "all" and not architecture.num_hidden
        self._size = sizes.pop()
        self._blocks = architecture.num_blocks
        layer = parameters.layer
        units = (layer.input_gate, layer.output_gate, layer.cell)
        arrays = [np.concatenate([unit[i] for unit in units], axis=-1) for i in range(3)]
        arrays += [parameters.output.cell, parameters.output.bias]
        self.weights = [torch.tensor(np.array(a), requires_grad=True) for a in arrays]

    def loss(self, symbols: np.ndarray, target: np.ndarray) -> Any:
        """Return E / 2 at the end of one sequence."""
        into, recurrent, bias, output, output_bias = self.weights
        blocks, size = self._blocks, self._size
        y = torch.zeros(recurrent.shape[0])
        state = torch.zeros(blocks * size)
        y_cell = state
        for symbol in symbols.tolist():
            net = into[symbol] + y.detach() @ recurrent + bias
            gates = torch.sigmoid(net[: 2 * blocks])
            spread = gates.repeat_interleave(size)
            state = state + spread[: blocks * size] * (2 * torch.tanh(net[2 * blocks :] / 2))
            y_cell = spread[blocks * size :] * torch.tanh(state / 2)
            y = torch.cat([gates, y_cell])
        outputs = torch.sigmoid(y_cell @ output + output_bias)
        return 0.5 * (outputs - torch.tensor(np.array(target))).square().sum()

    def gradient(self, symbols: np.ndarray, target: np.ndarray) -> list[np.ndarray]:
        """Return the truncated gradient of input, recurrent, bias and output weights."""
        gradients = torch.autograd.grad(self.loss(symbols, target), self.weights)
        return [gradient.numpy() for gradient in gradients]

    def train(self, symbols: np.ndarray, targets: np.ndarray, rate: float) -> None:
        """Make one update per sequence; symbols [N, T], targets [N, K]."""
        for sequence, target in zip(symbols, targets, strict=True):
            gradients = torch.autograd.grad(self.loss(sequence, target), self.weights)
            with torch.no_grad():
                for weight, gradient in zip(self.weights, gradients, strict=True):
                    weight -= rate * gradient
