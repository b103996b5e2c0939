"""A network's activations: over one sequence, and the mean of its gates at every symbol."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np

from lstm_jax.cell.architecture import Architecture, NetworkWith
from lstm_jax.cell.records import Activations, P
from lstm_jax.cell.units import GATES
from lstm_jax.network.layer import apply, unroll_one
from lstm_jax.plots import style

if TYPE_CHECKING:
    from jax.typing import ArrayLike
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAX_LINES = 8  # per panel
MAX_NAMES = 14  # symbols named on an axis
MAX_ROWS = 4  # of a legend beside a panel
MAX_STEPS = 20  # of a sequence whose steps are all numbered

Unit = tuple[str, style.Options]  # name, line style


def network_at_work(
    architecture: NetworkWith[P],
    parameters: P,
    inputs: ArrayLike,
    *,
    length: int | None = None,
    targets: ArrayLike | None = None,
    symbols: Sequence[str] | None = None,
    classes: Sequence[str] | None = None,
    title: str = "",
    layer: int = -1,
) -> Figure:
    """Draw one sequence and the network's gates, states and outputs at every step.

    A memory block has the same colour in every panel. Dashes distinguish the cells of a block.
    Gates have an axis from 0 to 1.

    >>> from lstm_jax import initialise
    >>> net = Architecture(num_inputs=3, blocks=(2, 2), num_outputs=1)
    >>> figure = network_at_work(net, initialise(jax.random.key(0), net), [0, 2, 1])
    >>> figure.axes[-1].get_xlabel()
    'step'

    Args:
      architecture: the network, an `Architecture` or a `Stack`.
      parameters: its weights.
      inputs: [T, I] floating, or [T] integers for one-hot symbols.
      length: the number of steps to draw (default: T).
      targets: [K] for the last step or [T, K] for every step, drawn as rings (default: none).
      symbols: names of the I inputs, as from `symbol_names` (default: their numbers).
      classes: names of the K outputs, as from `class_names` (default: their numbers).
      title: title of the figure.
      layer: the layer of a stack that is drawn, 0 for the lowest and -1 for the top one. The blocks
        of a backward direction follow those of the forward one.

    Raises:
      ValueError: if the number of names does not fit, or `unroll` rejects an argument.
    """
    _check_names("symbols", symbols, architecture.num_inputs)
    _check_names("classes", classes, architecture.num_outputs)
    steps = jnp.asarray(inputs)[:length]
    outputs, _ = apply(architecture, parameters, steps)
    panels = _panels(*unroll_one(architecture, parameters, steps, layer))
    rows, ratios = len(panels) + 2, (1.5, *[1] * len(panels), 1.2)
    figure, axes = style.new_figure(9.5, 0.2 + 1.3 * rows, rows, sharex=True, height_ratios=ratios)
    axes[0].set_title(style.literal(title))
    symbols = symbols or [str(i) for i in range(architecture.num_inputs)]
    _draw_inputs(axes[0], np.asarray(steps), symbols)
    for panel, (name, values, units) in zip(axes[1:-1], panels, strict=True):
        _draw_lines(panel, values, units)
        panel.set_ylabel(name)
        if "gates" in name:
            panel.set_ylim(-0.03, 1.03)
    classes = classes or [f"output {k}" for k in range(architecture.num_outputs)]
    _draw_outputs(axes[-1], np.asarray(outputs), classes, targets)
    axes[-1].set_xlabel("step")
    if len(steps) <= MAX_STEPS:
        axes[-1].set_xticks(range(len(steps)))
    figure.align_ylabels(axes)
    return figure


def _check_names(argument: str, names: Sequence[str] | None, number: int) -> None:
    if names is not None and len(names) != number:
        raise ValueError(f"{argument} must hold {number} names, got {len(names)}")


def _panels(
    architecture: Architecture, activations: Activations
) -> list[tuple[str, np.ndarray, list[Unit]]]:
    """Return label, values [T, n] and units for each type of unit in the network."""
    blocks, cells = [], []
    for j, size in enumerate(architecture.blocks):
        block, colour = f"block {j + 1}", style.BLOCKS[j % len(style.BLOCKS)]
        blocks.append((block, {"color": colour}))
        for v in range(size):
            dashes = {"color": colour, "linestyle": style.CELLS[v % len(style.CELLS)]}
            cells.append((block if size == 1 else f"{block}, cell {v + 1}", dashes))
    hidden = [(f"unit {i + 1}", style.line_style(i)) for i in range(architecture.num_hidden)]
    panels = (
        ("input\ngates", activations.input_gate, blocks),
        ("forget\ngates", activations.forget_gate, blocks),
        ("output\ngates", activations.output_gate, blocks),
        ("internal\nstates", activations.internal_state, cells),
        ("cell\noutputs", activations.cell_output, cells),
        ("hidden\nunits", activations.hidden, hidden),
    )
    return [(name, np.asarray(v), units) for name, v, units in panels if v is not None]


def _draw_inputs(axes: Axes, inputs: np.ndarray, names: Sequence[str]) -> None:
    """Draw real inputs as lines, symbols as marks in one row per symbol."""
    axes.set_ylabel("inputs")
    if inputs.ndim == 2:
        units = [(name, style.line_style(i) | {"marker": ""}) for i, name in enumerate(names)]
        _draw_lines(axes, inputs, units)
        return
    axes.plot(inputs, "|", color=style.BLACK, markersize=6)
    rows = range(len(names)) if len(names) <= MAX_NAMES else (0, len(names) - 1)
    axes.set_yticks(list(rows), [style.literal(names[i]) for i in rows], fontsize="small")
    axes.set_ylim(len(names) - 0.5, -0.5)


def _draw_outputs(
    axes: Axes, outputs: np.ndarray, names: Sequence[str], targets: ArrayLike | None
) -> None:
    """Draw outputs as lines and targets as rings; of one step's targets, the largest alone."""
    axes.set_ylabel("outputs")
    rings = np.zeros((0, len(names)))
    if targets is not None:
        rings = np.atleast_2d(np.asarray(targets))[: len(outputs)]
    displayed = _most_variable(outputs, rings[-1:].argmax(1).tolist())
    units: list[Unit] = [
        (names[k], {"color": colour}) for k, colour in zip(displayed, style.OUTPUTS, strict=False)
    ]
    _draw_lines(axes, outputs[:, displayed], units)
    for step, ring in enumerate(rings, start=len(outputs) - len(rings)):
        for k, (_, options) in zip(displayed, units, strict=True):
            if len(rings) == 1 or ring[k] == ring.max():
                axes.plot(step, ring[k], "o", mfc="none", markersize=5, **options)
    if len(rings):
        axes.plot([], [], "o", mfc="none", color=style.GREY, label="target")
    _add_legend(axes)


def _draw_lines(axes: Axes, values: np.ndarray, units: Sequence[Unit]) -> None:
    """Draw [T, n] step by step with a legend; of many, the most variable ones."""
    for i in _most_variable(values):
        name, options = units[i]
        axes.plot(values[:, i], drawstyle="steps-mid", label=style.literal(name), **options)
    _add_legend(axes)


def _most_variable(values: np.ndarray, always: Sequence[int] = ()) -> list[int]:
    """Return up to `MAX_LINES` columns of [T, n], in order, including those in `always`."""
    ranges = np.ptp(values, axis=0)
    ranges[list(always)] = np.inf
    return sorted(np.argsort(-ranges, kind="stable")[:MAX_LINES].tolist())


def _add_legend(axes: Axes) -> None:
    ncols = -(-len(axes.get_legend_handles_labels()[0]) // MAX_ROWS)
    place = {"loc": "center left", "bbox_to_anchor": (1.0, 0.5)}
    style.add_legend(axes, **place, ncols=max(ncols, 1), handlelength=2.2)


def gates_at_symbols(
    architecture: NetworkWith[P],
    parameters: P,
    inputs: ArrayLike,
    length: ArrayLike | None = None,
    *,
    symbols: Sequence[str] | None = None,
    title: str = "",
    layer: int = -1,
) -> Figure:
    """Draw the mean activation of every gate at every symbol as a table of shades and numbers.

    Symbols that do not occur have no number.

    >>> from lstm_jax import initialise
    >>> net = Architecture(num_inputs=3, blocks=(2,), num_outputs=1)
    >>> parameters = initialise(jax.random.key(0), net)
    >>> figure = gates_at_symbols(net, parameters, np.array([[0, 1, 2, 1]]), symbols="abc")
    >>> [label.get_text() for label in figure.axes[0].get_yticklabels()]
    ["block 1's input gate", "block 1's output gate"]

    Args:
      architecture, parameters, symbols, title, layer: as in `network_at_work`.
      inputs: [B, T] integers, a batch as from `Task.sample_batch`.
      length: [B] integers, the steps before the padding (default: T).

    Raises:
      ValueError: if the network has no gates, or an argument has another shape or type.
    """
    inputs = np.asarray(inputs)
    if inputs.ndim != 2 or not np.issubdtype(inputs.dtype, np.integer):
        raise ValueError(f"inputs must be [B, T] integers, got {inputs.dtype} {inputs.shape}")
    _check_names("symbols", symbols, architecture.num_inputs)
    names, means = _mean_gates(architecture, layer, parameters, inputs, length)
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
    architecture: NetworkWith[P],
    layer: int,
    parameters: P,
    inputs: np.ndarray,
    length: ArrayLike | None,
) -> tuple[list[str], np.ndarray]:
    """Return the gates' names and mean activations [gates, I]; NaN where a symbol is absent."""
    lengths = np.full(len(inputs), inputs.shape[1]) if length is None else np.asarray(length)
    run = lambda one: unroll_one(architecture, parameters, one, layer)[1]
    activations = jax.vmap(run)(inputs)
    is_real = np.arange(inputs.shape[1]) < lengths[:, None]
    is_symbol = inputs[is_real][:, None] == np.arange(architecture.num_inputs)  # [M, I]
    names, values = [], []
    for gate in GATES:
        gates = getattr(activations, gate.activation)
        for j in range(0 if gates is None else gates.shape[-1]):
            names.append(f"block {j + 1}'s {gate.name.replace('_', ' ')}")
            values.append(np.asarray(gates, np.float64)[is_real, j])
    if not names:
        raise ValueError("architecture must have gates, got none")
    count = is_symbol.sum(0)
    sums = np.array(values) @ is_symbol
    return names, np.where(count > 0, sums / np.maximum(count, 1), np.nan)
