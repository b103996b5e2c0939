"""Strongly delayed XOR: the limit of the truncated gradient."""

from __future__ import annotations

from experiments.claims.base import comparison, draw_comparison, with_gradient
from experiments.claims.gradient import GRADIENTS
from lstm_jax.tasks import delayed_xor
from lstm_jax.training.trials.training_loop import TrainingLoop

LENGTHS = (4, 10, 20, 50)
MAX_SEQUENCES = 100_000


def variants() -> dict[str, TrainingLoop]:
    """Return delayed XOR at increasing lengths, with either gradient."""
    return {
        f"XOR, T = {length}, {gradient} gradient": with_gradient(
            delayed_xor.make(length, MAX_SEQUENCES), gradient
        )
        for length in LENGTHS
        for gradient in GRADIENTS
    }


run = comparison(variants)
draw = draw_comparison
