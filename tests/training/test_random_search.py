"""Random search: each trial learns as the paper says, by settings that are its own."""

from __future__ import annotations

import dataclasses

import jax
import numpy as np
import pytest
from lstm_jax.training.recipes.random_search import RandomSearch, SearchSpace
from lstm_jax.training.recipes.settings import Settings
from scipy import stats
from small_tasks import LATCH, assert_same_result, make_runner, sgd

from lstm_jax.tasks.task import Task
from lstm_jax.training.trials.records import TrialResult
from lstm_jax.training.trials.training_loop import TrainingLoop
from lstm_jax.training.update_rules.base import vmap_trials

SPACE = SearchSpace(
    learning_rate=(0.5, 8.0),
    init_range=(0.05, 1.0),
    input_gate_bias=(-3.0, 1.0),
    output_gate_bias=(-1.0, 0.0),
)


def by_hand(settings: Settings) -> Task:
    """The task with a trial's settings as its conditions."""
    hyperparameters = dataclasses.replace(
        LATCH.hyperparameters,
        learning_rate=float(settings.learning_rate),
        init_range=float(settings.init_range),
        input_gate_bias=tuple(map(float, settings.input_gate_bias)),
        output_gate_bias=tuple(map(float, settings.output_gate_bias)),
    )
    return dataclasses.replace(LATCH, hyperparameters=hyperparameters)


def as_by_hand(result: TrialResult, expected: TrialResult) -> TrialResult:
    """A search's result with the optimiser's state of another trial, where settings are not."""
    state = expected.model.optimiser_state
    models = {
        name: getattr(result, name)._replace(optimiser_state=state)
        for name in ("model", "best_model")
    }
    return dataclasses.replace(result, **models)


def test_a_trial_learns_as_if_its_settings_were_the_task_s():
    """...to the last bit, and does not depend on the trials beside it."""
    results = make_runner(TrainingLoop(LATCH, RandomSearch(LATCH, space=SPACE), 50), range(9)).run()
    settings = [result.model.optimiser_state.settings for result in results]
    assert len({float(s.learning_rate) for s in settings}) == 9
    for i in (0, 8):
        (expected,) = make_runner(sgd(by_hand(settings[i])), [i]).run()
        assert_same_result(as_by_hand(results[i], expected), expected)


def test_an_empty_space_is_the_task_s_own():
    """Nothing is drawn, and the trials are those of the paper's recipe."""
    found = make_runner(TrainingLoop(LATCH, RandomSearch(LATCH), 50), range(2)).run()
    for result, expected in zip(found, make_runner(sgd(LATCH), range(2)).run(), strict=True):
        settings = result.model.optimiser_state.settings
        assert settings.output_gate_bias is None
        assert settings.learning_rate == np.float32(LATCH.hyperparameters.learning_rate)
        assert_same_result(as_by_hand(result, expected), expected)


def test_settings_are_spread_as_the_space_says():
    """Log-uniform rates and ranges, uniform biases, by the Kolmogorov-Smirnov test."""
    keys = jax.random.split(jax.random.key(3), 2000)
    draw = lambda key: SPACE.draw(key, LATCH.hyperparameters, num_blocks=2)
    drawn = jax.device_get(jax.vmap(draw)(keys))
    logs = {name: np.log(getattr(drawn, name)) for name in ("learning_rate", "init_range")}
    biases = {
        f"{kind}_gate_bias {j}": getattr(drawn, f"{kind}_gate_bias")[:, j]
        for kind in ("input", "output")
        for j in (0, 1)
    }
    columns = list((logs | biases).values())
    for name, values in (logs | biases).items():
        low, high = getattr(SPACE, name.split()[0])
        if name in logs:
            low, high = np.log(low), np.log(high)
        assert values.min() >= low - 1e-6 and values.max() <= high + 1e-6
        assert stats.kstest(values, stats.uniform(low, high - low).cdf).pvalue > 1e-3, name
    correlations = np.corrcoef(columns) - np.eye(len(columns))
    assert np.abs(correlations).max() < 0.1  # each by itself


@pytest.mark.parametrize(
    ("bounds", "message"),
    [
        ({"learning_rate": (0.0, 1.0)}, "learning_rate must be two positive and finite numbers"),
        ({"learning_rate": (2.0, 1.0)}, r"the lower first, got \(2.0, 1.0\)"),
        ({"init_range": (1.0,)}, r"init_range must be two .* got \(1.0,\)"),
        ({"input_gate_bias": (0.0, np.inf)}, "input_gate_bias must be two finite numbers"),
        ({"output_gate_bias": (np.nan, 0.0)}, "output_gate_bias must be two finite numbers"),
    ],
)
def test_bad_bounds_are_named(bounds: dict, message: str):
    with pytest.raises(ValueError, match=message):
        SearchSpace(**bounds)


def test_biases_need_gates_that_have_one():
    architecture = dataclasses.replace(LATCH.architecture, biases="none")
    hyperparameters = dataclasses.replace(LATCH.hyperparameters, input_gate_bias=None)
    task = dataclasses.replace(LATCH, architecture=architecture, hyperparameters=hyperparameters)
    init = vmap_trials(lambda key: RandomSearch(task, space=SPACE).init_trial(key))
    with pytest.raises(ValueError, match="the architecture has no such bias"):
        jax.eval_shape(init, jax.random.split(jax.random.key(0), 2))
