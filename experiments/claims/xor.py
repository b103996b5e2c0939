"""Strongly delayed XOR: the limit of the truncated gradient."""

from __future__ import annotations

from experiments.claims.base import Settings, by_descent, compare, draw_comparison
from experiments.claims.gradient import GRADIENTS
from lstm_jax.network.files import Document
from lstm_jax.tasks import delayed_xor
from lstm_jax.training.trials.training_loop import TrainingLoop

LENGTHS = (4, 10, 20, 50)
MAX_SEQUENCES = 100_000


def variants() -> dict[str, TrainingLoop]:
    """Delayed XOR at growing lengths, by either gradient."""
    return {
        f"XOR, T = {length}, {gradient} gradient": by_descent(
            delayed_xor.make(length, MAX_SEQUENCES), gradient
        )
        for length in LENGTHS
        for gradient in GRADIENTS
    }


def run(settings: Settings) -> Document:
    """The trials of every variant."""
    return compare(variants(), settings)


draw = draw_comparison
