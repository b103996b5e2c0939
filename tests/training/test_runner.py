"""A trial's numbers are the same, to the last bit, for any other trials, batches and devices."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Iterator

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers import assert_equal
from jax.sharding import Mesh
from small_tasks import LATCH, assert_same_result, make_loop, make_runner, sgd, take_trial

from lstm_jax.baselines.fully_recurrent import RecurrentNet
from lstm_jax.baselines.guessing import Guessing
from lstm_jax.cell.records import Parameters
from lstm_jax.tasks import Example, Task, make_task
from lstm_jax.tasks.hyperparameters import TrialHyperparameters
from lstm_jax.training.trials.records import RunState, TrialResult
from lstm_jax.training.trials.runner import TrialRunner
from lstm_jax.training.trials.training_loop import TrainingLoop
from lstm_jax.training.update_rules.base import Vmapped
from lstm_jax.training.update_rules.per_sequence import PerSequenceUpdate

LOOP = sgd(LATCH)
TRIALS = 20


def mesh(num_devices: int) -> Mesh:
    assert len(jax.devices()) >= num_devices
    return Mesh(jax.devices()[:num_devices], ("trials",))


@pytest.fixture(scope="module")
def results() -> list[TrialResult]:
    """The results of 20 trials on one device, in three batches that are repacked."""
    return make_runner(LOOP, range(TRIALS)).run()


def test_the_reference_has_trials_that_end_in_every_way(results: list[TrialResult]):
    """They are solved in different chunks, at different numbers, and one is not solved."""
    assert [result.index for result in results] == list(range(TRIALS))
    solved = [result.sequences for result in results if result.solved]
    assert 0 < len(solved) < TRIALS and len(set(solved)) > 5
    assert len({sequences // 50 for sequences in solved}) > 1
    unsolved = {result.sequences for result in results if not result.solved}
    assert unsolved == {LATCH.max_sequences}


@pytest.mark.parametrize("num_devices", [1, 2])
@pytest.mark.parametrize("indices", [(19,), (12, 0, 7), (*range(15, 5, -1), 3), range(20)], ids=str)
def test_a_trial_does_not_depend_on_the_others(
    results: list[TrialResult], indices: Iterable[int], num_devices: int
):
    """Results are the same for any number, choice and order of trials, on one device or two."""
    found = make_runner(LOOP, indices, mesh=mesh(num_devices)).run()
    for index, result in zip(indices, found, strict=True):
        assert_same_result(result, results[index])


def test_another_seed_gives_other_trials(results: list[TrialResult]):
    (other,) = make_runner(LOOP, [0], seed=1).run()
    first, other = (result.model.parameters for result in (results[0], other))
    assert not np.array_equal(first.output.cell, other.output.cell)


def test_trials_of_6a_do_not_depend_on_the_others():
    task = dataclasses.replace(make_task("6a"), max_sequences=50)
    loop = sgd(task, chunk=30)
    alone, among_others = make_runner(loop, [5]), make_runner(loop, range(9))
    for runner in (alone, among_others):
        while not runner.finished:
            runner.run_chunk()
    assert_equal(take_trial(alone.state().trials, 0), take_trial(among_others.state().trials, 5))


# Trials whose numbers become NaN ---------------------------------------------------------------


def poisoned() -> Task:
    """A task in which the targets of trial 2 are NaN from its first sequence on, by its data."""

    def sample(key: jax.Array, data: jax.Array) -> Example:
        example = LATCH.sample(key, None)
        return example._replace(targets=example.targets * data, true_targets=example.targets * data)

    prepare = lambda key, trial: np.float32(np.nan if trial == 2 else 1.0)
    return dataclasses.replace(LATCH, sample=sample, prepare=prepare, max_sequences=30)


def test_a_trial_that_is_not_finite_ends_without_changing_the_others():
    loop = sgd(poisoned(), chunk=20)
    *others, bad = make_runner(loop, [0, 1, 3, 2]).run()
    assert (bad.finite, bad.solved, bad.sequences) == (False, False, 1)
    assert bad.test_wrong == bad.test_size and np.isnan(bad.test_error)
    for expected, found in zip(make_runner(loop, [0, 1, 3]).run(), others, strict=True):
        assert found.finite and found.sequences == 30
        assert_same_result(found, expected)


RATES = (1e-38, 1e-3, 4.0, 1e4, 1e30, 3e38, np.inf, np.nan)


@dataclasses.dataclass(frozen=True)
class AnyRate(PerSequenceUpdate):
    """A trial's rate is one of `RATES`, by its key; with an infinite one, its weights are huge."""

    def init_trial(
        self, key: jax.Array, values: TrialHyperparameters
    ) -> tuple[Parameters, optax.OptState]:
        parameters, state = super().init_trial(key, values)
        number = jax.random.bits(jax.random.fold_in(key, 99), (), jnp.uint32) % len(RATES)
        rate = jnp.asarray(RATES, jnp.float32)[number]
        scale = jnp.where(jnp.isinf(rate), jnp.float32(3e38), 1)
        scaled = jax.tree.map(lambda w: w * scale, parameters)
        return scaled, optax.tree_utils.tree_set(state, learning_rate=rate)


def test_trials_with_absurd_learning_rates_run_beside_others():
    """Exactly those whose weights become NaN or infinite are reported as such."""
    task = dataclasses.replace(LATCH, max_sequences=40)
    loop = TrainingLoop(task, AnyRate(task), 20)
    results = make_runner(loop, range(2 * TRIALS)).run()
    states = [result.model.optimiser_state for result in results]
    rates = [float(optax.tree_utils.tree_get(state, "learning_rate")) for state in states]
    assert {str(rate) for rate in rates} == {str(np.float32(rate).item()) for rate in RATES}
    for result, rate in zip(results, rates, strict=True):
        weights = jax.tree.leaves(result.model.parameters)
        assert result.finite == all(np.isfinite(w).all() for w in weights) == np.isfinite(rate)
        assert np.isfinite(result.best_error) or not result.finite
        assert result.finite or result.sequences <= 2
    for index in range(0, 2 * TRIALS, 10):
        (alone,) = make_runner(loop, [index]).run()
        assert_same_result(alone, results[index])


# States ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def states() -> list[RunState]:
    """The states of a run of 11 trials before its first chunk and after every chunk."""
    runner = make_runner(LOOP, range(11))
    states = [runner.state()]
    while not runner.finished:
        runner.run_chunk()
        states.append(runner.state())
    return states


@pytest.mark.parametrize("num_devices", [1, 2])
def test_a_run_continues_from_any_state_to_the_same_results(
    results: list[TrialResult], states: list[RunState], num_devices: int
):
    """The number of devices may differ. Neither runner changes the arrays of the states."""
    copies = jax.tree.map(np.copy, states)
    for state in states:
        runner = make_runner(LOOP, range(11), mesh=mesh(num_devices))
        runner.restore(state)
        assert runner.num_sequences == state.num_sequences
        for found, expected in zip(runner.run(), results, strict=False):
            assert_same_result(found, expected)
    assert_equal(states, copies)
    assert all(isinstance(leaf, np.ndarray) for leaf in jax.tree.leaves(states))


def test_a_runner_refuses_the_state_of_other_trials(states: list[RunState]):
    for indices, seed in ((range(10), 0), (range(1, 12), 0), (range(11), 1)):
        runner = make_runner(LOOP, indices, seed=seed)
        with pytest.raises(ValueError, match=r"state must be of the trials \[.*with this runner's"):
            runner.restore(states[2])


def test_settings_of_jax_do_not_change_a_trial_s_numbers(results: list[TrialResult]):
    """Neither for the LSTM nor for a baseline whose model has a key, which "rbg" would batch.

    `tests/experiments/test_settings.py` sets each of them in the environment.
    """
    net = RecurrentNet(num_inputs=4, num_hidden=2, num_outputs=1, connections="layered")
    task = dataclasses.replace(LATCH, architecture=net)
    guessing = TrainingLoop(task, Vmapped(Guessing(task)), 50)

    def first_chunk() -> RunState:
        runner = TrialRunner(guessing, range(2))
        runner.run_chunk()
        return runner.state()

    expected = first_chunk()
    rbg, order = jax.default_prng_impl("rbg"), jax.threefry_partitionable(False)
    with rbg, order, jax.enable_x64(True), jax.default_matmul_precision("bfloat16"):
        found = TrialRunner(LOOP, [3, 0]).run()
        assert_equal(first_chunk(), expected)
    for result in found:
        assert_same_result(result, results[result.index])


# Results and progress --------------------------------------------------------------------------


def test_the_best_model_is_that_of_the_chunk_with_the_lowest_error():
    """The trial continues after it, and the run is restored after every chunk."""
    schedule = optax.piecewise_constant_schedule(4.0, {120: 50.0})
    loop = make_loop(optax.sgd(schedule), LATCH, 40)
    runner, history = make_runner(loop, range(4)), []
    while not runner.finished:
        runner.run_chunk()
        history.append(runner.state().trials.model)
        restored = make_runner(loop, range(4))
        restored.restore(runner.state())
        runner = restored
    early = 0
    for position, result in enumerate(runner.results()):
        chunk = int(np.argmin(result.curve[:, 1]))
        assert result.best_error == np.float32(result.curve[chunk, 1])
        assert result.best_sequences == result.curve[chunk, 0]
        assert_equal(result.best_model, take_trial(history[chunk], position))
        early += chunk < len(result.curve) - 1
    assert early


def test_results_before_the_first_chunk_are_those_of_untrained_networks():
    runner = make_runner(LOOP, range(2))
    initial = runner.state().trials
    for position, result in enumerate(runner.results()):
        assert (result.solved, result.sequences, result.curve.shape) == (False, 0, (0, 3))
        assert (result.best_error, result.best_sequences) == (np.inf, 0)
        assert_equal(result.model, take_trial(initial.model, position))
        assert_equal(result.best_model, result.model)


def test_progress_is_that_of_the_results(results: list[TrialResult]):
    progress_of_chunks = []
    make_runner(LOOP, range(TRIALS)).run(progress_of_chunks.append)
    assert [p.num_sequences for p in progress_of_chunks] == [50, 100, 150, 200, 240]
    for progress in progress_of_chunks:
        ended = [r for r in results if r.sequences <= progress.num_sequences]
        assert progress.solved == sum(r.solved for r in ended)
        assert progress.running == TRIALS - len(ended)
        sequences = sum(min(r.sequences, progress.num_sequences) for r in results)
        assert (progress.trials, progress.total_sequences) == (TRIALS, sequences)
    last = [r.curve[-1] for r in results if r.curve[-1, 0] > 200]
    expected = np.average([error for _, error, _ in last], weights=[n - 200 for n, _, _ in last])
    np.testing.assert_allclose(progress_of_chunks[-1].error, expected, rtol=1e-5)


def test_curves_during_a_run_are_the_beginnings_of_the_last_ones(results: list[TrialResult]):
    """They are the same after a run is restored."""
    runner = make_runner(LOOP, range(TRIALS))
    assert [curve.shape for curve in runner.curves()] == [(0, 3)] * TRIALS
    while not runner.finished:
        runner.run_chunk()
        restored = make_runner(LOOP, range(TRIALS))
        restored.restore(runner.state())
        for curve, same, result in zip(runner.curves(), restored.curves(), results, strict=True):
            np.testing.assert_array_equal(curve, result.curve[: len(curve)])
            np.testing.assert_array_equal(curve, same)
            assert curve[-1, 0] == min(runner.num_sequences, result.sequences)


@pytest.fixture
def compilations() -> Iterator[list[str]]:
    """The programs that are compiled during a test."""
    compiled: list[str] = []

    def listen(event: str, duration: float, **details) -> None:
        del duration
        if event == "/jax/core/compile/backend_compile_duration":
            compiled.append(str(details))

    jax.monitoring.register_event_duration_secs_listener(listen)
    yield compiled
    jax.monitoring.unregister_event_duration_listener(listen)


def test_a_chunk_is_compiled_once(compilations: list[str]):
    """All chunks, batches, repacked batches and restored runs share the program."""
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


# Arguments -------------------------------------------------------------------------------------

INTEGER = "must be an integer of at least"


@pytest.mark.parametrize(
    ("indices", "options", "message"),
    [
        ([], {}, "indices must be one or more, and distinct, got []"),
        ([1, 1], {}, "indices must be one or more, and distinct, got [1, 1]"),
        ([1, -1], {}, f"each of indices {INTEGER} 0 and below 4294967295, got -1"),
        ([2**32], {}, f"each of indices {INTEGER} 0 and below 4294967295, got 4294967296"),
        ([0.5], {}, f"each of indices {INTEGER} 0 and below 4294967295, got 0.5"),
        ([True], {}, f"each of indices {INTEGER} 0 and below 4294967295, got True"),
        ([0], {"batch_size": 0}, f"batch_size {INTEGER} 1 and below 1048576, got 0"),
        ([0], {"batch_size": 8.0}, f"batch_size {INTEGER} 1 and below 1048576, got 8.0"),
        ([0], {"seed": 2**32}, f"seed {INTEGER} 0 and below 4294967296, got 4294967296"),
        ([0], {"seed": -1}, f"seed {INTEGER} 0 and below 4294967296, got -1"),
        ([0], {"seed": "1"}, f"seed {INTEGER} 0 and below 4294967296, got '1'"),
    ],
)
def test_bad_arguments_are_named(indices: list, options: dict, message: str):
    with pytest.raises(ValueError, match=re.escape(message)) as refused:
        TrialRunner(LOOP, indices, **options)
    assert "\n" not in str(refused.value)


def test_integers_may_be_numpy_s():
    numpy = {"seed": np.uint32(2**32 - 1), "batch_size": np.int16(8)}
    by_numpy = make_runner(LOOP, np.arange(3), **numpy)
    by_python = make_runner(LOOP, range(3), seed=2**32 - 1, batch_size=8)
    assert_equal(by_numpy.state(), by_python.state())
