"""A network's inputs, gates, states and outputs over one sequence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import jax.numpy as jnp
import numpy as np

from lstm_jax.cell.architecture import Architecture
from lstm_jax.cell.parameters import Parameters
from lstm_jax.cell.scan import Activations
from lstm_jax.network.layer import apply, unroll
from lstm_jax.plots import style

if TYPE_CHECKING:
    from jax.typing import ArrayLike
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAX_LINES = 8  # per panel
MAX_NAMES = 14  # symbols named on an axis

Unit = tuple[str, style.Options]  # name, line style


def network_at_work(
    architecture: Architecture,
    parameters: Parameters,
    inputs: ArrayLike,
    *,
    length: int | None = None,
    targets: ArrayLike | None = None,
    symbols: Sequence[str] | None = None,
    classes: Sequence[str] | None = None,
    title: str = "",
) -> Figure:
    """Draw one sequence and the network's gates, states and outputs at every step.

    A memory block has the same colour in every panel. Dashes distinguish the cells of a block.

    >>> import jax
    >>> from lstm_jax.cell.parameters import initialise
    >>> net = Architecture(num_inputs=3, blocks=(2, 2), num_outputs=1)
    >>> figure = network_at_work(net, initialise(jax.random.key(0), net), [0, 2, 1])
    >>> figure.axes[-1].get_xlabel()
    'step'

    Args:
      architecture: the network's description.
      parameters: its weights.
      inputs: [T, I] floating, or [T] integers for one-hot symbols.
      length: the number of steps to draw (default: T).
      targets: [K] for the last step or [T, K] for every step, drawn as rings (default: none).
      symbols: names of the I inputs, as from `symbol_names` (default: their numbers).
      classes: names of the K outputs, as from `class_names` (default: their numbers).
      title: title of the figure.

    Returns:
      The figure.

    Raises:
      ValueError: if the number of names does not fit, or `unroll` rejects an argument.
    """
    check_names("symbols", symbols, architecture.num_inputs)
    check_names("classes", classes, architecture.num_outputs)
    steps = jnp.asarray(inputs)[:length]
    activations, _ = unroll(architecture, parameters, steps)
    outputs, _ = apply(architecture, parameters, steps)
    panels = _panels(architecture, activations)
    figure, axes = style.new_figure(
        9.5,
        2.8 + 1.3 * len(panels),
        rows=len(panels) + 2,
        sharex=True,
        height_ratios=(1.5, *[1] * len(panels), 1.2),
    )
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
    figure.align_ylabels(axes)
    return figure


def check_names(argument: str, names: Sequence[str] | None, number: int) -> None:
    """Raise ValueError unless there is one name per unit, or none at all."""
    if names is not None and len(names) != number:
        raise ValueError(f"{argument} must hold {number} names, got {len(names)}")


def _panels(
    architecture: Architecture, activations: Activations
) -> list[tuple[str, np.ndarray, list[Unit]]]:
    """Return label, values [T, n] and units for each type of unit in the network."""
    blocks = [(f"block {j + 1}", {"color": _colour(j)}) for j in range(architecture.num_blocks)]
    cells = [
        (
            f"block {j + 1}" if size == 1 else f"block {j + 1}, cell {v + 1}",
            {"color": _colour(j), "linestyle": style.CELLS[v % len(style.CELLS)]},
        )
        for j, size in enumerate(architecture.blocks)
        for v in range(size)
    ]
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


def _colour(block: int) -> str:
    return style.BLOCKS[block % len(style.BLOCKS)]


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
    """Draw [T, n] as lines with a legend; of many, the most variable ones."""
    for i in _most_variable(values):
        name, options = units[i]
        axes.plot(values[:, i], label=style.literal(name), **options)
    _add_legend(axes)


def _most_variable(values: np.ndarray, always: Sequence[int] = ()) -> list[int]:
    """Return up to `MAX_LINES` columns of [T, n], in order, including those in `always`."""
    ranges = np.ptp(values, axis=0)
    ranges[list(always)] = np.inf
    return sorted(np.argsort(-ranges, kind="stable")[:MAX_LINES].tolist())


def _add_legend(axes: Axes) -> None:
    style.add_legend(axes, loc="center left", bbox_to_anchor=(1.0, 0.5), handlelength=2.2)
