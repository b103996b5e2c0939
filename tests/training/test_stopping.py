"""A trial is solved at the first sequence, or the first test, that meets its rule."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from small_tasks import LATCH, make_loop, start, training_key, trial_key

from lstm_jax import tasks
from lstm_jax.tasks.task import StreamRule, Task
from lstm_jax.training.trials import stopping
from lstm_jax.training.trials.stopping import init_window, record, refresh, stream_rule_met
from lstm_jax.training.trials.training_loop import SOLVED, TEST, UNSOLVED, Trials

TRIALS = 6


def deque_rule(rule: StreamRule, wrong: np.ndarray, errors: np.ndarray) -> Iterator[bool]:
    """Whether the rule is met after each sequence of one trial, by a deque of the last ones."""
    last: collections.deque = collections.deque([(True, 1.0)] * rule.window, maxlen=rule.window)
    for pair in zip(wrong, errors, strict=True):
        last.append(pair)
        few_wrong = sum(is_wrong for is_wrong, _ in last) <= rule.max_wrong
        mean_error = sum(error for _, error in last) / rule.window
        yield few_wrong and (rule.mean_error is None or mean_error < rule.mean_error)


def run_rule(rule: StreamRule, wrong: np.ndarray, errors: np.ndarray) -> np.ndarray:
    """The same by `record` and `stream_rule_met`, [sequences, B]."""

    def train_step(window, numbered):
        window = record(window, *numbered)
        return window, stream_rule_met(rule, window)

    start = init_window(rule, wrong.shape[1:])
    return jax.lax.scan(train_step, start, (jnp.arange(len(wrong)), wrong, errors))[1]


@pytest.mark.parametrize(
    "rule",
    [
        StreamRule(window=1),
        StreamRule(window=1, mean_error=0.25),
        StreamRule(window=7),
        StreamRule(window=7, max_wrong=2),
        StreamRule(window=5, max_wrong=5, mean_error=0.25),
        StreamRule(window=16, max_wrong=1, mean_error=0.375),
        StreamRule(window=300),
    ],
    ids=str,
)
def test_a_stream_rule_is_a_deque_of_the_last_sequences(rule: StreamRule):
    """The random streams fill the window up to 400 times.

    Errors are multiples of 1/256, whose sums are exact, so that the results are equal even where
    the mean error is the limit itself.
    """
    rng = np.random.default_rng(rule.window)
    difficulty = np.repeat(rng.random((20, 4)) ** 4, 20, axis=0)
    wrong = rng.random(difficulty.shape) < difficulty
    errors = np.round(rng.random(difficulty.shape) * (difficulty + 0.5) * 256) / 256
    errors = errors.astype(np.float32)
    met = run_rule(rule, wrong, errors)
    for trial in range(wrong.shape[1]):
        expected = list(deque_rule(rule, wrong[:, trial], errors[:, trial]))
        np.testing.assert_array_equal(met[:, trial], expected)
    assert rule.window == 300 or (np.any(met) and not np.all(met))


def test_a_mean_error_equal_to_the_limit_is_not_below_it():
    rule = StreamRule(window=4, mean_error=0.25)
    errors = np.float32([[0.25], [0.5], [0.0], [0.25], [0.25], [0.0]])
    met = run_rule(rule, np.zeros(errors.shape, bool), errors)
    np.testing.assert_array_equal(met[:, 0], [False, False, False, False, False, True])


def test_refresh_removes_the_rounding_errors_of_the_running_sum():
    """A sum of m terms below N is off by at most m roundings of N.

    The running sum has two terms per sequence, the refreshed one has N.
    """
    rule = StreamRule(window=50, mean_error=0.1)
    errors = np.random.default_rng(0).random((10_000, 3)).astype(np.float32)

    def train_step(window, numbered):
        n, error = numbered
        return record(window, n, jnp.zeros(3, bool), error), None

    window, _ = jax.lax.scan(train_step, init_window(rule, (3,)), (jnp.arange(10_000), errors))
    fresh = refresh(window)
    exact = errors[-50:].astype(np.float64).sum(0)
    rounding = np.spacing(np.float32(rule.window)) / 2
    running_off, fresh_off = (np.abs(w.errors.total - exact).max() for w in (window, fresh))
    assert fresh_off <= rule.window * rounding
    assert fresh_off < running_off <= 2 * len(errors) * rounding
    np.testing.assert_array_equal(fresh.wrong.total, window.wrong.total)


def test_a_test_rule_by_hand():
    test = stopping.TestMetrics(
        np.int32([0, 1, 2, 1]), np.float32([0.2, 0.1, 0.1, 0.2]), np.zeros(4)
    )
    table = {
        tasks.TestRule(1, 9): [True, False, False, False],
        tasks.TestRule(1, 9, max_wrong=1): [True, True, False, True],
        tasks.TestRule(1, 9, max_wrong=1, mean_error=0.15): [False, True, False, False],
        tasks.TestRule(1, 9, max_wrong=9, mean_error=0.1): [False] * 4,
    }
    for rule, expected in table.items():
        np.testing.assert_array_equal(stopping.test_rule_met(rule, test), expected, str(rule))


# Whole runs whose outcome does not depend on the network -----------------------------------------


def scripted(**changes) -> Task:
    """A task whose sequences are correct for any outputs, with probability 3/4."""
    is_correct = lambda outputs, example: ~((example.inputs[0] == 1) & (example.inputs[1] == 3))
    return dataclasses.replace(LATCH, is_correct=is_correct, **changes)


def is_wrong(task: Task, keys: jax.Array) -> np.ndarray:
    """Which of the sequences drawn from `keys` are incorrect."""
    examples = jax.vmap(lambda key: task.sample(key, None))(keys)
    return ~np.asarray(jax.vmap(task.is_correct)(jnp.zeros(len(keys)), examples))


def training_keys(trial: int, count: int) -> jax.Array:
    return jax.vmap(lambda n: training_key(trial, n))(jnp.arange(count))


def run(task: Task, chunk: int) -> Trials:
    """The trials of a task when all have ended, without any training."""
    loop = make_loop(optax.sgd(0.0), task, chunk)
    run_chunk = jax.jit(loop.run_chunk)
    trials = start(loop, TRIALS)
    for num_sequences in range(0, task.max_sequences, chunk):
        trials, _ = run_chunk(trials, jnp.int32(num_sequences))
    return jax.tree.map(lambda a: np.asarray(a)[..., :TRIALS], trials)


def test_solved_exactly_at_the_first_sequence_that_meets_the_rule():
    """Otherwise unsolved at exactly `max_sequences`, which is not a multiple of the chunk."""
    task = scripted(rule=StreamRule(window=12, max_wrong=1), max_sequences=60)
    trials = run(task, chunk=7)
    for trial in range(TRIALS):
        wrong = is_wrong(task, training_keys(trial, task.max_sequences))
        met = list(deque_rule(task.rule, wrong, np.zeros(len(wrong))))
        expected = (SOLVED, met.index(True) + 1) if True in met else (UNSOLVED, task.max_sequences)
        assert (trials.status[trial], trials.ended_at[trial]) == expected
    assert set(trials.status) == {SOLVED, UNSOLVED} and len(set(trials.ended_at)) > 2


def test_the_mean_error_of_a_stream_rule_must_be_met_too():
    """Untrained errors are about 0.5; before the first sequence, all errors count as 1.0."""
    task = scripted(rule=StreamRule(window=3, max_wrong=3, mean_error=0.65), max_sequences=20)
    trials = run(task, chunk=20)
    np.testing.assert_array_equal(trials.status, SOLVED)
    np.testing.assert_array_equal(trials.ended_at, 3)


def test_a_test_rule_is_evaluated_at_every_interval_on_fresh_sequences():
    """Tests follow 10, 20, ... sequences and the last one of the budget."""
    rule = tasks.TestRule(interval=10, size=16, max_wrong=1)
    first_rule = tasks.TestRule(interval=10, size=16, max_wrong=4)
    trials = run(scripted(rule=rule, first_rule=first_rule, max_sequences=75), chunk=10)
    tested_at = [*range(10, 75, 10), 75]
    for trial in range(TRIALS):
        wrong = []
        for n in tested_at:
            test_key = jax.random.fold_in(jax.random.fold_in(trial_key(trial), TEST), n)
            keys = jax.vmap(jax.random.fold_in, (None, 0))(test_key, jnp.arange(rule.size))
            wrong.append(is_wrong(scripted(), keys).sum())
        met = [n for n, count in zip(tested_at, wrong, strict=True) if count <= 1]
        first_met = [n for n, count in zip(tested_at, wrong, strict=True) if count <= 4]
        expected = (SOLVED, met[0]) if met else (UNSOLVED, 75)
        assert (trials.status[trial], trials.ended_at[trial]) == expected
        assert trials.first_rule_at[trial] == (first_met[0] if first_met else 0)
    assert set(trials.status) == {SOLVED, UNSOLVED} and len(set(trials.first_rule_at)) > 1
