"""The truncated gradient against the full one, on tasks that are quick with both."""

from __future__ import annotations

from experiments.claims.base import comparison, draw_comparison, with_gradient
from lstm_jax.network.layer import Gradient
from lstm_jax.tasks import make_task
from lstm_jax.training.trials.training_loop import TrainingLoop

ROWS = ("3a-100-3", "3b-100-3", "6a", "2c-50-50")
GRADIENTS: tuple[Gradient, ...] = ("truncated", "full")


def variants() -> dict[str, TrainingLoop]:
    """Return each row with either gradient."""
    return {
        f"{row}, {gradient} gradient": with_gradient(make_task(row), gradient)
        for row in ROWS
        for gradient in GRADIENTS
    }


run = comparison(variants)
draw = draw_comparison
