"""Units of fixed time constants, over a lag that is fixed or varies, and the LSTM."""

from __future__ import annotations

from experiments.claims.base import comparison, draw_comparison
from experiments.claims.bptt import with_adam
from lstm_jax.baselines.fully_recurrent import RecurrentNet
from lstm_jax.tasks.lag import make as lag_task
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


run = comparison(variants)
draw = draw_comparison
