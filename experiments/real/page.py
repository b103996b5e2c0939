"""Tables and pictures of the results on real sequences and of transfer."""

from __future__ import annotations

import pathlib

import numpy as np

from experiments.real.models import REFERENCE
from experiments.real.statistics import compare
from experiments.rows import text
from experiments.rows.intervals import Estimate, estimate
from lstm_jax.network.files import Document
from lstm_jax.plots import style
from lstm_jax.training.runs.result_file import read_object


def values_of(document: Document, measure: str) -> dict[str, list[float]]:
    """Return the scores of each network's trials by one measure."""
    return {
        name: [trial["scores"][measure] for trial in network["trials"]]
        for name, network in document["networks"].items()
    }


def table(document: Document) -> str:
    """Return the Markdown table of a result: published figures, baselines, networks."""
    measures = document["measures"]
    lines = []
    for source in ("published", "baselines"):
        for name, scores in document[source].items():
            shown = [show(scores.get(measure)) for measure in measures]
            lines.append(
                [f"{name}, published" if source == "published" else name, "", "", *shown, ""]
            )
    p = compare(values_of(document, measures[0]), REFERENCE)
    for name, network in document["networks"].items():
        estimates = [estimate(values_of(document, measure)[name]) for measure in measures]
        about = str(network["weights"]), f"{network['rate']:g}"
        difference = f"{p[name]:.2g}" if name in p else ""
        lines.append([name, *about, *map(show_estimate, estimates), difference])
    return text.markdown(("method", "weights", "rate", *measures, "p"), lines, "---:")


def note(document: Document) -> str:
    """Return what the table is of: sample, versions, machine and date."""
    return (
        f"{document['trials']} trials of each network, seed {document['seed']}, at most "
        f"{document['epochs']} epochs; mean and 95 % interval over trials; p of the first measure, "
        f"paired with *{REFERENCE}*, corrected for {len(document['networks']) - 1} comparisons. "
        f"{about_machine(document)}\n"
    )


def about_machine(document: Document) -> str:
    """Return version, machine and date of a result."""
    jax, cpu = document["versions"]["jax"], document["machine"]["cpu"]
    return f"JAX {jax}, {cpu}, {document['date']}."


def show(score: float | None) -> str:
    """Return a score with three digits, or a dash."""
    return "-" if score is None else f"{score:.3g}"


def show_estimate(found: Estimate) -> str:
    """Return a mean and its interval."""
    return f"{found.mean:.3g} ({found.low:.3g} to {found.high:.3g})"


def draw(document: Document) -> style.Figure:
    """Draw every trial of every network, and baselines and published figures as lines."""
    measures, networks = document["measures"], list(document["networks"])
    width = 2.2 + 3.2 * len(measures)
    figure, panels = style.new_figure(
        width, 1.6 + 0.4 * len(networks), 1, len(measures), sharey=True
    )
    for axes, measure in zip(panels, measures, strict=True):
        for y, values in enumerate(values_of(document, measure).values()):
            axes.plot(values, [y] * len(values), "o", color=style.OURS, alpha=0.4, mec="none")
            axes.plot(np.mean(values), y, "|", color=style.BLACK, ms=16, mew=2)
        lines = {**document["baselines"], **document["published"]}
        for number, (name, scores) in enumerate(lines.items()):
            if measure in scores:
                colour = style.LINES[1 + number % (len(style.LINES) - 1)]
                axes.axvline(scores[measure], label=name, color=colour, ls="--")
        axes.set_xlabel(measure)
        axes.set_xlim(0, None)
    panels[0].set_yticks(range(len(networks)), networks)
    panels[0].set_ylim(len(networks) - 0.5, -0.5)
    handles, labels = panels[0].get_legend_handles_labels()
    place = {"loc": "outside upper center", "ncols": 3, "title": document["title"]}
    style.add_legend(figure, handles, labels, **place)
    return figure


def ratio(counts: Document) -> Estimate:
    """Estimate the ratio of transfer to scratch, the geometric mean over trials that have both.

    The interval is Student's, of the logarithms.

    >>> ratio({"scratch": [8, 8, 4], "transfer": [2, 2, None]})
    Estimate(mean=0.25, low=0.25, high=0.25)
    """
    pairs = [(a, b) for a, b in zip(counts["scratch"], counts["transfer"], strict=True) if a and b]
    if not pairs:
        return Estimate(np.nan, np.nan, np.nan)
    found = estimate([np.log(after / before) for before, after in pairs])
    return Estimate(*np.exp(found).round(12).tolist())


def transfer_table(document: Document) -> str:
    """Return the Markdown table of what transfer saves, and a note on it."""
    lines = []
    for pair, counts in document["pairs"].items():
        known = [[n for n in counts[net] if n] for net in ("sibling", "scratch", "transfer")]
        means = [f"{len(n)}: {text.show(float(np.mean(n)) if n else None)}" for n in known]
        lines.append([pair, counts["unit"], *means, show_estimate(ratio(counts))])
    titles = ("pair", "unit", "sibling", "from scratch", "from the sibling", "ratio")
    note = (
        f"{document['trials']} trials of each network, seed {document['seed']}; number of trials "
        "that succeeded, and their mean; ratio of the last two, the geometric mean of the trials "
        f"that have both, and its 95 % interval. {about_machine(document)}\n"
    )
    return f"{text.markdown(titles, lines, '---:')}\n{note}"


def draw_transfer(document: Document) -> style.Figure:
    """Draw a line per trial from scratch to transfer, a panel per pair."""
    pairs = document["pairs"]
    figure, panels = style.new_figure(2 + 2.3 * len(pairs), 3.6, 1, len(pairs))
    for axes, (pair, counts) in zip(panels, pairs.items(), strict=True):
        values = np.array([counts["scratch"], counts["transfer"]], float)
        axes.plot([0, 1], values, "o-", color=style.OURS, alpha=0.3, mec="none", lw=0.8)
        axes.plot([0, 1], np.exp(np.nanmean(np.log(values), 1)), "s-", color=style.BLACK, lw=3)
        axes.set_xticks([0, 1], ["from\nscratch", "from the\nsibling"])
        axes.set(xlim=(-0.3, 1.3), yscale="log", ylabel=counts["unit"])
        axes.set_title(f"{pair}\nx {show_estimate(ratio(counts))}")
    return figure


def write_sections(page: str, folder: pathlib.Path) -> str:
    """Return the page with the tables of all results in a folder, each between its marks."""
    for document in map(read_object, sorted(folder.glob("real.*.json"))):
        if "pairs" in document:
            content = transfer_table(document)
            page = text.replace_section(page, "transfer", content)
        if "networks" not in document:
            continue
        content = f"{document['about']}\n\n{table(document)}\n{note(document)}"
        page = text.replace_section(page, document["data"], content)
    return page
