"""The mean activation of every gate at every input symbol."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import jax
import numpy as np

from lstm_jax.cell.architecture import GATES, Architecture
from lstm_jax.cell.parameters import Parameters
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
    """Draw the mean activation of every gate at every symbol as a table of shades and numbers.

    >>> from lstm_jax import initialise
    >>> net = Architecture(num_inputs=3, blocks=(2,), num_outputs=1)
    >>> parameters = initialise(jax.random.key(0), net)
    >>> figure = gates_at_symbols(net, parameters, np.array([[0, 1, 2, 1]]), symbols="abc")
    >>> [label.get_text() for label in figure.axes[0].get_yticklabels()]
    ["block 1's input gate", "block 1's output gate"]

    Args:
      architecture: the network's description; it must have gates.
      parameters: its weights.
      inputs: [B, T] integers, a batch as from `Task.sample_batch`.
      length: [B] integers, the steps before the padding (default: T).
      symbols: names of the I inputs, as from `symbol_names` (default: their numbers).
      title: title of the figure.

    Returns:
      The figure. Symbols that do not occur have no number.

    Raises:
      ValueError: if there are no gates, the inputs are not symbols, or the number of names does
        not fit.
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
    labels = symbols and [style.literal(name) for name in symbols]
    axes.set_xticks(range(architecture.num_inputs), labels)
    axes.set_title(style.literal(title))
    return figure


def _mean_gates(
    architecture: Architecture, parameters: Parameters, inputs: np.ndarray, length: ArrayLike | None
) -> tuple[list[str], np.ndarray]:
    """Return the gates' names and mean activations [gates, I]; NaN where a symbol is absent."""
    lengths = np.full(len(inputs), inputs.shape[1]) if length is None else np.asarray(length)
    activations = jax.vmap(lambda one: unroll(architecture, parameters, one)[0])(inputs)
    is_real = np.arange(inputs.shape[1]) < lengths[:, None]
    is_symbol = inputs[is_real][:, None] == np.arange(architecture.num_inputs)  # [M, I]
    names, values = [], []
    for gate in GATES:
        gates = getattr(activations, gate.activation)
        for j in range(0 if gates is None else architecture.num_blocks):
            names.append(f"block {j + 1}'s {gate.name.replace('_', ' ')}")
            values.append(np.asarray(gates, np.float64)[is_real, j])
    if not names:
        raise ValueError("architecture must have gates, got none")
    count = is_symbol.sum(0)
    sums = np.array(values) @ is_symbol
    return names, np.where(count > 0, sums / np.maximum(count, 1), np.nan)
