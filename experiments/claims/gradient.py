"""The truncated gradient against the full one, on tasks that both can be run on quickly."""

from __future__ import annotations

from experiments.claims.base import Settings, by_descent, compare, draw_comparison
from lstm_jax.network.files import Document
from lstm_jax.network.layer import Gradient
from lstm_jax.tasks import make_task
from lstm_jax.training.trials.training_loop import TrainingLoop

ROWS = ("3a-100-3", "3b-100-3", "6a", "2c-50-50")
GRADIENTS: tuple[Gradient, ...] = ("truncated", "full")


def variants() -> dict[str, TrainingLoop]:
    """Each row by either gradient."""
    return {
        f"{row}, {gradient} gradient": by_descent(make_task(row), gradient)
        for row in ROWS
        for gradient in GRADIENTS
    }


def run(settings: Settings) -> Document:
    """The trials of every variant."""
    return compare(variants(), settings)


draw = draw_comparison
