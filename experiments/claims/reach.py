"""The reach of the first symbol of task 2a, as baselines and the LSTM learn."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp

from experiments.claims.base import ClaimOptions, band, draw_band, measure
from experiments.claims.comparisons import with_tolerance
from lstm_jax.baselines.chunker import Chunker
from lstm_jax.network.files import Document
from lstm_jax.plots import style
from lstm_jax.tasks import make_task
from lstm_jax.training.recipes.recipe import make_recipe
from lstm_jax.training.trials.runner import TrialRunner
from lstm_jax.training.trials.training_loop import TrainingLoop
from lstm_jax.training.update_rules.base import AnyModel, Vmapped, vmap_trials

if TYPE_CHECKING:
    from matplotlib.figure import Figure

THRESHOLD = 0.01  # smaller differences between outputs are ignored
PANELS = {
    "reach": "last step that tells the first symbol",
    "last_error": "largest error at the last step",
    "hidden_change": "change of C's hidden unit\nby the first symbol",
}


def run(options: ClaimOptions) -> Document:
    """Measure the last step at which baselines and the LSTM tell the first symbol of task 2a."""
    return {"trials": options.trials, "variants": measure(variants(), reach, options)}


def draw(document: Document) -> Figure:
    """Draw each measure against the training sequences, one line per variant."""
    figure, panels = style.new_figure(5 * len(PANELS), 5, columns=len(PANELS))
    for axes, (measure_, ylabel) in zip(panels, PANELS.items(), strict=True):
        for i, (label, found) in enumerate(document["variants"].items()):
            if measure_ in found:
                line = style.line_style(i)
                draw_band(axes, found["sequences"], found[measure_], label, line)
        axes.set(xlabel="training sequences", ylabel=ylabel, ylim=(0, None))
        style.format_counts(axes)
    lines = panels[0].get_legend_handles_labels()
    style.add_legend(figure, *lines, loc="outside lower center", ncols=3)
    return figure


def variants() -> dict[str, TrainingLoop]:
    """Return task 2a with a delay of 100, learned by RTRL, BPTT, the chunker and the LSTM."""
    loops = {}
    for title, row, max_sequences, pairs in (
        ("RTRL", "2a-100.rtrl", 20_000, [(1.0, 0.0)]),
        ("BPTT", "2a-100.bptt", 50_000, [(1.0, 0.0), (0.2, 0.2)]),
        ("chunker", "2a-100.chunker", 100_000, [(1.0, 0.0), (0.2, 0.0), (0.2, 0.2)]),
    ):
        for init_range, tolerance in pairs:
            label = f"{title}, |w| < {init_range:g}, tolerance {tolerance:g}"
            loops[label] = with_tolerance(row, max_sequences, init_range, tolerance)
    task = dataclasses.replace(make_task("2a"), max_sequences=50_000)
    loops["LSTM (adam)"] = TrainingLoop(make_recipe("adam").apply(task))
    return {label: dataclasses.replace(loop, chunk=2500) for label, loop in loops.items()}


def reach(loop: TrainingLoop, options: ClaimOptions) -> Document:
    """Measure after each chunk how far the first symbol reaches.

    Returns:
      `solved`, the number of solved trials; `sequences` after each chunk; and the `band` over the
      trials then of the measures of `PANELS`: `reach`, the last step at which an output depends on
      the first symbol by more than `THRESHOLD`; `last_error`, the largest error at the last step
      of two sequences that differ in the first symbol; for the chunker also `hidden_change`.
    """
    runner = TrialRunner(loop, range(options.trials), seed=options.seed)
    look = jax.jit(lambda model: measure_model(loop, model, options.trials))
    sequences, chunks = [], []
    while not runner.finished:
        runner.run_chunk()
        sequences.append(runner.num_sequences)
        chunks.append(jax.device_get(look(runner.state().trials.model)))
    bands = {name: band([chunk[name] for chunk in chunks], 4) for name in chunks[0]}
    solved = sum(result.solved for result in runner.results())
    return {"solved": solved, "sequences": sequences} | bands


def measure_model(loop: TrainingLoop, model: AnyModel, trials: int) -> dict[str, jax.Array]:
    """Return the measures of `reach` for the current model of every trial, each [R]."""
    batch = loop.task.sample_batch(jax.random.key(0), 32)
    first = batch.inputs[:, 0]
    both = [  # one sequence with x, one with y
        jax.tree.map(lambda array, i=i: jnp.repeat(array[i][..., None], trials, -1), batch)
        for i in (first.argmin(), first.argmax())
    ]
    targets = jnp.stack([example.targets[-1] for example in both])  # [2, K, R]
    outputs = jnp.stack([loop.update_rule.outputs(model, example) for example in both])
    is_different = jnp.abs(outputs[0] - outputs[1]).max(1) > THRESHOLD  # [T, R]
    steps = jnp.arange(1, len(is_different) + 1)
    found = {
        "reach": jnp.where(is_different, steps[:, None], 0).max(0),
        "last_error": jnp.abs(outputs[:, -1] - targets).max((0, 1)),
    }
    rule = loop.update_rule.rule if isinstance(loop.update_rule, Vmapped) else None
    if isinstance(rule, Chunker):
        follow = vmap_trials(lambda pair, example: rule.follow(pair, example, train=False)[1])
        x, y = (follow(model, example).chunker_hidden[0] for example in both)
        found["hidden_change"] = jnp.abs(x - y)
    return found
