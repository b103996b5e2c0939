"""Random search: each trial is trained as the paper's, with hyperparameters of its own."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy import stats
from small_tasks import LATCH, assert_same_result, make_runner, trial_key

from lstm_jax.tasks import Task, replace_hyperparameters
from lstm_jax.tasks.hyperparameters import TrialHyperparameters
from lstm_jax.training.trials.records import TrialResult
from lstm_jax.training.trials.training_loop import INITIAL_WEIGHTS, TrainingLoop
from lstm_jax.training.update_rules.random_search import RandomSearchUpdate, SearchSpace

SPACE = SearchSpace(
    learning_rate=(0.5, 8.0),
    init_range=(0.05, 1.0),
    input_gate_bias=(-3.0, 1.0),
    output_gate_bias=(-1.0, 0.0),
)


def run(
    task: Task, space: SearchSpace, trials: range
) -> tuple[list[TrialResult], list[TrialHyperparameters]]:
    """The results of a search, and the hyperparameters of its trials."""
    rule = RandomSearchUpdate(task, space=space)
    results = make_runner(TrainingLoop(task, rule, 50), trials).run()
    keys = [jax.random.fold_in(trial_key(trial), INITIAL_WEIGHTS) for trial in trials]
    samples = [rule.sample(key) for key in keys]
    for result, sample in zip(results, samples, strict=True):
        rate = optax.tree_utils.tree_get(result.model.optimiser_state, "learning_rate")
        np.testing.assert_array_equal(rate, sample.learning_rate)
    return results, samples


def run_alone(sample: TrialHyperparameters, trial: int) -> TrialResult:
    """The result of one trial of a task that has the sample as its hyperparameters."""
    values = {name: np.asarray(value).tolist() for name, value in sample._asdict().items()}
    task = replace_hyperparameters(LATCH, **values)
    (result,) = make_runner(TrainingLoop(task, chunk=50), [trial]).run()
    return result


def test_a_trial_is_trained_as_if_its_sample_were_the_task_s_hyperparameters():
    """The results are equal to the last bit, and do not depend on the other trials."""
    results, samples = run(LATCH, SPACE, range(9))
    assert len({float(sample.learning_rate) for sample in samples}) == 9
    for trial in (0, 8):
        assert_same_result(results[trial], run_alone(samples[trial], trial))


def test_an_empty_space_is_the_task_s_hyperparameters():
    (result,), (sample,) = run(LATCH, SearchSpace(), range(1))
    hyperparameters = LATCH.hyperparameters
    assert sample.output_gate_bias is None
    assert sample.learning_rate == np.float32(hyperparameters.learning_rate)
    assert sample.init_range == np.float32(hyperparameters.init_range)
    assert tuple(sample.input_gate_bias) == hyperparameters.input_gate_bias
    (expected,) = make_runner(TrainingLoop(LATCH, chunk=50), [0]).run()
    assert_same_result(result, expected)


def test_samples_are_distributed_as_the_space_says():
    """Rates and ranges are log-uniform and biases uniform, by the Kolmogorov-Smirnov test."""
    keys = jax.random.split(jax.random.key(3), 2000)
    sample = lambda key: SPACE.sample(key, LATCH.hyperparameters.of_trial(), num_blocks=2)
    samples = jax.device_get(jax.vmap(sample)(keys))
    columns = {name: np.log(getattr(samples, name)) for name in ("learning_rate", "init_range")}
    bounds = {name: np.log(getattr(SPACE, name)) for name in columns}
    for name in ("input_gate_bias", "output_gate_bias"):
        for block in (0, 1):
            columns[name, block] = getattr(samples, name)[:, block]
            bounds[name, block] = getattr(SPACE, name)
    for name, values in columns.items():
        low, high = bounds[name]
        assert values.min() >= low - 1e-6 and values.max() <= high + 1e-6
        assert stats.kstest(values, stats.uniform(low, high - low).cdf).pvalue > 1e-3, name
    correlations = np.corrcoef(list(columns.values())) - np.eye(len(columns))
    assert np.abs(correlations).max() < 0.1  # they are independent


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


def test_tasks_without_gate_biases_to_set_are_refused():
    with pytest.raises(ValueError, match="add_gate_bias must be False"):
        RandomSearchUpdate(replace_hyperparameters(LATCH, add_gate_bias=True))
    task = replace_hyperparameters(LATCH, input_gate_bias=None)
    architecture = dataclasses.replace(task.architecture, biases="none")
    task = dataclasses.replace(task, architecture=architecture)
    with pytest.raises(ValueError, match="the architecture has no such bias"):
        jax.eval_shape(RandomSearchUpdate(task, space=SPACE).init, jnp.zeros((2, 1), jnp.uint32))
