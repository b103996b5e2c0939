"""What fixed time constants and the LSTM, trained at one lag, get wrong at others."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from experiments.claims.base import Settings, measure
from experiments.claims.time_constants import at_lag
from experiments.rows import figures as pictures
from lstm_jax.network.files import Document
from lstm_jax.tasks.lag import make as lag_task
from lstm_jax.training.trials.runner import TrialRunner
from lstm_jax.training.trials.training_loop import TrainingLoop

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TRAINED_LAG, TESTED_LAGS = 40, (5, 10, 20, 30, 40, 60, 80, 160)


def run(settings: Settings) -> Document:
    """The fraction of wrong sequences of every kind of net at every lag."""
    return {
        "trained_lag": TRAINED_LAG,
        "tested_lags": TESTED_LAGS,
        "trials": settings.trials,
        "variants": measure(at_lag(TRAINED_LAG, TRAINED_LAG), wrong_at_other_lags, settings),
    }


def draw(document: Document) -> Figure:
    """The fraction of wrong sequences against the lag, of the kinds that learned."""
    lines = {
        f"{label}, {of['solved']} solved": of["fraction_wrong"]
        for label, of in document["variants"].items()
        if of["solved"]
    }
    told = f"lag of the tests (trained at {document['trained_lag']})"
    return pictures.fraction_wrong(document["tested_lags"], lines, told)


def wrong_at_other_lags(loop: TrainingLoop, settings: Settings) -> Document:
    """Trains at one lag and tests what was learned, as it is, at `TESTED_LAGS`.

    Returns:
      `solved`, how many trials were, and `fraction_wrong`, their mean at every lag; None if none.
    """
    trials = range(settings.trials)
    runner = TrialRunner(loop, trials, seed=settings.seed)
    solved = [result.solved for result in runner.run()]
    state, fractions = runner.state(), []
    for lag in TESTED_LAGS:
        there = lag_task(lag, lag)
        task = dataclasses.replace(
            loop.task, name=there.name, max_length=there.max_length, sample=there.sample
        )
        there = dataclasses.replace(loop, task=task)
        tester = TrialRunner(there, trials, seed=settings.seed)
        tester.restore(state)
        wrong = [result.test_wrong / result.test_size for result in tester.results()]
        of_solved = [
            fraction for fraction, is_solved in zip(wrong, solved, strict=True) if is_solved
        ]
        fractions.append(sum(of_solved) / len(of_solved) if of_solved else None)
    return {"solved": sum(solved), "fraction_wrong": fractions}
