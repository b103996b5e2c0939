"""The claims about stopping rules and about how long task 1 stays solved."""

from __future__ import annotations

import numpy as np
import pytest

from experiments.claims import page, persistence, stopping
from experiments.claims.base import ClaimOptions
from experiments.claims.stopping import Looks, Rule, apply_rule
from experiments.rows.intervals import mean_interval, share_interval
from lstm_jax import TrialRunner, make_task

ALL = slice(None)
RIGHT = {"test_error": [[0.0] * 2] * 6, "interval": 1_000, "every": 2, "rows": ("3a-100-3",)}
# Trial 0 passes looks 3, 4 and 6, trial 1 look 2 alone. Fresh sequences are counted at every other.
FOUND = RIGHT | {
    "recipe": "paper",
    "test_wrong": [[9, 9], [9, 0], [0, 9], [0, 9], [9, 9], [0, 9]],
    "wrong": [[5, 7], [3, 8], [1, 9]],
}


@pytest.mark.parametrize(
    ("rule", "sequences", "wrong"),
    [
        (Rule(1, 1), [3_000, 2_000], [3, 7]),
        (Rule(1, 2), [4_000], [3]),
        (Rule(2, 1), [4_000, 2_000], [3, 7]),
        (Rule(2, 2), [6_000], [1]),
        (Rule(1, 3), [], []),
    ],
)
def test_a_rule_stops_a_trial_at_its_first_successes_in_a_row(rule: Rule, sequences, wrong):
    found = apply_rule("3a-100-3", FOUND, rule, ALL)
    assert (found.trials, found.sequences.tolist(), found.wrong.tolist()) == (2, sequences, wrong)


def test_a_mean_error_at_the_bound_is_no_success():
    bound = make_task("3a-100-3").rule.mean_error
    errors = [[bound, bound / 2]] * 6
    found = apply_rule("3a-100-3", FOUND | {"test_error": errors}, Rule(1, 1), ALL)
    assert found.sequences.tolist() == [2_000]


def test_the_best_rule_is_chosen_on_the_even_trials_alone():
    published = int(make_task("3a-100-3").published.mean_sequences or 0)
    looks = -(-published // 1_000)
    passes = np.full((3 * looks, 4), 9)
    passes[::2, ::2] = 0  # even trials pass every other look at once
    passes[looks:, ::2] = 0  # and all looks from the published number on
    document = FOUND | {
        "test_wrong": passes.tolist(),
        "test_error": np.zeros(passes.shape).tolist(),
        "wrong": np.zeros((len(passes) // 2 + 1, 4)).tolist(),
    }
    rule = stopping.best_rule("3a-100-3", document)
    assert rule.passes > 1
    passes[:, 1::2] = 0
    assert stopping.best_rule("3a-100-3", document | {"test_wrong": passes.tolist()}) == rule


@pytest.mark.slow
def test_looks_are_those_of_a_run_without_a_rule(monkeypatch: pytest.MonkeyPatch):
    looks = Looks("paper+linear-output", 1_000, 2, 1, ("4-100",))
    monkeypatch.setattr(stopping, "_budget", lambda _: 4_000)
    found = stopping.look(looks, ClaimOptions(2))
    assert np.shape(found["test_wrong"]) == np.shape(found["test_error"]) == (4, 2)
    task = stopping.task_without_rule(looks, 4_000)
    loop = stopping.TrainingLoop(task, chunk=4_000)
    results = TrialRunner(loop, range(2), batch_size=2).run()
    assert found["wrong"][-1] == [result.test_wrong for result in results]
    total = np.sum(found["test_wrong"], axis=0)
    assert total.tolist() == [round(r.curve[:, 2].mean() * 4_000) for r in results]


@pytest.mark.slow
@pytest.mark.release
def test_networks_of_task_1_are_right_at_success(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(persistence, "LATER", 0)
    training = persistence.Training("1-5", persistence.RECIPES["1-5"], 50)
    found = persistence.measure(training, ClaimOptions(3, 1))
    solved = [n for n in found["solved"] if n]
    assert solved and all(n % 50 == 0 for n in solved)
    assert [wrong for wrong in found["later"] if wrong is not None] == [0] * len(solved)
    (fork, other), (taught_at_fork, taught) = found["errors"]
    assert fork > 0.9 > other and fork >= taught_at_fork and other > taught


@pytest.mark.slow
def test_a_falling_rate_is_halved_in_trials_with_few_wrong_strings(monkeypatch: pytest.MonkeyPatch):
    training = persistence.Training("1-5", persistence.RECIPES["1-5"], 20, falling=True)
    runner = persistence._runner(training, ClaimOptions(3))
    rates = lambda: persistence.learning_rates(runner.state())
    first = rates()
    for few in (20, -1):
        monkeypatch.setattr(persistence, "FEW", few)
        persistence._run_chunk(training, runner)
    np.testing.assert_array_equal(rates(), first / 2)


def test_intervals_are_those_of_their_definitions():
    low, high = share_interval(40, 40)
    z = 1.959963984540054
    assert high == 1.0 and low == pytest.approx(1 / (1 + z * z / 40))
    values = np.random.default_rng(0).normal(3.0, 2.0, 400)
    interval = mean_interval(values)
    assert interval is not None
    expected = values.mean() + np.array([-1, 1]) * z * values.std() / 20
    np.testing.assert_allclose(interval, expected, atol=0.03)
    assert mean_interval([1.0]) is None


def test_tables_of_claims_have_an_interval_in_each_line():
    """...with a published figure, where there is one."""
    timing = {"trials": 40, "tested": 1000, "variants": {"generating, peepholes": {"solved": 10}}}
    (line,) = page.LINES["timing"](timing)
    assert line[2:] == ["learned", "25 %", "14 to 40 %"]
    found = {"perfect": 18, "good": 29}
    continual = {"trials": 100, "variants": {"forget gates, as printed": found}}
    perfect, good = page.LINES["continual"](continual)
    assert perfect[2:] == ["18 %", "18 %", "12 to 27 %"] and good[2:4] == ["29 %", "29 %"]
