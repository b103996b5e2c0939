"""What opens which gate: how open every gate is, on average, at every input symbol."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import jax
import numpy as np

from lstm_jax.cell.architecture import Architecture
from lstm_jax.cell.parameters import Parameters
from lstm_jax.cell.units import GATES
from lstm_jax.network.layer import unroll
from lstm_jax.plots import style
from lstm_jax.plots.at_work import check_names

if TYPE_CHECKING:
    from jax.typing import ArrayLike
    from matplotlib.figure import Figure


def gates_at_symbols(
    architecture: Architecture,
    parameters: Parameters,
    inputs: ArrayLike,
    length: ArrayLike | None = None,
    *,
    symbols: Sequence[str] | None = None,
    title: str = "",
) -> Figure:
    """Draws the mean activation of every gate at every symbol, as a table in shades and numbers.

    >>> from lstm_jax import initialise
    >>> net = Architecture(num_inputs=3, blocks=(2,), num_outputs=1)
    >>> parameters = initialise(jax.random.key(0), net)
    >>> figure = gates_at_symbols(net, parameters, np.array([[0, 1, 2, 1]]), symbols="abc")
    >>> [label.get_text() for label in figure.axes[0].get_yticklabels()]
    ["block 1's input gate", "block 1's output gate"]

    Args:
      architecture, parameters: the network; it must have gates.
      inputs: [B, T] integers, a batch such as `Task.sample_batch` draws.
      length: [B] integers, the steps before the padding; None: T.
      symbols: the names of the I inputs, as of `symbol_names`; None: their numbers.
      title: above the picture.

    Returns:
      The figure. Symbols that do not occur have no number.

    Raises:
      ValueError: if there are no gates, inputs are no symbols or names do not fit the network.
    """
    inputs = np.asarray(inputs)
    if inputs.ndim != 2 or not np.issubdtype(inputs.dtype, np.integer):
        raise ValueError(f"inputs must be [B, T] integers, got {inputs.dtype} {inputs.shape}")
    check_names("symbols", symbols, architecture.num_inputs)
    names, means = _mean_gates(architecture, parameters, inputs, length)
    figure, (axes,) = style.new_figure(2 + 0.55 * architecture.num_inputs, 1.2 + 0.4 * len(names))
    axes.grid(False)
    axes.imshow(means, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for (row, column), mean in np.ndenumerate(means):
        if np.isfinite(mean):
            colour = "white" if mean > 0.6 else style.BLACK
            axes.text(column, row, f"{mean:.2f}", ha="center", va="center", color=colour)
    axes.set_yticks(range(len(names)), names)
    axes.set_xticks(range(architecture.num_inputs), symbols)
    axes.set_title(title)
    return figure


def _mean_gates(
    architecture: Architecture, parameters: Parameters, inputs: np.ndarray, length: ArrayLike | None
) -> tuple[list[str], np.ndarray]:
    """The gates' names, and their mean activations [gates, I]; NaN where a symbol is absent."""
    lengths = np.full(len(inputs), inputs.shape[1]) if length is None else np.asarray(length)
    run = lambda one: unroll(architecture, parameters, one)[0]
    activations = jax.vmap(run)(inputs)
    is_real = np.arange(inputs.shape[1]) < lengths[:, None]
    at = inputs[is_real][:, None] == np.arange(architecture.num_inputs)  # [M, I]
    names, values = [], []
    for kind in GATES:
        gates = getattr(activations, kind.activity)
        for j in range(0 if gates is None else architecture.num_blocks):
            names.append(f"block {j + 1}'s {kind.name.replace('_', ' ')}")
            values.append(np.asarray(gates, np.float64)[is_real, j])
    if not names:
        raise ValueError("architecture must have gates, got none")
    count = at.sum(0)
    sums = np.array(values) @ at
    return names, np.where(count > 0, sums / np.maximum(count, 1), np.nan)
