"""A network at work: what comes in, what every gate and cell does with it, what comes out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import jax.numpy as jnp
import numpy as np

from lstm_jax.cell.architecture import Architecture
from lstm_jax.cell.parameters import Parameters
from lstm_jax.cell.scan import Activations
from lstm_jax.network.layer import unroll
from lstm_jax.network.outputs import apply
from lstm_jax.plots import style

if TYPE_CHECKING:
    from jax.typing import ArrayLike
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_LINES = 8  # of one panel
MOST_NAMED = 14  # symbols on an axis


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
    """Draws one sequence and, step by step, the network's gates, states and outputs over it.

    Colours tell memory blocks, the same in every panel; dashes tell the cells of a block.

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
      length: how many of the T steps there are; None: all.
      targets: [K], of the last step, or [T, K], of every step; drawn as rings. None: none.
      symbols: the names of the I inputs, as of `symbol_names`; None: their numbers.
      classes: the names of the K outputs, as of `class_names`; None: their numbers.
      title: above the picture.

    Returns:
      The figure.

    Raises:
      ValueError: if names do not fit the network, or an argument of `unroll` is wrong.
    """
    check_names("symbols", symbols, architecture.num_inputs)
    check_names("classes", classes, architecture.num_outputs)
    steps = jnp.asarray(inputs)[:length]
    activations, _ = unroll(architecture, parameters, steps)
    outputs, _ = apply(architecture, parameters, steps)
    assert activations is not None
    panels = _panels(architecture, activations)
    figure, places = style.new_figure(
        9.5,
        2.8 + 1.3 * len(panels),
        rows=len(panels) + 2,
        sharex=True,
        height_ratios=(1.5, *[1] * len(panels), 1.2),
    )
    places[0].set_title(title)
    _draw_inputs(
        places[0], np.asarray(steps), symbols or list(map(str, range(architecture.num_inputs)))
    )
    for axes, (name, values, units) in zip(places[1:-1], panels, strict=True):
        _draw_lines(axes, values, units)
        axes.set_ylabel(name)
    names = classes or [f"output {k}" for k in range(architecture.num_outputs)]
    _draw_outputs(places[-1], np.asarray(outputs), names, targets)
    places[-1].set_xlabel("step")
    figure.align_ylabels(places)
    return figure


def check_names(argument: str, names: Sequence[str] | None, number: int) -> None:
    """Raises ValueError if names are given that are not one a unit."""
    if names is not None and len(names) != number:
        raise ValueError(f"{argument} must hold {number} names, got {len(names)}")


Unit = tuple[str, style.Options]  # its name, and how its line is drawn


def _panels(
    architecture: Architecture, activations: Activations
) -> list[tuple[str, np.ndarray, list]]:
    """Title, values [T, n] and units of every kind of unit that the network has."""
    blocks = [_block(j) for j in range(architecture.num_blocks)]
    cells = [
        _cell(j, number, size)
        for j, size in enumerate(architecture.blocks)
        for number in range(size)
    ]
    hidden = [(f"unit {i + 1}", style.line_style(i)) for i in range(architecture.num_hidden)]
    kinds = (
        ("input\ngates", activations.input_gate, blocks),
        ("forget\ngates", activations.forget_gate, blocks),
        ("output\ngates", activations.output_gate, blocks),
        ("internal\nstates", activations.internal_state, cells),
        ("cell\noutputs", activations.cell_output, cells),
        ("hidden\nunits", activations.hidden, hidden),
    )
    return [
        (name, np.asarray(values), units) for name, values, units in kinds if values is not None
    ]


def _block(j: int) -> Unit:
    return f"block {j + 1}", {"color": style.BLOCKS[j % len(style.BLOCKS)]}


def _cell(j: int, number: int, size: int) -> Unit:
    name, options = _block(j)
    name = name if size == 1 else f"{name}, cell {number + 1}"
    return name, options | {"linestyle": style.CELLS[number % len(style.CELLS)]}


def _draw_inputs(axes: Axes, inputs: np.ndarray, names: Sequence[str]) -> None:
    """Real inputs as lines; symbols as marks, a row each, where they are few by name."""
    axes.set_ylabel("inputs")
    if inputs.ndim == 2:
        units = [(name, style.line_style(i) | {"marker": ""}) for i, name in enumerate(names)]
        _draw_lines(axes, inputs, units)
        return
    axes.plot(np.arange(len(inputs)), inputs, "|", color=style.BLACK, markersize=6)
    rows = range(len(names)) if len(names) <= MOST_NAMED else (0, len(names) - 1)
    axes.set_yticks(list(rows), [names[i] for i in rows], fontsize="small")
    axes.set_ylim(len(names) - 0.5, -0.5)


def _draw_outputs(
    axes: Axes, outputs: np.ndarray, names: Sequence[str], targets: ArrayLike | None
) -> None:
    """Outputs as lines, targets as rings; of a step with many, the ring of the largest."""
    axes.set_ylabel("outputs")
    rings = np.zeros((0, len(names)))
    if targets is not None:
        rings = np.atleast_2d(np.asarray(targets))[: len(outputs)]
    displayed = _most_moving(outputs, rings[-1:].argmax(1).tolist())
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
    _legend(axes)


def _draw_lines(axes: Axes, values: np.ndarray, units: Sequence[Unit]) -> None:
    """[T, n] as lines with a legend; where there are many, those that move most."""
    for i in _most_moving(values):
        name, options = units[i]
        axes.plot(np.arange(len(values)), values[:, i], label=name, **options)
    _legend(axes)


def _most_moving(values: np.ndarray, always: Sequence[int] = ()) -> list[int]:
    """At most `MOST_LINES` columns of [T, n], in order, among them those in `always`."""
    moves = np.ptp(values, axis=0)
    moves[list(always)] = np.inf
    return sorted(np.argsort(-moves, kind="stable")[:MOST_LINES].tolist())


def _legend(axes: Axes) -> None:
    style.add_legend(axes, loc="center left", bbox_to_anchor=(1.0, 0.5), handlelength=2.2)
