"""Runners take bounded resources, and what trials share is kept once per device."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import Mesh
from resources import assert_bounded, measure, needs_proc
from small_tasks import LATCH, assert_same_result, make_loop, make_runner, sgd

from lstm_jax.network.optimisers import make_injected_optimiser
from lstm_jax.tasks import Example, Task, make_task, replace_hyperparameters, within
from lstm_jax.training.trials.programs import MAX_LOOPS, forget_programs
from lstm_jax.training.trials.training_loop import TrainingLoop
from lstm_jax.training.update_rules.base import UpdateRule, Vmapped
from lstm_jax.training.update_rules.per_sequence import Model, PerSequenceUpdate

LOOP = sgd(dataclasses.replace(LATCH, max_sequences=10, test_size=2), chunk=5)
TIMES = 1000


def again() -> Callable[[], object]:
    runner = make_runner(LOOP, range(3))
    start = runner.state()

    def run() -> None:
        runner.restore(start)
        runner.run()

    return run


def other_rates() -> Callable[[], object]:
    rates = itertools.count(1)

    def run() -> None:
        task = replace_hyperparameters(LOOP.task, learning_rate=1 / next(rates))
        make_runner(TrainingLoop(task, chunk=5), range(3)).run()

    return run


USES = {
    "one runner": again(),
    "many runners": lambda: make_runner(LOOP, range(3)).run(),
    "many tasks": other_rates(),
}


@needs_proc
@pytest.mark.parametrize("name", USES)
def test_a_thousand_runs_hold_no_more_than_a_few(name: str):
    assert_bounded(USES[name], TIMES)


class Mean(UpdateRule[jax.Array]):
    """The outputs are the first target."""

    def init(self, key: jax.Array) -> jax.Array:
        return jnp.zeros(1)

    def train_step(self, model: jax.Array, example: Example, n: jax.Array):
        return example.targets, model

    def outputs(self, model: jax.Array, example: Example) -> jax.Array:
        return model


def test_many_different_loops_hold_the_programs_of_the_last():
    forget_programs()
    counts = []
    for chunk in range(2, MAX_LOOPS + 6):
        make_runner(TrainingLoop(LOOP.task, Vmapped(Mean()), chunk), [0]).run()
        counts.append(measure().executables)
    assert counts[0] < counts[MAX_LOOPS // 2] < counts[MAX_LOOPS - 1]
    assert len(set(counts[MAX_LOOPS:])) == 1


# Programs --------------------------------------------------------------------------------------


def sequence(key: jax.Array, data: object) -> Example:
    return LATCH.sample(key, data)


def own_loop() -> TrainingLoop:
    task = Task(architecture=LATCH.architecture, sample=sequence, is_correct=within(0.3))
    return TrainingLoop(dataclasses.replace(task, max_sequences=10, test_size=2))


LOOPS = {
    "a row": lambda: TrainingLoop(dataclasses.replace(make_task("6a"), max_sequences=2)),
    "an own task": own_loop,
}


@pytest.mark.parametrize("name", LOOPS)
def test_runners_of_equal_loops_share_their_programs(name: str):
    one, other = LOOPS[name](), LOOPS[name]()
    assert one is not other and one == other
    results, compiled = make_runner(one, range(2)).run(), measure().executables
    for found, expected in zip(make_runner(other, range(2)).run(), results, strict=True):
        assert_same_result(found, expected)
    assert measure().executables == compiled


BIASES = {"input_gate_bias": (1.0,), "output_gate_bias": (1.0,)}
CHANGES = {
    "learning rate": {"learning_rate": 0.25},
    "initial range": {"init_range": 0.3},
    "gate biases": {"input_gate_bias": (-1.0,), "output_gate_bias": (0.5,)},
    "added gate biases": {"input_gate_bias": (2.0,), "add_gate_bias": True},
}


@pytest.mark.parametrize("optimiser", ["sgd", "adam", "adam_inverse_sqrt"])
@pytest.mark.parametrize("change", CHANGES)
def test_loops_with_other_rates_ranges_and_biases_share_their_programs(change: str, optimiser: str):
    """...to the same bits as with programs of their own."""
    changed: dict[str, object] = {"optimiser": optimiser, **BIASES, **CHANGES[change]}
    first = changed | BIASES | {"learning_rate": 0.5}
    task = dataclasses.replace(LATCH, max_sequences=10, test_size=2)
    one, other = (TrainingLoop(replace_hyperparameters(task, **c)) for c in (first, changed))
    before = make_runner(one, range(2)).run()
    compiled = measure().executables
    found = make_runner(other, range(2)).run()
    assert measure().executables == compiled
    forget_programs()
    for result, expected in zip(found, make_runner(other, range(2)).run(), strict=True):
        assert_same_result(result, expected)
    assert any(not np.array_equal(a.curve, b.curve) for a, b in zip(found, before, strict=True))


@dataclasses.dataclass(frozen=True)
class HalfRate(PerSequenceUpdate):
    """A rule of a user, which reads a hyperparameter in a step: it halves the learning rate."""

    def train_step(self, model: Model, example: Example, n: jax.Array, running: jax.Array):
        rate = jnp.full_like(running, self.task.hyperparameters.learning_rate / 2, jnp.float32)
        state = optax.tree_utils.tree_set(model.optimiser_state, learning_rate=rate)
        return super().train_step(model._replace(optimiser_state=state), example, n, running)


def test_a_rule_that_inherits_sees_its_own_hyperparameters():
    rates = (3.0, 1.5)
    tasks = [replace_hyperparameters(LOOP.task, learning_rate=rate) for rate in rates]
    (halved,) = make_runner(TrainingLoop(tasks[0], HalfRate(tasks[0]), 5), [0]).run()
    (expected,) = make_runner(TrainingLoop(tasks[1], chunk=5), [0]).run()
    assert_same_result(halved, expected)


def test_an_optimiser_that_is_given_keeps_its_learning_rate():
    task = replace_hyperparameters(LOOP.task, learning_rate=1.0)
    given = PerSequenceUpdate(task, make_injected_optimiser("sgd", 0.5))
    (found,) = make_runner(TrainingLoop(task, given, 5), [0]).run()
    other = replace_hyperparameters(LOOP.task, learning_rate=0.5)
    (expected,) = make_runner(TrainingLoop(other, chunk=5), [0]).run()
    assert_same_result(found, expected)


def test_learning_rates_of_the_optimiser_s_state_share_one_program():
    loop_of = lambda rate: make_loop(optax.inject_hyperparams(optax.sgd)(rate), LOOP.task, 5)
    runner = make_runner(loop_of(0.5), range(2))
    start = runner.state()
    runner.run()
    compiled = measure().executables
    rates = np.full(2, 2.0, np.float32)
    runner.restore(optax.tree_utils.tree_set(start, learning_rate=rates))
    found = runner.run()
    assert measure().executables == compiled
    for one, expected in zip(found, make_runner(loop_of(2.0), range(2)).run(), strict=True):
        assert_same_result(one, expected)


def test_settings_of_jax_have_programs_of_their_own():
    loop = own_loop()
    results = make_runner(loop, [0]).run()
    with jax.enable_x64(True):
        make_runner(loop, [0]).run()
    assert_same_result(make_runner(loop, [0]).run()[0], results[0])


# Data ------------------------------------------------------------------------------------------

LARGE = np.zeros((1000, 100), np.float32)  # of an unusual size, to be counted


def with_data(prepare: Callable) -> TrainingLoop:
    def sample(key: jax.Array, data: dict) -> Example:
        example = LATCH.sample(key, None)
        factor = data["scale"] + data["large"][example.length, 0]
        return example._replace(targets=factor * example.targets)

    return sgd(dataclasses.replace(LOOP.task, sample=sample, prepare=prepare), chunk=5)


def copies(num_devices: int, prepare: Callable) -> list[float]:
    """Return the copies of `LARGE` on the devices, before and after a chunk and at the end."""
    mesh = Mesh(np.array(jax.devices()[:num_devices]), ("trials",))
    runner = make_runner(with_data(prepare), range(24), mesh=mesh)
    count = lambda: sum(a.size for a in jax.live_arrays() if a.size % LARGE.size == 0) / LARGE.size
    found = [count()]
    runner.run_chunk()
    found.append(count())
    runner.run()
    return [*found, count()]


@pytest.mark.parametrize("num_devices", [1, 2])
def test_an_array_that_trials_share_is_kept_once_per_device(num_devices: int):
    shared = lambda key, trial: {"large": LARGE, "scale": np.float32(trial)}
    assert copies(num_devices, shared) == [num_devices] * 3


def test_an_array_of_each_trial_is_kept_once_per_trial():
    own = lambda key, trial: {"large": LARGE + trial, "scale": np.float32(1)}
    assert copies(1, own)[:2] == [24, 24]


def test_shared_data_give_the_numbers_of_own_data():
    shared = lambda key, trial: {"large": LARGE, "scale": np.float32(1 + trial)}
    own = lambda key, trial: {"large": LARGE.copy(), "scale": np.float32(1 + trial)}
    runs = [make_runner(with_data(prepare), range(3)).run() for prepare in (shared, own)]
    for found, expected in zip(*runs, strict=True):
        assert_same_result(found, expected)
    (alone,) = make_runner(with_data(shared), [2]).run()
    assert_same_result(alone, runs[0][2])


def test_data_of_different_shapes_are_refused():
    ragged = lambda key, trial: {"large": LARGE[trial:], "scale": np.float32(1)}
    with pytest.raises(ValueError, match="prepare must return arrays of the same shapes for tr"):
        make_runner(with_data(ragged), range(2))


def test_data_may_hold_keys():
    keyed = lambda key, trial: {"key": jax.random.fold_in(key, trial)}
    sample = lambda key, data: LATCH.sample(data["key"], None)
    loop = sgd(dataclasses.replace(LOOP.task, sample=sample, prepare=keyed), chunk=5)
    first, second = make_runner(loop, range(2)).run()
    assert not np.array_equal(first.curve, second.curve)
