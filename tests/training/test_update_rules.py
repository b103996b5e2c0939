"""An update rule for one trial, lifted to a batch: every trial is trained by it alone."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from helpers import assert_equal
from small_tasks import LATCH, assert_same_result, make_runner, take_trial, training_key, trial_key

from lstm_jax.tasks.task import Example
from lstm_jax.training.trials.records import TrialResult
from lstm_jax.training.trials.training_loop import INITIAL_WEIGHTS, TrainingLoop
from lstm_jax.training.update_rules.base import Metrics, Vmapped


@dataclasses.dataclass(frozen=True)
class MeanTarget:
    """Learns the mean target by counting, from a random start; may reset it after a chunk."""

    reset: bool = False

    def init(self, key: jax.Array):
        return {"sum": jax.random.uniform(key, (1,)), "count": jnp.float32(1), "last": jnp.int32(0)}

    def train_step(self, model, example: Example, n: jax.Array):
        count, outputs = model["count"] + 1, self.outputs(model, example)
        return {"sum": model["sum"] + example.targets, "count": count, "last": n}, outputs

    def outputs(self, model, example: Example) -> jax.Array:
        del example
        return model["sum"] / model["count"][None]

    def end_chunk(self, model, metrics: Metrics):
        new = {"sum": 0 * model["sum"], "count": jnp.float32(1), "last": metrics.sequences}
        return new if self.reset else model


def run(chunk: int, reset: bool = False, trials: int = 3) -> list[TrialResult]:
    task = dataclasses.replace(LATCH, max_sequences=30)
    return make_runner(TrainingLoop(task, Vmapped(MeanTarget(reset)), chunk), range(trials)).run()


def test_a_chunk_is_a_python_loop_over_each_trial_s_sequences():
    rule = MeanTarget()
    runner = make_runner(TrainingLoop(LATCH, Vmapped(rule), chunk=5), range(2))
    runner.run_chunk()
    for trial in range(2):
        model = rule.init(jax.random.fold_in(trial_key(trial), INITIAL_WEIGHTS))
        for n in range(5):
            example = LATCH.sample(training_key(trial, n), None)
            model, _ = rule.train_step(model, example, jnp.int32(n))
        assert_equal(take_trial(runner.state().trials.model, trial), jax.device_get(model))


def test_a_trial_does_not_depend_on_the_chunk_or_on_other_trials():
    many = run(chunk=7, trials=11)
    for by_30, by_7 in zip(run(chunk=30), many, strict=False):
        assert_equal(by_30.model, by_7.model)
    for alone, beside in zip(run(chunk=7, trials=1), many, strict=False):
        assert_same_result(alone, beside)


def test_trials_that_do_not_run_are_unchanged():
    """Neither a sequence nor the end of a chunk changes them."""
    rule = Vmapped(MeanTarget(reset=True))
    before = rule.init(jnp.arange(6, dtype=jnp.uint32).reshape(2, 3))
    running = jnp.array([True, False, True])
    example = jax.tree.map(lambda a: jnp.stack([a] * 3, -1), LATCH.sample(jax.random.key(0), None))
    trained, _ = rule.train_step(before, example, jnp.int32(7), running)
    ended = rule.end_chunk(before, Metrics(*jnp.ones((3, 3), jnp.int32)), running)
    for after in (trained, ended):
        assert_equal(take_trial(after, 1), take_trial(before, 1))
        for trial in (0, 2):
            assert take_trial(after, trial)["last"] != take_trial(before, trial)["last"]


def test_a_rule_may_change_the_model_after_a_chunk():
    """Here it resets the model, so that the test uses zeros."""
    for result in run(chunk=10, reset=True):
        assert result.model["sum"] == 0 and not np.any(np.isnan(result.curve))
