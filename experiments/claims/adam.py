"""Fully recurrent nets of about as many weights as the LSTM, trained by BPTT and Adam."""

from __future__ import annotations

import dataclasses

from experiments.claims.base import comparison, draw_comparison
from experiments.claims.bptt import with_adam
from lstm_jax.baselines.fully_recurrent import RecurrentNet
from lstm_jax.tasks import make_task
from lstm_jax.training.trials.training_loop import TrainingLoop

NETS = {
    "3a-100-3": RecurrentNet(1, 8, 1, "full", bias=True),
    "6a": RecurrentNet(8, 5, 4, "full", bias=True),
}
LEARNING_RATES = (0.01, 0.001)
MAX_SEQUENCES, MAX_SEQUENCES_BPTT = 50_000, 100_000


def variants() -> dict[str, TrainingLoop]:
    """Return the LSTM with the paper's update rule, and its baselines with Adam."""
    loops = {}
    for row, net in NETS.items():
        task = make_task(row)
        loops[f"{row}, LSTM"] = TrainingLoop(dataclasses.replace(task, max_sequences=MAX_SEQUENCES))
        longer = dataclasses.replace(task, max_sequences=MAX_SEQUENCES_BPTT)
        for rate in LEARNING_RATES:
            loops[f"{row}, BPTT by Adam at {rate:g}"] = with_adam(longer, net, rate)
    return loops


run = comparison(variants)
draw = draw_comparison
