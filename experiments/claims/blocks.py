"""Memory cell blocks against single cells."""

from __future__ import annotations

import dataclasses

from experiments.claims.base import Settings, by_descent, compare, draw_comparison
from lstm_jax.network.files import Document
from lstm_jax.tasks import make_task
from lstm_jax.training.trials.training_loop import TrainingLoop

SHAPES = ((1,), (2,), (4,), (1, 1), (2, 2), (3, 3), (1, 1, 1), (1, 1, 1, 1))


def variants() -> dict[str, TrainingLoop]:
    """Task 6a by blocks of different sizes, with input gate biases -2, -4, ... as in the paper."""
    task, loops = make_task("6a"), {}
    for blocks in SHAPES:
        architecture = dataclasses.replace(task.architecture, blocks=blocks)
        biases = tuple(-2.0 * (j + 1) for j in range(len(blocks)))
        hyperparameters = dataclasses.replace(task.hyperparameters, input_gate_bias=biases)
        changed = dataclasses.replace(
            task, architecture=architecture, hyperparameters=hyperparameters
        )
        label = f"6a, {len(blocks)} x {blocks[0]} cells, {architecture.num_weights} weights"
        loops[label] = by_descent(changed)
    return loops


def run(settings: Settings) -> Document:
    """The trials of every variant."""
    return compare(variants(), settings)


draw = draw_comparison
