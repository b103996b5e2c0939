"""RTRL on task 2a, if an output near its target has no error."""

from __future__ import annotations

import dataclasses

from experiments.claims.base import Settings, compare, draw_comparison
from lstm_jax.baselines.chunker import Chunker
from lstm_jax.baselines.rows import METHODS, ROWS, make_baseline_task, make_training_loop
from lstm_jax.baselines.update_rules import RecurrentPerSequence, RecurrentPerStep
from lstm_jax.network.files import Document
from lstm_jax.training.trials.training_loop import TrainingLoop
from lstm_jax.training.update_rules.base import Vmapped

BASELINES = ("2a-4.rtrl-1", "2a-4.rtrl-4", "2a-4.rtrl-10", "2a-10.rtrl")
RANGES, TOLERANCES = (0.2, 1.0), (0.0, 0.02, 0.2)
MAX_SEQUENCES = 1_000_000


def variants() -> dict[str, TrainingLoop]:
    """The delays and rates of the paper's rows.

    By the range of the initial weights, of which the paper does not tell, and by the tolerance.
    """
    loops = {}
    for row in BASELINES:
        for init_range in RANGES:
            for tolerance in TOLERANCES:
                loop = changed(row, MAX_SEQUENCES, init_range, tolerance)
                task = loop.task
                title = f"p = {task.max_length}, a = {task.hyperparameters.learning_rate:g}"
                loops[f"{title}, |w| < {init_range:g}, tolerance {tolerance:g}"] = loop
    return loops


def changed(row: str, budget: int, init_range: float, tolerance: float) -> TrainingLoop:
    """A rival's row with a budget, a range of initial weights and a tolerance of its own."""
    task = make_baseline_task(row)
    hyperparameters = dataclasses.replace(task.hyperparameters, init_range=init_range)
    task = dataclasses.replace(task, hyperparameters=hyperparameters, max_sequences=budget)
    method = METHODS[ROWS[row].method](task)
    assert isinstance(
        method, (RecurrentPerSequence, RecurrentPerStep, Chunker)
    )  # those that have a tolerance
    method = Vmapped(dataclasses.replace(method, tolerance=tolerance))
    return dataclasses.replace(make_training_loop(row), task=task, update_rule=method)


def run(settings: Settings) -> Document:
    """The trials of every variant."""
    return compare(variants(), settings)


draw = draw_comparison
