"""RTRL on task 2a, with no error for outputs near their targets."""

from __future__ import annotations

import dataclasses

from experiments.claims.base import comparison, draw_comparison
from lstm_jax.baselines.chunker import Chunker
from lstm_jax.baselines.rows import METHODS, ROWS, make_baseline_task, make_training_loop
from lstm_jax.baselines.update_rules import RecurrentUpdate
from lstm_jax.tasks import replace_hyperparameters
from lstm_jax.training.trials.training_loop import TrainingLoop
from lstm_jax.training.update_rules.base import Vmapped

BASELINES = ("2a-4.rtrl-1", "2a-4.rtrl-4", "2a-4.rtrl-10", "2a-10.rtrl")
INIT_RANGES, TOLERANCES = (0.2, 1.0), (0.0, 0.02, 0.2)
MAX_SEQUENCES = 1_000_000


def variants() -> dict[str, TrainingLoop]:
    """Return the delays and learning rates of the paper's rows, by range and tolerance.

    The paper does not state the range of the initial weights.
    """
    loops = {}
    for row in BASELINES:
        for init_range in INIT_RANGES:
            for tolerance in TOLERANCES:
                loop = with_tolerance(row, MAX_SEQUENCES, init_range, tolerance)
                task = loop.task
                title = f"p = {task.max_length}, a = {task.hyperparameters.learning_rate:g}"
                loops[f"{title}, |w| < {init_range:g}, tolerance {tolerance:g}"] = loop
    return loops


def with_tolerance(
    row: str, max_sequences: int, init_range: float, tolerance: float
) -> TrainingLoop:
    """Return a baseline's loop with another budget, initial range and tolerance."""
    task = replace_hyperparameters(make_baseline_task(row), init_range=init_range)
    task = dataclasses.replace(task, max_sequences=max_sequences)
    rule = METHODS[ROWS[row].method](task)
    assert isinstance(rule, (RecurrentUpdate, Chunker))
    rule = Vmapped(dataclasses.replace(rule, tolerance=tolerance))
    return dataclasses.replace(make_training_loop(row), task=task, update_rule=rule)


run = comparison(variants)
draw = draw_comparison
