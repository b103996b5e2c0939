"""Task 2c: sequences until success against the minimal time lag; trains nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from experiments.claims.base import ClaimOptions
from experiments.rows.collection import read_results, task_of
from lstm_jax.network.files import Document
from lstm_jax.plots import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def run(options: ClaimOptions) -> Document:
    """Return the numbers of task 2c in the result files."""
    del options
    rows = []
    for document in read_results():
        if task_of(document["task"]) == "2c":
            lag, symbols = map(int, document["task"].split("-")[1:])
            rows.append(
                {"q": lag, "p": symbols, "recipe": document["recipe"]}
                | {k: document["summary"][k] for k in ("trials", "solved", "mean_sequences")}
                | {"published_mean": document["published"]["mean_sequences"]}
            )
    return {"rows": rows}


def draw(document: Document) -> Figure:
    """Draw the mean sequences of the solved trials, one line per recipe, with the paper's.

    On the left p = q grows; on the right p grows at q = 1000. A percentage is the share of solved
    trials, where it is not all.
    """
    rows = document["rows"]
    figure, panels = style.new_figure(11, 4.5, columns=2, sharey=True)
    _draw_panel(panels[0], "q = p", [row for row in rows if row["q"] == row["p"]])
    _draw_panel(panels[1], "p, with q = 1000", [row for row in rows if row["q"] == 1000])
    panels[0].set_ylabel("training sequences")
    return figure


def _draw_panel(axes: Axes, xlabel: str, rows: list[Document]) -> None:
    learned = [row for row in rows if row["solved"]]
    for i, recipe in enumerate(sorted({row["recipe"] for row in learned})):
        line = style.line_style((0, 2, 3, 4, 5)[i % 5])  # vermilion is the paper's
        points = sorted((r for r in learned if r["recipe"] == recipe), key=lambda r: r["p"])
        means = [row["mean_sequences"] for row in points]
        axes.plot([row["p"] for row in points], means, label=f"ours, {recipe}", **line)
        for row in points:
            if row["solved"] < row["trials"]:
                share: Any = f" {row['solved'] / row['trials']:.0%}"
                xy = (row["p"], row["mean_sequences"])
                axes.annotate(share, xy, fontsize=8, color=line["color"])
    published = {row["p"]: row["published_mean"] for row in rows}
    ticks = sorted(published)
    means = [published[p] for p in ticks]
    axes.plot(ticks, means, "o:", color=style.PAPER, mfc="none", label="the paper's")
    axes.set(xscale="log", yscale="log", xlabel=xlabel)
    axes.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
    axes.minorticks_off()
    style.add_legend(axes)
