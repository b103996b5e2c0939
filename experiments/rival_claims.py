"""What becomes of the rivals beyond the paper's rows: variants for `experiments.claims`.

noise           the chunker, as the middle of its sequences becomes random
time-constants  units of fixed time constants, over a lag that is fixed or varies
other-lags      the same, trained at one lag and tested at others
adam            recurrent nets by BPTT and Adam, against the LSTM
tolerance       RTRL on task 2a, if an output near its target has no error
reach           how far the first symbol of task 2a reaches, as the rivals and the LSTM learn
"""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from lstm_jax.rivals.chunker import Chunker, noisy_task
from lstm_jax.rivals.fully_recurrent import RecurrentNet, bptt_gradient
from lstm_jax.rivals.learning import BySequence
from lstm_jax.rivals.rows import METHODS, ROWS, make_learning, make_rival_task
from lstm_jax.rivals.time_constants import lag_task
from lstm_jax.tasks import Conditions, StreamRule, Task, make_task
from lstm_jax.training.learning import Learning
from lstm_jax.training.method import Lanes, over_lanes
from lstm_jax.training.recipes import chunk_of, make_recipe
from lstm_jax.training.trials import TrialRunner

NOISE = (0.0, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
CHUNKER_DELAY, CHUNKER_RANGE = 4, 2.0  # where the chunker does learn, see BUILD_NOTES
LAGS = ((10, 10), (40, 40), (2, 40))
SPANS = (1, 10, 40)  # 1 / (1 - τ)
TRAINED_LAG, TESTED_LAGS = 40, (5, 10, 20, 30, 40, 60, 80, 160)
TOLERANCES = (0.0, 0.02, 0.2)
NEAR = 0.01  # two outputs that differ by less are the same
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
    state, fractions = runner.state(), []
    for lag in TESTED_LAGS:
        there = lag_task(lag, lag)
        task = dataclasses.replace(
            learning.task, name=there.name, max_length=there.max_length, sample=there.sample
        )
        tester = TrialRunner(dataclasses.replace(learning, task=task), range(trials), seed=seed)
        tester.restore(state)
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


def tolerances() -> dict[str, Learning]:
    """RTRL on task 2a at the delays and rates of the paper's rows, within 1,000,000 sequences.

    By the range of the initial weights, of which the paper does not tell, and by the tolerance.
    """
    learnings = {}
    for row in ("2a-4.rtrl-1", "2a-4.rtrl-4", "2a-4.rtrl-10", "2a-10.rtrl"):
        for init_range in (0.2, 1.0):
            for tolerance in TOLERANCES:
                learning = _changed(row, 1_000_000, init_range, tolerance)
                task = learning.task
                title = f"p = {task.max_length}, a = {task.conditions.learning_rate:g}"
                learnings[f"{title}, |w| < {init_range:g}, tolerance {tolerance:g}"] = learning
    return learnings


def reaching() -> dict[str, Learning]:
    """Task 2a with a delay of 100: RTRL for 20,000 sequences, BPTT 50,000, the chunker 100,000."""
    learnings = {}
    for title, row, budget, settings in (
        ("RTRL", "2a-100.rtrl", 20_000, [(1.0, 0.0)]),
        ("BPTT", "2a-100.bptt", 50_000, [(1.0, 0.0), (0.2, 0.2)]),
        ("chunker", "2a-100.chunker", 100_000, [(1.0, 0.0), (0.2, 0.0), (0.2, 0.2)]),
    ):
        for init_range, tolerance in settings:
            label = f"{title}, |w| < {init_range:g}, tolerance {tolerance:g}"
            learnings[label] = _changed(row, budget, init_range, tolerance)
    lstm = dataclasses.replace(make_task("2a"), max_sequences=50_000)
    learnings["LSTM (adam)"] = make_recipe("adam").learning(lstm)
    return {label: dataclasses.replace(one, chunk=2500) for label, one in learnings.items()}


def reach(learning: Learning, trials: int, seed: int) -> dict[str, Any]:
    """What the nets of task 2a know of a sequence's first symbol, chunk by chunk.

    Returns:
      `sequences`, and for each trial then: `reach`, the last step at which an output depends on
      the first symbol by more than `NEAR`; `last_error`, the largest at the last step, in the worse
      of both sequences. Of the chunker also `c_error`, the same of C's prediction of the last
      symbol; `c_hidden`, the lower value of C's hidden unit after the first symbol; `told`, by how
      much that symbol changes it. `solved`, how many trials were.
    """
    runner = TrialRunner(learning, range(trials), seed=seed)
    look = jax.jit(lambda model: _look(learning, model, trials))
    found = []
    while not runner.finished:
        runner.round()
        looks = {
            name: np.round(np.asarray(value, np.float64), 4).tolist()
            for name, value in look(runner.state().trials.model).items()
        }
        found.append({"sequences": runner.presented} | looks)
    solved = sum(result.solved for result in runner.results())
    return {name: [one[name] for one in found] for name in found[0]} | {"solved": solved}


def _look(learning: Learning, model: Any, trials: int) -> dict[str, jax.Array]:
    """Of the models as they are, see `reach`."""
    batch = learning.task.sample_batch(jax.random.key(0), 32)
    places = [batch.inputs[:, 0].argmin(), batch.inputs[:, 0].argmax()]  # one with x, one with y
    both = [
        jax.tree.map(lambda array, i=i: jnp.repeat(array[i][..., None], trials, -1), batch)
        for i in places
    ]
    targets = jnp.stack([one.targets[-1] for one in both])  # [2, K, R]
    outputs = jnp.stack([learning.method.outputs(model, one) for one in both])  # [2, T, K, R]
    is_told = jnp.abs(outputs[0] - outputs[1]).max(1) > NEAR
    steps = jnp.arange(1, len(is_told) + 1)
    found = {
        "reach": jnp.where(is_told, steps[:, None], 0).max(0),
        "last_error": jnp.abs(outputs[:, -1] - targets).max((0, 1)),
    }
    method = getattr(learning.method, "method", None)
    if isinstance(method, Chunker):
        follow = over_lanes(lambda pair, one: method.follow(pair, one, learning=False)[1])
        courses = [follow(model, one) for one in both]
        predictions = jnp.stack([course.chunker_outputs[-1] for course in courses])
        hidden = jnp.stack([course.chunker_hidden[0] for course in courses])  # [2, R]
        found |= {
            "c_error": jnp.abs(predictions - targets).max((0, 1)),
            "c_hidden": hidden.min(0),
            "told": jnp.abs(hidden[0] - hidden[1]),
        }
    return found


def _changed(row: str, budget: int, init_range: float, tolerance: float) -> Learning:
    """A rival's row with a budget, a range of initial weights and a tolerance of its own."""
    task = make_rival_task(row)
    conditions = dataclasses.replace(task.conditions, init_range=init_range)
    task = dataclasses.replace(task, conditions=conditions, max_sequences=budget)
    method: Any = METHODS[ROWS[row].method](task)
    method = Lanes(dataclasses.replace(method, tolerance=tolerance))
    return dataclasses.replace(make_learning(row), task=task, method=method)


def by_bptt(
    task: Task, net: RecurrentNet, conditions: Conditions, optimiser: optax.GradientTransformation
) -> Learning:
    """The task learned by BPTT through a recurrent net."""
    task = dataclasses.replace(task, architecture=net, conditions=conditions)
    return Learning(task, Lanes(BySequence(task, optimiser, bptt_gradient)), chunk_of(task))


def _by_adam(task: Task, net: RecurrentNet, rate: float) -> Learning:
    return by_bptt(task, net, Conditions(rate, init_range=1.0), optax.adam(rate))
