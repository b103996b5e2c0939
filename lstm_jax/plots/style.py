"""One style for all pictures: colours that the colour-blind tell apart, and what they stand for."""

from __future__ import annotations

import functools
import io
import pathlib
from typing import TYPE_CHECKING, Any

from lstm_jax.network.files import write_atomically

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe & Ito's colours (2008), without the yellow, which is too light for lines.
BLUE, VERMILION, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
ORANGE, SKY, BLACK, GREY = "#E69F00", "#56B4E9", "#000000", "#BBBBBB"

OURS, PAPER, FAILED = BLUE, VERMILION, GREY  # a trial of ours, the paper's number, an unsolved one
BLOCKS = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY)  # memory blocks, in order
CELLS = ("-", "--", ":", "-.")  # the cells of a block, in order
OUTPUTS = (BLACK, ORANGE, SKY, GREEN, PURPLE, BLUE, VERMILION, GREY)  # output units, in order
LINES = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, BLACK, GREY)  # whatever else is compared
MARKERS = "osD^vPX*"

Options = dict[str, Any]  # Matplotlib's, by name

DPI = 120
_SETTINGS: Any = {
    "axes.grid": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": "medium",
    "font.size": 10,
    "grid.alpha": 0.25,
    "lines.linewidth": 1.3,
}


def line_style(number: int) -> Options:
    """Colour, marker and dashes of line `number`, from 0, of those that are compared."""
    turn, place = divmod(number, len(LINES))
    return {
        "color": LINES[place],
        "marker": MARKERS[place],
        "linestyle": CELLS[turn % len(CELLS)],
        "markersize": 4,
    }


def new_figure(
    width: float, height: float, rows: int = 1, columns: int = 1, **options: Any
) -> tuple[Figure, list[Axes]]:
    """A figure in inches and its axes, row by row; options are those of `Figure.subplots`.

    Raises:
      ImportError: if Matplotlib is not installed.
    """
    import matplotlib

    with matplotlib.rc_context(_SETTINGS):
        figure = _figure_class()(figsize=(width, height), layout="constrained", dpi=DPI)
        axes = figure.subplots(rows, columns, squeeze=False, **options)
    return figure, list(axes.flat)


@functools.cache
def _figure_class() -> type[Figure]:
    from matplotlib.figure import Figure

    class Picture(Figure):
        """A figure that notebooks show without `pyplot`."""

        def _repr_png_(self) -> bytes:
            return as_png(self)

    return Picture


def add_legend(place: Axes | Figure, *lines: Any, **options: Any) -> None:
    """A small legend without a frame, of axes or of a whole figure; options are Matplotlib's."""
    place.legend(*lines, **{"fontsize": "small", "frameon": False, **options})


def with_thousands(axes: Axes) -> None:
    """Numbers of sequences on the x axis, from 0, in words that can be read."""
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.set_xlim(0, None)
    axes.locator_params(axis="x", nbins=6)


def as_png(figure: Figure) -> bytes:
    """The figure as the content of a PNG file."""
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=DPI)
    return content.getvalue()


def save(figure: Figure, path: str | pathlib.Path) -> None:
    """Writes a figure as a PNG file, whole or not at all.

    >>> import tempfile
    >>> from lstm_jax.plots import error_flow
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(error_flow({"unit": [0.5, 0.25]}), f"{folder}/flow.png")
    ...     pathlib.Path(f"{folder}/flow.png").read_bytes()[1:4]
    b'PNG'

    Args:
      figure: what the functions of `lstm_jax.plots` return.
      path: of the file, which is replaced if it is there; its folder must be.

    Raises:
      OSError: if it cannot be written.
    """
    write_atomically(pathlib.Path(path), as_png(figure))
