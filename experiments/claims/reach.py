"""How far the first symbol of task 2a reaches, as the rivals and the LSTM learn."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.claims.base import Settings, measure
from experiments.claims.tolerance import changed
from experiments.rows import figures as pictures
from lstm_jax.baselines.chunker import Chunker
from lstm_jax.network.files import Document
from lstm_jax.tasks import make_task
from lstm_jax.training.recipes.recipe import make_recipe
from lstm_jax.training.trials.runner import TrialRunner
from lstm_jax.training.trials.training_loop import TrainingLoop
from lstm_jax.training.update_rules.base import Vmapped, vmap_trials

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NEAR = 0.01  # two outputs that differ by less are the same
PANELS = {
    "reach": "last step that tells the first symbol",
    "last_error": "largest error at the last step",
    "told": "change of C's hidden unit\nby the first symbol",
}


def run(settings: Settings) -> Document:
    """What the nets know of the first symbol, chunk by chunk."""
    return {"trials": settings.trials, "variants": measure(variants(), reach, settings)}


def draw(document: Document) -> Figure:
    """The measures against the training sequences."""
    return pictures.over_training(document["variants"], PANELS)


def variants() -> dict[str, TrainingLoop]:
    """Task 2a with a delay of 100: RTRL for 20,000 sequences, BPTT 50,000, the chunker 100,000."""
    loops = {}
    for title, row, budget, settings in (
        ("RTRL", "2a-100.rtrl", 20_000, [(1.0, 0.0)]),
        ("BPTT", "2a-100.bptt", 50_000, [(1.0, 0.0), (0.2, 0.2)]),
        ("chunker", "2a-100.chunker", 100_000, [(1.0, 0.0), (0.2, 0.0), (0.2, 0.2)]),
    ):
        for init_range, tolerance in settings:
            label = f"{title}, |w| < {init_range:g}, tolerance {tolerance:g}"
            loops[label] = changed(row, budget, init_range, tolerance)
    lstm = dataclasses.replace(make_task("2a"), max_sequences=50_000)
    loops["LSTM (adam)"] = TrainingLoop(make_recipe("adam").apply(lstm))
    return {label: dataclasses.replace(one, chunk=2500) for label, one in loops.items()}


def reach(loop: TrainingLoop, settings: Settings) -> Document:
    """What the nets of task 2a know of a sequence's first symbol, chunk by chunk.

    Returns:
      `sequences`, and for each trial then: `reach`, the last step at which an output depends on
      the first symbol by more than `NEAR`; `last_error`, the largest at the last step, in the worse
      of both sequences. Of the chunker also `c_error`, the same of C's prediction of the last
      symbol; `c_hidden`, the lower value of C's hidden unit after the first symbol; `told`, by how
      much that symbol changes it. `solved`, how many trials were.
    """
    trials = settings.trials
    runner = TrialRunner(loop, range(trials), seed=settings.seed)
    look = jax.jit(lambda model: _look(loop, model, trials))
    found = []
    while not runner.finished:
        runner.run_chunk()
        looks = {
            name: np.round(np.asarray(value, np.float64), 4).tolist()
            for name, value in look(runner.state().trials.model).items()
        }
        found.append({"sequences": runner.num_sequences} | looks)
    solved = sum(result.solved for result in runner.results())
    return {name: [one[name] for one in found] for name in found[0]} | {"solved": solved}


def _look(loop: TrainingLoop, model: Any, trials: int) -> dict[str, jax.Array]:
    """Of the models as they are, see `reach`."""
    batch = loop.task.sample_batch(jax.random.key(0), 32)
    places = [batch.inputs[:, 0].argmin(), batch.inputs[:, 0].argmax()]  # one with x, one with y
    both = [
        jax.tree.map(lambda array, i=i: jnp.repeat(array[i][..., None], trials, -1), batch)
        for i in places
    ]
    targets = jnp.stack([one.targets[-1] for one in both])  # [2, K, R]
    outputs = jnp.stack([loop.update_rule.outputs(model, one) for one in both])  # [2, T, K, R]
    is_told = jnp.abs(outputs[0] - outputs[1]).max(1) > NEAR
    steps = jnp.arange(1, len(is_told) + 1)
    found = {
        "reach": jnp.where(is_told, steps[:, None], 0).max(0),
        "last_error": jnp.abs(outputs[:, -1] - targets).max((0, 1)),
    }
    method = loop.update_rule.rule if isinstance(loop.update_rule, Vmapped) else None
    if isinstance(method, Chunker):
        follow = vmap_trials(lambda pair, one: method.follow(pair, one, train=False)[1])
        courses = [follow(model, one) for one in both]
        predictions = jnp.stack([course.chunker_outputs[-1] for course in courses])
        hidden = jnp.stack([course.chunker_hidden[0] for course in courses])  # [2, R]
        found |= {
            "c_error": jnp.abs(predictions - targets).max((0, 1)),
            "c_hidden": hidden.min(0),
            "told": jnp.abs(hidden[0] - hidden[1]),
        }
    return found
