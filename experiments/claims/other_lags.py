"""Fixed time constants and the LSTM, trained at one lag and tested at others."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from experiments.claims.base import ClaimOptions, draw_fraction_wrong, measure
from experiments.claims.time_constants import at_lag, lag_task
from lstm_jax.network.files import Document
from lstm_jax.training.trials.runner import TrialRunner
from lstm_jax.training.trials.training_loop import TrainingLoop

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TRAINED_LAG, TESTED_LAGS = 40, (5, 10, 20, 30, 40, 60, 80, 160)


def run(options: ClaimOptions) -> Document:
    """Return the fraction of wrong sequences of every type of net at every lag."""
    return {
        "trained_lag": TRAINED_LAG,
        "tested_lags": TESTED_LAGS,
        "trials": options.trials,
        "variants": measure(at_lag(TRAINED_LAG, TRAINED_LAG), measure_at_lags, options),
    }


def draw(document: Document) -> Figure:
    """Draw the fraction of wrong sequences against the lag, for the types that learned."""
    lines = {
        f"{label}, {of['solved']} solved": of["fraction_wrong"]
        for label, of in document["variants"].items()
        if of["solved"]
    }
    xlabel = f"lag of the tests (trained at {document['trained_lag']})"
    return draw_fraction_wrong(document["tested_lags"], lines, xlabel)


def measure_at_lags(loop: TrainingLoop, options: ClaimOptions) -> Document:
    """Train at one lag and test at `TESTED_LAGS`.

    Returns:
      `solved`, the number of solved trials, and `fraction_wrong`, their mean at every lag; None if
      no trial is solved.
    """
    trials = range(options.trials)
    runner = TrialRunner(loop, trials, seed=options.seed)
    solved = [result.solved for result in runner.run()]
    state, fractions = runner.state(), []
    for lag in TESTED_LAGS:
        other = lag_task(lag, lag)
        task = dataclasses.replace(
            loop.task, name=other.name, max_length=other.max_length, sample=other.sample
        )
        tester = TrialRunner(dataclasses.replace(loop, task=task), trials, seed=options.seed)
        tester.restore(state)
        results = zip(tester.results(), solved, strict=True)
        wrong = [r.test_wrong / r.test_size for r, is_solved in results if is_solved]
        fractions.append(sum(wrong) / len(wrong) if wrong else None)
    return {"solved": sum(solved), "fraction_wrong": fractions}
