"""The chunker, as the middle of its sequences becomes random."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp

from experiments.claims.base import comparison, draw_comparison
from lstm_jax.baselines.chunker import Chunker
from lstm_jax.baselines.fully_recurrent import RecurrentNet
from lstm_jax.tasks import Hyperparameters, StreamRule, draws, noise_free
from lstm_jax.tasks.task import Example, Published
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
    hyperparameters = Hyperparameters(learning_rate=1.0, init_range=INIT_RANGE)
    task = dataclasses.replace(
        noise_free.make("2b", DELAY),
        name=f"2-noise-{noise:g}-{DELAY}",
        title=f"noise-free to random middle, noise {noise:g}, delay {DELAY}",
        sample=lambda key, _: sample_noisy(key, DELAY, noise),
        published=Published(),
        architecture=RecurrentNet(DELAY + 1, 1, DELAY + 2, "layered"),
        hyperparameters=hyperparameters,
        rule=StreamRule(window=2000, max_wrong=500),
        max_sequences=50_000,
        sequential_construction=False,
    )
    rule = Chunker(DELAY + 1, hyperparameters.learning_rate, hyperparameters.init_range)
    return TrainingLoop(task, Vmapped(rule), chunk=5000)


def sample_noisy(key: jax.Array, delay: int, noise: jax.Array | float) -> Example:
    """Draw a sequence of 2a, each of its middle symbols made random with probability `noise`.

    A random symbol may equal the one that it replaces. At 1 the sequences are those of 2b.
    """
    num_middle = delay - 1
    words = draws.words(key, 1 + 2 * num_middle)
    edge = num_middle + draws.integers(words[:1], 0, 1)
    is_random = draws.uniform(words[1 : 1 + num_middle], 0.0, 1.0) < noise
    random = draws.integers(words[1 + num_middle :], 0, num_middle - 1)
    middle = jnp.where(is_random, random, jnp.arange(num_middle, dtype=jnp.int32))
    return noise_free.predict_next(jnp.concatenate([edge, middle, edge]), delay)


run = comparison(variants)
draw = draw_comparison
