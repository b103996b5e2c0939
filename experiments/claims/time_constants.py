"""Units of fixed time constants, over a lag that is fixed or varies, and the LSTM."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from experiments.claims.base import comparison, draw_comparison
from experiments.claims.bptt import with_adam
from lstm_jax.baselines.fully_recurrent import RecurrentNet
from lstm_jax.cell.architecture import Architecture
from lstm_jax.tasks import draws
from lstm_jax.tasks.hyperparameters import Hyperparameters
from lstm_jax.tasks.task import Example, StreamRule, Task, within
from lstm_jax.training.trials.training_loop import TrainingLoop

LAGS = ((10, 10), (40, 40), (2, 40))  # shortest, longest
SPANS = (1, 10, 40)  # 1 / (1 - τ)


def variants() -> dict[str, TrainingLoop]:
    """Return every type of net at every range of lags."""
    loops = {}
    for shortest, longest in LAGS:
        lag = f"lag {longest}" if shortest == longest else f"lag {shortest} to {longest}"
        for label, loop in at_lag(shortest, longest).items():
            loops[f"{lag}, {label}"] = loop
    return loops


def at_lag(shortest: int, longest: int) -> dict[str, TrainingLoop]:
    """Return an LSTM of one cell, and three units of one time constant with BPTT and Adam."""
    task = lag_task(shortest, longest)
    loops = {"LSTM": TrainingLoop(task)}
    for span in SPANS:
        tau = round(1 - 1 / span, 12)
        net = RecurrentNet(3, 3, 1, "simple", (tau,) * 3, bias=True)
        loops[f"time constants of {span}"] = with_adam(task, net, 0.01)
    return loops


def lag_task(shortest: int, longest: int) -> Task:
    """Return the task for lags uniform in shortest .. longest, with an LSTM of one cell.

    The one-hot symbols are 0 or 1, then blanks; the target at the end is the first symbol.
    """
    return Task(
        name=f"lag-{shortest}-{longest}",
        title=f"a bit kept for {shortest} to {longest} steps",
        architecture=Architecture(num_inputs=3, blocks=(1,), num_outputs=1, biases="all"),
        error_at="end",
        sample=lambda key, _: _sample_lag(key, shortest, longest),
        is_correct=within(0.3),
        hyperparameters=Hyperparameters(learning_rate=0.5, init_range=0.1, input_gate_bias=(-1.0,)),
        rule=StreamRule(window=2000, max_wrong=0),
        trials=10,
        max_sequences=50_000,
    )


def _sample_lag(key: jax.Array, shortest: int, longest: int) -> Example:
    words = draws.words(key, 2)
    bit = draws.integers(words[0], 0, 1)
    steps = jnp.arange(longest + 1, dtype=jnp.int32)
    target = bit.astype(jnp.float32)[None]
    length = 1 + draws.integers(words[1], shortest, longest)
    return Example(jnp.where(steps == 0, bit, 2), target, target, length)


run = comparison(variants)
draw = draw_comparison
