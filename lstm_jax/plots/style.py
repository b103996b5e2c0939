"""Colours, fonts and helpers shared by all figures."""

from __future__ import annotations

import functools
import io
import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lstm_jax.network.writing import write_atomically

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# The colour-blind safe palette of Okabe & Ito (2008), without yellow, which is too light for lines.
BLUE, VERMILION, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
ORANGE, SKY, BLACK, GREY = "#E69F00", "#56B4E9", "#000000", "#BBBBBB"

OURS, PAPER, FAILED = BLUE, VERMILION, GREY  # our trials, the paper's numbers, unsolved trials
BLOCKS = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY)  # memory blocks
CELLS = ("-", "--", ":", "-.")  # the cells of a block
OUTPUTS = (BLACK, ORANGE, SKY, GREEN, PURPLE, BLUE, VERMILION, GREY)  # output units
LINES = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, BLACK, GREY)  # all other comparisons
MARKERS = "osD^vPX*"

Option = Any  # the value of a keyword argument of Matplotlib
Options = dict[str, Option]

DPI = 120
_RC: Option = {
    "axes.grid": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": "medium",
    "font.size": 10,
    "grid.alpha": 0.25,
    "lines.linewidth": 1.3,
}


def line_style(number: int) -> Options:
    """Return colour, marker and dashes of the line with this number, from 0."""
    turn, index = divmod(number, len(LINES))
    return {
        "color": LINES[index],
        "marker": MARKERS[index],
        "linestyle": CELLS[turn % len(CELLS)],
        "markersize": 4,
    }


def new_figure(
    width: float, height: float, rows: int = 1, columns: int = 1, **options: Option
) -> tuple[Figure, list[Axes]]:
    """Return a figure, sized in inches, and its axes row by row.

    Further options are passed to `Figure.subplots`.
    """
    import matplotlib

    with matplotlib.rc_context(_RC):
        figure = _figure_class()(figsize=(width, height), layout="constrained", dpi=DPI)
        axes = figure.subplots(rows, columns, squeeze=False, **options)
    return figure, list(axes.flat)


@functools.cache
def _figure_class() -> type[Figure]:
    from matplotlib.figure import Figure

    class NotebookFigure(Figure):
        """A figure that notebooks display without `pyplot`."""

        def _repr_png_(self) -> bytes:
            return as_png(self)

    return NotebookFigure


def literal(text: str) -> str:
    """Return text that Matplotlib draws as written.

    Dollar signs do not start mathematics, and a leading underscore does not hide a legend entry.
    """
    text = text.replace("$", r"\$")
    return f"\N{ZERO WIDTH SPACE}{text}" if text.startswith("_") else text


def add_legend(axes: Axes | Figure, *lines: Sequence, **options: Option) -> None:
    """Add a small legend without a frame to axes or to a whole figure."""
    axes.legend(*lines, **{"fontsize": "small", "frameon": False, **options})


def format_counts(axes: Axes) -> None:
    """Start the x axis at 0 and separate the thousands of its numbers."""
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.set_xlim(0, None)
    axes.locator_params(axis="x", nbins=6)


def as_png(figure: Figure) -> bytes:
    """Return the figure as the content of a PNG file, with a palette of 256 colours."""
    from PIL import Image  # Matplotlib needs it too

    drawn, content = io.BytesIO(), io.BytesIO()
    figure.savefig(drawn, format="png", dpi=DPI)
    with Image.open(drawn) as image:
        image.convert("RGB").quantize().save(content, format="png", optimize=True)
    return content.getvalue()


def save(figure: Figure, path: str | pathlib.Path) -> None:
    """Write a figure to a PNG file atomically.

    >>> import tempfile
    >>> from lstm_jax.plots import error_flow
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(error_flow({"unit": [0.5, 0.25]}), f"{folder}/flow.png")
    ...     pathlib.Path(f"{folder}/flow.png").read_bytes()[1:4]
    b'PNG'

    Args:
      figure: a Matplotlib figure.
      path: the PNG file, which is replaced if it exists.

    Raises:
      FileNotFoundError: if the folder does not exist.
    """
    write_atomically(pathlib.Path(path), as_png(figure))
