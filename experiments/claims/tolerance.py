"""RTRL on task 2a, if an output near its target has no error."""

from __future__ import annotations

import dataclasses

from experiments.claims.base import Settings, compare, draw_comparison
from lstm_jax.baselines.chunker import Chunker
from lstm_jax.baselines.update_rules import BySequence, ByStep
from lstm_jax.baselines.rows import METHODS, ROWS, make_learning, make_rival_task
from lstm_jax.training.trials.training_loop import Learning
from lstm_jax.training.update_rules.base import Lanes
from lstm_jax.training.runs.result_file import Document

RIVALS = ("2a-4.rtrl-1", "2a-4.rtrl-4", "2a-4.rtrl-10", "2a-10.rtrl")
RANGES, TOLERANCES = (0.2, 1.0), (0.0, 0.02, 0.2)
MAX_SEQUENCES = 1_000_000


def variants() -> dict[str, Learning]:
    """The delays and rates of the paper's rows.

    By the range of the initial weights, of which the paper does not tell, and by the tolerance.
    """
    learnings = {}
    for row in RIVALS:
        for init_range in RANGES:
            for tolerance in TOLERANCES:
                learning = changed(row, MAX_SEQUENCES, init_range, tolerance)
                task = learning.task
                title = f"p = {task.max_length}, a = {task.conditions.learning_rate:g}"
                learnings[f"{title}, |w| < {init_range:g}, tolerance {tolerance:g}"] = learning
    return learnings


def changed(row: str, budget: int, init_range: float, tolerance: float) -> Learning:
    """A rival's row with a budget, a range of initial weights and a tolerance of its own."""
    task = make_rival_task(row)
    conditions = dataclasses.replace(task.conditions, init_range=init_range)
    task = dataclasses.replace(task, conditions=conditions, max_sequences=budget)
    method = METHODS[ROWS[row].method](task)
    assert isinstance(method, (BySequence, ByStep, Chunker))  # those that have a tolerance
    method = Lanes(dataclasses.replace(method, tolerance=tolerance))
    return dataclasses.replace(make_learning(row), task=task, method=method)


def run(settings: Settings) -> Document:
    """The trials of every variant."""
    return compare(variants(), settings)


draw = draw_comparison
