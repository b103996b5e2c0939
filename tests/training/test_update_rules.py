"""A method written for one trial, lifted: each lane is that trial, and the others' business."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from helpers import assert_equal
from small_tasks import LATCH, assert_same_result, lane, make_runner, trial_key

from lstm_jax.tasks.task import Example
from lstm_jax.training.trials.training_loop import INITIAL_WEIGHTS, TrainingLoop
from lstm_jax.training.update_rules.base import Metrics, Vmapped


@dataclasses.dataclass(frozen=True)
class Frequency:
    """Learns the mean target by counting, from a random start; forgets at a chunk's end if told."""

    forget: bool = False

    def init(self, key: jax.Array) -> Any:
        return {"sum": jax.random.uniform(key, (1,)), "count": jnp.float32(1), "last": jnp.int32(0)}

    def train_step(self, model: Any, example: Example, n: jax.Array) -> Any:
        count, outputs = model["count"] + 1, self.outputs(model, example)
        return {"sum": model["sum"] + example.targets, "count": count, "last": n}, outputs

    def outputs(self, model: Any, example: Example) -> jax.Array:
        del example
        return model["sum"] / model["count"][None]

    def end_chunk(self, model: Any, report: Metrics) -> Any:
        forgotten = {"sum": 0 * model["sum"], "count": jnp.float32(1), "last": report.sequences}
        return forgotten if self.forget else model


def run(chunk: int, forget: bool = False, trials: int = 3) -> list:
    task = dataclasses.replace(LATCH, max_sequences=30)
    return make_runner(TrainingLoop(task, Vmapped(Frequency(forget)), chunk), range(trials)).run()


def test_a_lane_is_the_method_s_own_loop_over_that_trial_s_sequences():
    method = Frequency()
    loop = TrainingLoop(LATCH, Vmapped(method), chunk=5)
    runner = make_runner(loop, range(2))
    runner.run_chunk()
    for trial in range(2):
        key = trial_key(trial)
        model = method.init(jax.random.fold_in(key, INITIAL_WEIGHTS))
        for n in range(5):
            training_key = jax.random.fold_in(jax.random.fold_in(key, 1), n)
            model, _ = method.train_step(model, LATCH.sample(training_key, None), jnp.int32(n))
        assert_equal(lane(runner.state().trials.model, trial), jax.device_get(model))


def test_what_a_method_learns_does_not_depend_on_the_chunk_nor_on_other_trials():
    for few, many in zip(run(chunk=7), run(chunk=30, trials=11), strict=False):
        assert_equal(few.model, many.model)
    for alone, beside in zip(run(chunk=7, trials=1), run(chunk=7, trials=11), strict=False):
        assert_same_result(alone, beside)


def test_lanes_that_do_not_run_stay_as_they_are():
    """Neither a sequence nor the end of a chunk changes them."""
    method = Vmapped(Frequency(forget=True))
    keys = jnp.arange(6, dtype=jnp.uint32).reshape(2, 3)
    before = method.init(keys)
    running = jnp.array([True, False, True])
    example = jax.tree.map(lambda a: jnp.stack([a] * 3, -1), LATCH.sample(jax.random.key(0), None))
    num_sequences, _ = method.train_step(before, example, jnp.int32(7), running)
    report = Metrics(*jnp.ones((3, 3), jnp.int32))
    ended = method.end_chunk(before, report, running)
    for after in (num_sequences, ended):
        assert_equal(lane(after, 1), lane(before, 1))
        for place in (0, 2):
            assert lane(after, place)["last"] != lane(before, place)["last"]


def test_a_chunk_s_end_is_the_method_s_to_use():
    """Here it forgets all, so that the test sees nothing but zeros."""
    for result in run(chunk=10, forget=True):
        assert result.model["sum"] == 0 and not np.any(np.isnan(result.curve))
