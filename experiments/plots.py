"""Pictures of results."""

from __future__ import annotations

import io
import pathlib
from typing import Any

from lstm_jax.results import write_atomically


def learning_curves(document: dict[str, Any], path: pathlib.Path) -> None:
    """Draws the training error of every trial of a row, and the paper's mean beside ours."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    for trial in document["trials"]:
        sequences, errors = zip(*[(p[0], p[1]) for p in trial["curve"]], strict=True)
        colour = "tab:blue" if trial["solved"] else "tab:gray"
        axes.plot(sequences, errors, color=colour, linewidth=0.8, alpha=0.7)
        if trial["solved"]:
            axes.plot(sequences[-1], errors[-1], "o", color=colour, markersize=3)
    summary, published = document["summary"], document["published"]
    if summary["mean_sequences"]:
        ours = f"mean of {summary['solved']} solved: {summary['mean_sequences']:,.0f}"
        axes.axvline(summary["mean_sequences"], color="tab:blue", linestyle="--", label=ours)
    if published["mean_sequences"]:
        theirs = f"paper: {published['mean_sequences']:,.0f}"
        axes.axvline(published["mean_sequences"], color="tab:red", linestyle=":", label=theirs)
    axes.set(
        title=f"{document['task']}: {document['title']} ({document['recipe']})",
        xlabel="training sequences",
        ylabel="mean absolute training error",
        ylim=(0, None),
        xlim=(0, None),
    )
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    if axes.get_legend_handles_labels()[0]:  # neither a solved trial nor a published mean: none
        axes.legend(frameon=False)
    _save(figure, path)


def _save(figure: Any, path: pathlib.Path) -> None:
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=120)
    write_atomically(path, content.getvalue())
