"""The chunker, as the middle of its sequences becomes random."""

from __future__ import annotations

import dataclasses

from experiments.claims.base import Settings, compare, draw_comparison
from lstm_jax.baselines.chunker import Chunker
from lstm_jax.baselines.fully_recurrent import RecurrentNet
from lstm_jax.network.files import Document
from lstm_jax.tasks import Hyperparameters, StreamRule
from lstm_jax.tasks.noise_free import make_noisy
from lstm_jax.training.trials.training_loop import TrainingLoop
from lstm_jax.training.update_rules.base import Vmapped

NOISE = (0.0, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
DELAY, INIT_RANGE = 4, 2.0  # where the chunker does learn, see BUILD_NOTES


def variants() -> dict[str, TrainingLoop]:
    """The chunker on streams from predictable to random, judged at their last symbol.

    A trial is solved once no more than a quarter of its last 2000 sequences are wrong, as chance
    has a half wrong, and what a random symbol does to its own sequence is not to count.
    """
    return {f"chunker, {noise:.1%} random": with_noise(noise) for noise in NOISE}


def with_noise(noise: float) -> TrainingLoop:
    """How the chunker learns a stream of which this fraction of the middle symbols is random."""
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
    method = Chunker(DELAY + 1, hyperparameters.learning_rate, hyperparameters.init_range)
    return TrainingLoop(task, Vmapped(method), chunk=5000)


def run(settings: Settings) -> Document:
    """The trials of every variant."""
    return compare(variants(), settings)


draw = draw_comparison
