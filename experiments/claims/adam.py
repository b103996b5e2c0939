"""Fully recurrent nets of about as many weights as the LSTM, by BPTT and Adam."""

from __future__ import annotations

import dataclasses

from experiments.claims.base import Settings, by_descent, compare, draw_comparison
from experiments.claims.bptt import by_adam
from lstm_jax.baselines.fully_recurrent import RecurrentNet
from lstm_jax.network.files import Document
from lstm_jax.tasks import make_task
from lstm_jax.training.trials.training_loop import TrainingLoop

NETS = {
    "3a-100-3": RecurrentNet(1, 8, 1, "full", bias=True),
    "6a": RecurrentNet(8, 5, 4, "full", bias=True),
}
RATES = (0.01, 0.001)
BUDGETS = (50_000, 100_000)  # sequences a trial: the LSTM's, BPTT's, which take longer


def variants() -> dict[str, TrainingLoop]:
    """The LSTM by its own rule, its rivals by a modern optimiser; the file has both wall times."""
    loops = {}
    for row, net in NETS.items():
        task = make_task(row)
        shorter, longer = (dataclasses.replace(task, max_sequences=n) for n in BUDGETS)
        loops[f"{row}, LSTM"] = by_descent(shorter)
        for rate in RATES:
            loops[f"{row}, BPTT by Adam at {rate:g}"] = by_adam(longer, net, rate)
    return loops


def run(settings: Settings) -> Document:
    """The trials of every variant."""
    return compare(variants(), settings)


draw = draw_comparison
