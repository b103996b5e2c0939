"""A trial's numbers are its own: to the last bit, whatever runs beside it, and wherever."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers import assert_equal
from jax.sharding import Mesh
from lstm_jax.training.recipes.random_search import RandomSearch
from lstm_jax.training.recipes.settings import OwnRate
from small_tasks import (
    LATCH,
    assert_same_result,
    make_runner,
    make_update_rule,
    sgd,
    start,
    take_trial,
)

from lstm_jax.baselines.fully_recurrent import RecurrentNet
from lstm_jax.baselines.guessing import Guessing
from lstm_jax.cell.parameters import Parameters
from lstm_jax.tasks import Example, Task, make_task
from lstm_jax.training.trials.runner import RunState, TrialResult, TrialRunner
from lstm_jax.training.trials.training_loop import NON_FINITE, TrainingLoop, Trials
from lstm_jax.training.update_rules.base import Vmapped

LEARNING = sgd(LATCH)
NET = RecurrentNet(num_inputs=4, num_hidden=2, num_outputs=1, connections="layered")
RIVAL = dataclasses.replace(LATCH, architecture=NET)
TRIALS = 20


def mesh(num_devices: int) -> Mesh:
    assert len(jax.devices()) >= num_devices
    return Mesh(jax.devices()[:num_devices], ("trials",))


@pytest.fixture(scope="module")
def results() -> list[TrialResult]:
    """Of 20 trials on one device: three waves, repacked as trials end."""
    return make_runner(LEARNING, range(TRIALS)).run()


def test_the_reference_has_seen_everything(results: list[TrialResult]):
    """Trials that end in different rounds, at different numbers, and one that never does."""
    assert [result.index for result in results] == list(range(TRIALS))
    solved = [result.sequences for result in results if result.solved]
    assert 0 < len(solved) < TRIALS and len(set(solved)) > 5
    assert len({sequences // 50 for sequences in solved}) > 1
    unsolved = {result.sequences for result in results if not result.solved}
    assert unsolved == {LATCH.max_sequences}


@pytest.mark.parametrize("num_devices", [1, 2])
@pytest.mark.parametrize(
    "indices",
    [range(1), range(3), range(8), range(11), (19,), (12, 0, 7), (*range(15, 5, -1), 3), range(20)],
    ids=str,
)
def test_a_trial_does_not_depend_on_the_others(
    results: list[TrialResult], indices: Iterable[int], num_devices: int
):
    """Parameters, end, curve and test are the same for any number, choice and order of trials.

    So they are for one device and two, and whichever trials have ended and been packed away.
    """
    found = make_runner(LEARNING, indices, mesh=mesh(num_devices)).run()
    for index, result in zip(indices, found, strict=True):
        assert_same_result(result, results[index])


def test_another_seed_gives_other_trials(results: list[TrialResult]):
    (other,) = make_runner(LEARNING, [0], seed=1).run()
    first, other = (result.model.parameters for result in (results[0], other))
    assert not np.array_equal(first.output.cell, other.output.cell)


def test_trials_of_6a_do_not_depend_on_the_others():
    """The same of the paper's task, over a few sequences."""
    task = dataclasses.replace(make_task("6a"), max_sequences=50)
    loop = sgd(task, chunk=30)
    alone, among_others = make_runner(loop, [5]), make_runner(loop, range(9))
    for _ in range(2):
        alone.run_chunk()
        among_others.run_chunk()
    assert alone.finished and among_others.finished
    assert_equal(take_trial(alone.state().trials, 0), take_trial(among_others.state().trials, 5))


# A trial whose numbers become NaN -------------------------------------------------------------


def poisoned() -> Task:
    """The targets of trial 2 are NaN from its first sequence on, by its data."""

    def sample(key: jax.Array, data: jax.Array) -> Example:
        example = LATCH.sample(key, None)
        return example._replace(targets=example.targets * data, true_targets=example.targets * data)

    prepare = lambda key, trial: np.float32(np.nan if trial == 2 else 1.0)
    return dataclasses.replace(LATCH, sample=sample, prepare=prepare, max_sequences=30)


def test_a_trial_that_is_not_finite_ends_and_spoils_no_other():
    loop = sgd(poisoned(), chunk=20)
    *others, bad = make_runner(loop, [0, 1, 3, 2]).run()
    assert (bad.finite, bad.solved, bad.sequences) == (False, False, 1)
    assert bad.test_wrong == bad.test_size and np.isnan(bad.test_error)
    for expected, found in zip(make_runner(loop, [0, 1, 3]).run(), others, strict=True):
        assert found.finite and found.sequences == 30
        assert_same_result(found, expected)


def test_an_absurd_learning_rate_is_reported():
    """The first update makes the weights infinite, so the second sequence's error is NaN."""
    loop = make_update_rule(optax.sgd(np.inf), LATCH)
    trials, report = jax.jit(loop.run_chunk)(start(loop, 3), jnp.int32(0))
    np.testing.assert_array_equal(trials.status[:3], NON_FINITE)
    np.testing.assert_array_equal(trials.ended_at[:3], 2)
    np.testing.assert_array_equal(report.sequences[:3], 2)


RATES = (1e-38, 1e-3, 4.0, 1e4, 1e30, 3e38, np.inf, np.nan)


@dataclasses.dataclass(frozen=True)
class AnyRate(RandomSearch):
    """A trial's rate is one of `RATES`, by its key; with an infinite one, its weights are huge."""

    def init_trial(self, key: jax.Array) -> tuple[Parameters, OwnRate]:
        parameters, own = super().init_trial(key)
        number = jax.random.bits(jax.random.fold_in(key, 99), (), jnp.uint32) % len(RATES)
        rate = jnp.asarray(RATES, jnp.float32)[number]
        scale = jnp.where(jnp.isinf(rate), jnp.float32(3e38), 1)
        settings = own.settings._replace(learning_rate=rate)
        return jax.tree.map(lambda w: w * scale, parameters), own._replace(settings=settings)


def test_rates_from_tiny_to_infinite_side_by_side():
    """Whose weights are no numbers is reported so; the others are as they are alone."""
    task = dataclasses.replace(LATCH, max_sequences=40)
    loop = TrainingLoop(task, AnyRate(task), 20)
    results = make_runner(loop, range(2 * TRIALS)).run()
    rates = [float(result.model.optimiser_state.settings.learning_rate) for result in results]
    assert {str(rate) for rate in rates} == {str(np.float32(rate).item()) for rate in RATES}
    for result, rate in zip(results, rates, strict=True):
        weights = jax.tree.leaves(result.model.parameters)
        assert result.finite == all(np.isfinite(w).all() for w in weights)
        assert result.finite == np.isfinite(rate)
        assert np.isfinite(result.best_error) or not result.finite
    for index in range(0, 2 * TRIALS, 5):
        (alone,) = make_runner(loop, [index]).run()
        assert_same_result(alone, results[index])


# Going on from a state -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def states() -> list[RunState]:
    """Of a run of 11 trials, before its first round and after every round."""
    runner = make_runner(LEARNING, range(11))
    states = [runner.state()]
    while not runner.finished:
        runner.run_chunk()
        states.append(runner.state())
    return states


@pytest.mark.parametrize("num_devices", [1, 2])
def test_a_run_goes_on_from_any_round_as_if_nothing_had_been(
    results: list[TrialResult], states: list[RunState], num_devices: int
):
    """...to the last bit, on as many devices as before or on others; states are left as they were.

    States are NumPy arrays of their own: neither the runner they came from nor the one they went
    into changes them.
    """
    copies = jax.tree.map(np.copy, states)
    for state in states:
        runner = make_runner(LEARNING, range(11), mesh=mesh(num_devices))
        runner.restore(state)
        assert runner.num_sequences == state.num_sequences
        for found, expected in zip(runner.run(), results, strict=False):
            assert_same_result(found, expected)
    assert_equal(states, copies)


def test_a_runner_refuses_the_state_of_other_trials(states: list[RunState]):
    for indices, seed in ((range(10), 0), (range(1, 12), 0), (range(11), 1)):
        runner = make_runner(LEARNING, indices, seed=seed)
        with pytest.raises(ValueError, match=r"state must be of the trials \[.*with this runner's"):
            runner.restore(states[2])


# Settings of JAX ------------------------------------------------------------------------------


def test_no_setting_of_jax_reaches_a_trial_s_random_numbers(results: list[TrialResult]):
    """...for the LSTM and a rival that keeps its key: "rbg" would mix the lanes' numbers."""
    guessing = TrainingLoop(RIVAL, Vmapped(Guessing(RIVAL)), 50)
    expected = rounds(guessing)
    with jax.default_prng_impl("rbg"), jax.threefry_partitionable(False):
        found = TrialRunner(LEARNING, [3, 0]).run()
        assert_equal(rounds(guessing), expected)
    for result in found:
        assert_same_result(result, results[result.index])


def rounds(loop: TrainingLoop) -> RunState:
    """A run's state after its first round."""
    runner = TrialRunner(loop, range(2))
    runner.run_chunk()
    return runner.state()


# The best model -------------------------------------------------------------------------------


@jax.numpy_dtype_promotion("standard")  # as the schedule needs it
def test_the_best_model_is_that_of_the_chunk_with_the_lowest_error():
    """...as it was then, though the trial went on; so it is of a run that was cut off."""
    worse = make_update_rule(
        optax.sgd(optax.piecewise_constant_schedule(4.0, {120: 50.0})), LATCH, 40
    )
    runner, history = make_runner(worse, range(4)), []
    while not runner.finished:
        runner.run_chunk()
        history.append(runner.state().trials.model)
        again = make_runner(worse, range(4))
        again.restore(runner.state())
        runner = again
    early = 0
    for place, result in enumerate(runner.results()):
        chunk = int(np.argmin(result.curve[:, 1]))
        assert result.best_error == np.float32(result.curve[chunk, 1])
        assert result.best_sequences == result.curve[chunk, 0]
        assert_equal(result.best_model, take_trial(history[chunk], place))
        early += chunk < len(result.curve) - 1
    assert early


def test_before_the_first_chunk_the_best_is_the_untrained_network():
    (result,) = make_runner(LEARNING, [2]).results()
    assert (result.best_error, result.best_sequences) == (np.inf, 0)
    assert_equal(result.best_model, result.model)


# What the host hears ---------------------------------------------------------------------------


def test_progress_adds_up(results: list[TrialResult]):
    runner, heard = make_runner(LEARNING, range(TRIALS)), []
    runner.run(heard.append)
    assert [p.num_sequences for p in heard] == [50, 100, 150, 200, 240]
    for progress in heard:
        ended = [r for r in results if r.sequences <= progress.num_sequences]
        running = [r for r in results if r.sequences > progress.num_sequences]
        if progress is not heard[-1]:
            assert progress.solved == len(ended) and progress.running == len(running)
        sequences = sum(min(r.sequences, progress.num_sequences) for r in results)
        assert (progress.trials, progress.total_sequences) == (TRIALS, sequences)
    assert heard[-1].running == 0 and heard[-1].solved == sum(r.solved for r in results)
    last_errors = [r.curve[-1] for r in results if r.curve[-1, 0] > 200]
    weights = [at - 200 for at, _, _ in last_errors]
    expected = np.average([error for _, error, _ in last_errors], weights=weights)
    np.testing.assert_allclose(heard[-1].error, expected, rtol=1e-5)


def test_curves_are_there_while_a_run_lasts(results: list[TrialResult]):
    """...and after it is resumed: the beginnings of those that it ends with."""
    runner = make_runner(LEARNING, range(TRIALS))
    assert [curve.shape for curve in runner.curves()] == [(0, 3)] * TRIALS
    while not runner.finished:
        runner.run_chunk()
        resumed = make_runner(LEARNING, range(TRIALS))
        resumed.restore(runner.state())
        for curve, same, result in zip(runner.curves(), resumed.curves(), results, strict=True):
            np.testing.assert_array_equal(curve, result.curve[: len(curve)])
            np.testing.assert_array_equal(curve, same)
            assert curve[-1, 0] == min(runner.num_sequences, result.sequences)


def test_results_before_the_first_round_are_those_of_the_untrained_networks():
    runner = make_runner(LEARNING, range(2))
    initial = runner.state().trials
    for place, result in enumerate(runner.results()):
        assert (result.solved, result.sequences, result.curve.shape) == (False, 0, (0, 3))
        assert_equal(result.model, take_trial(initial.model, place))


@pytest.fixture
def compilations() -> Iterator[list[str]]:
    """Of whatever is compiled during a test."""
    heard: list[str] = []

    def listen(event: str, duration: float, **details: Any) -> None:
        del duration
        if event == "/jax/core/compile/backend_compile_duration":
            heard.append(str(details))

    jax.monitoring.register_event_duration_secs_listener(listen)
    yield heard
    jax.monitoring.unregister_event_duration_listener(listen)


def test_a_chunk_is_compiled_once(compilations: list[str]):
    """...for all rounds, all waves, repacked ones and restored ones."""
    loop = sgd(LATCH, chunk=40)
    first = make_runner(loop, [0])
    first.run_chunk()
    assert compilations
    compilations.clear()
    runner = make_runner(loop, range(TRIALS))
    runner.run_chunk()
    first.restore(first.state())
    for a_runner in (runner, first):
        while not a_runner.finished:
            a_runner.run_chunk()
    assert compilations == []


@pytest.mark.parametrize(
    ("indices", "options", "message"),
    [
        ([], {}, "indices must be one or more, and distinct, got []"),
        ([1, 1], {}, "indices must be one or more, and distinct, got [1, 1]"),
        ([1, -1], {}, "each of indices must be a whole number, at least 0 and below 4294967295"),
        ([2**32], {}, "each of indices must be a whole number, at least 0 and below 4294967295"),
        ([0.5], {}, "each of indices must be a whole number, at least 0 and below 4294967295"),
        ([True], {}, "each of indices must be a whole number, at least 0 and below 4294967295"),
        (
            [0],
            {"batch_size": 0},
            "batch_size must be a whole number, at least 1 and below 1048576, got 0",
        ),
        (
            [0],
            {"batch_size": 8.0},
            "batch_size must be a whole number, at least 1 and below 1048576",
        ),
        ([0], {"seed": 2**32}, "seed must be a whole number, at least 0 and below 4294967296"),
        ([0], {"seed": 2**63}, "seed must be a whole number, at least 0 and below 4294967296"),
        ([0], {"seed": -1}, "seed must be a whole number, at least 0 and below 4294967296, got -1"),
        ([0], {"seed": "1"}, "seed must be a whole number, at least 0 and below 4294967296"),
    ],
)
def test_bad_arguments_are_named(indices: list[Any], options: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=re.escape(message)) as refused:
        TrialRunner(LEARNING, indices, **options)
    assert "\n" not in str(refused.value)


def test_numpy_s_whole_numbers_are_python_s():
    numpy = {"seed": np.uint32(2**32 - 1), "batch_size": np.int16(8)}
    by_numpy = make_runner(LEARNING, np.arange(3), **numpy)
    by_python = make_runner(LEARNING, range(3), seed=2**32 - 1, batch_size=8)
    assert_equal(by_numpy.state(), by_python.state())


def test_state_is_on_the_host(states: list[RunState]):
    assert isinstance(states[1].trials, Trials)
    assert all(isinstance(leaf, np.ndarray) for leaf in jax.tree.leaves(states))
