"""What becomes of the rivals beyond the paper's rows: variants for `experiments.claims`.

noise           the chunker, as the middle of its sequences becomes random
time-constants  units of fixed time constants, over a lag that is fixed or varies
other-lags      the same, trained at one lag and tested at others
adam            recurrent nets by BPTT and Adam, against the LSTM
"""

from __future__ import annotations

import dataclasses
from typing import Any

import optax

from lstm_jax.method import Lanes
from lstm_jax.recipes import chunk_of, make_recipe
from lstm_jax.rivals.chunker import Chunker, noisy_task
from lstm_jax.rivals.fully_recurrent import RecurrentNet, bptt_gradient
from lstm_jax.rivals.learning import BySequence
from lstm_jax.rivals.time_constants import lag_task
from lstm_jax.tasks import Conditions, StreamRule, Task, make_task
from lstm_jax.training import Learning
from lstm_jax.trials import TrialRunner

NOISE = (0.0, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
CHUNKER_DELAY, CHUNKER_RANGE = 4, 2.0  # where the chunker does learn, see BUILD_NOTES
LAGS = ((10, 10), (40, 40), (2, 40))
SPANS = (1, 10, 40)  # 1 / (1 - τ)
TRAINED_LAG, TESTED_LAGS = 40, (5, 10, 20, 30, 40, 60, 80, 160)
ADAM_RATES = (0.01, 0.001)
ADAM_BUDGETS = (50_000, 100_000)  # sequences a trial: the LSTM's, BPTT's


def noise_levels() -> dict[str, Learning]:
    """The chunker on streams from predictable to random, judged at their last symbol.

    A trial is solved once no more than a quarter of its last 2000 sequences are wrong, as chance
    has a half wrong, and what a random symbol does to its own sequence is not to count.
    """
    learnings = {}
    for noise in NOISE:
        task = noisy_task(noise, CHUNKER_DELAY)
        conditions = Conditions(task.conditions.learning_rate, CHUNKER_RANGE)
        task = dataclasses.replace(
            task,
            architecture=RecurrentNet(CHUNKER_DELAY + 1, 1, CHUNKER_DELAY + 2, "layered"),
            conditions=conditions,
            rule=StreamRule(window=2000, max_wrong=500),
            max_sequences=50_000,
            sequential_construction=False,
        )
        method = Chunker(CHUNKER_DELAY + 1, conditions.learning_rate, conditions.init_range)
        learnings[f"chunker, {noise:.1%} random"] = Learning(task, Lanes(method), chunk=5000)
    return learnings


def time_constants() -> dict[str, Learning]:
    """Three units of one time constant, by BPTT and Adam, and the LSTM of one cell."""
    learnings = {}
    for shortest, longest in LAGS:
        task = lag_task(shortest, longest)
        lag = f"lag {longest}" if shortest == longest else f"lag {shortest} to {longest}"
        learnings[f"{lag}, LSTM"] = make_recipe("paper").learning(task)
        for span in SPANS:
            tau = round(1 - 1 / span, 12)
            net = RecurrentNet(3, 3, 1, "simple", (tau,) * 3, bias=True)
            learnings[f"{lag}, time constants of {span}"] = _by_adam(task, net, 0.01)
    return learnings


def trained_at_one_lag() -> dict[str, Learning]:
    """Those of `time_constants` whose lag is `TRAINED_LAG` alone."""
    lag = f"lag {TRAINED_LAG}, "
    return {
        label.removeprefix(lag): learning
        for label, learning in time_constants().items()
        if label.startswith(lag)
    }


def wrong_at_other_lags(learning: Learning, trials: int, seed: int) -> dict[str, Any]:
    """Trains at one lag and tests what was learned, as it is, at `TESTED_LAGS`.

    Returns:
      `solved`, how many trials were, and `fraction_wrong`, their mean at every lag; None if none.
    """
    runner = TrialRunner(learning, range(trials), seed=seed)
    solved = [result.solved for result in runner.run()]
    fractions = []
    for lag in TESTED_LAGS:
        there = lag_task(lag, lag)
        task = dataclasses.replace(
            learning.task, name=there.name, max_length=there.max_length, sample=there.sample
        )
        tester = TrialRunner(dataclasses.replace(learning, task=task), range(trials), seed=seed)
        tester.restore(runner.state())
        wrong = [result.test_wrong / result.test_size for result in tester.results()]
        of_solved = [
            fraction for fraction, is_solved in zip(wrong, solved, strict=True) if is_solved
        ]
        fractions.append(sum(of_solved) / len(of_solved) if of_solved else None)
    return {"solved": sum(solved), "fraction_wrong": fractions}


def adam() -> dict[str, Learning]:
    """Fully recurrent nets of about as many weights as the LSTM, by BPTT with a modern optimiser.

    The LSTM's trials have 50,000 sequences, BPTT's 100,000, which take longer; the file has both
    wall times.
    """
    nets = {
        "3a-100-3": RecurrentNet(1, 8, 1, "full", bias=True),
        "6a": RecurrentNet(8, 5, 4, "full", bias=True),
    }
    learnings = {}
    for row, net in nets.items():
        task = make_task(row)
        shorter, longer = (dataclasses.replace(task, max_sequences=n) for n in ADAM_BUDGETS)
        learnings[f"{row}, LSTM"] = make_recipe("paper").learning(shorter)
        for rate in ADAM_RATES:
            learnings[f"{row}, BPTT by Adam at {rate:g}"] = _by_adam(longer, net, rate)
    return learnings


def by_bptt(
    task: Task, net: RecurrentNet, conditions: Conditions, optimiser: optax.GradientTransformation
) -> Learning:
    """The task learned by BPTT through a recurrent net."""
    task = dataclasses.replace(task, architecture=net, conditions=conditions)
    return Learning(task, Lanes(BySequence(task, optimiser, bptt_gradient)), chunk_of(task))


def _by_adam(task: Task, net: RecurrentNet, rate: float) -> Learning:
    return by_bptt(task, net, Conditions(rate, init_range=1.0), optax.adam(rate))
