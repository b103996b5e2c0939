"""The chunker, as the middle of its sequences becomes random."""

from __future__ import annotations

import dataclasses

from experiments.claims.base import comparison, draw_comparison
from lstm_jax.baselines.chunker import Chunker
from lstm_jax.baselines.fully_recurrent import RecurrentNet
from lstm_jax.tasks import Hyperparameters, StreamRule
from lstm_jax.tasks.noise_free import make_noisy
from lstm_jax.training.trials.training_loop import TrainingLoop
from lstm_jax.training.update_rules.base import Vmapped

NOISE = (0.0, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
DELAY, INIT_RANGE = 4, 2.0  # the chunker learns with these, see BUILD_NOTES


def variants() -> dict[str, TrainingLoop]:
    """Return the chunker on streams from predictable to random.

    A trial is solved when at most a quarter of its last 2000 sequences end in a wrong prediction.
    By chance half of them do; a random symbol may spoil its own sequence.
    """
    return {f"chunker, {noise:.1%} random": with_noise(noise) for noise in NOISE}


def with_noise(noise: float) -> TrainingLoop:
    """Return the chunker's loop for a stream with this fraction of random middle symbols."""
    task = make_noisy(noise, DELAY)
    hyperparameters = Hyperparameters(task.hyperparameters.learning_rate, INIT_RANGE)
    task = dataclasses.replace(
        task,
        architecture=RecurrentNet(DELAY + 1, 1, DELAY + 2, "layered"),
        hyperparameters=hyperparameters,
        rule=StreamRule(window=2000, max_wrong=500),
        max_sequences=50_000,
        sequential_construction=False,
    )
    rule = Chunker(DELAY + 1, hyperparameters.learning_rate, hyperparameters.init_range)
    return TrainingLoop(task, Vmapped(rule), chunk=5000)


run = comparison(variants)
draw = draw_comparison
