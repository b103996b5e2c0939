"""Memory cell blocks against single cells."""

from __future__ import annotations

from experiments.claims.base import comparison, draw_comparison
from lstm_jax.tasks import make_task, replace_architecture, replace_hyperparameters
from lstm_jax.training.trials.training_loop import TrainingLoop

SHAPES = ((1,), (2,), (4,), (1, 1), (2, 2), (3, 3), (1, 1, 1), (1, 1, 1, 1))


def variants() -> dict[str, TrainingLoop]:
    """Return task 6a with blocks of different sizes, and input gate biases -2, -4, ..."""
    loops = {}
    for blocks in SHAPES:
        biases = tuple(-2.0 * (j + 1) for j in range(len(blocks)))
        task = replace_architecture(make_task("6a"), blocks=blocks)
        task = replace_hyperparameters(task, input_gate_bias=biases)
        weights = task.architecture.num_weights
        label = f"6a, {len(blocks)} x {blocks[0]} cells, {weights} weights"
        loops[label] = TrainingLoop(task)
    return loops


run = comparison(variants)
draw = draw_comparison
