"""Baselines learn in the LSTM's training loop, by their own update rules."""

from __future__ import annotations

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers import assert_close, assert_equal
from recurrent_problems import offline
from small_tasks import COPY, LATCH, assert_same_result, make_runner, take_trial, training_key

from lstm_jax import baselines as baselines
from lstm_jax.baselines.cascade_correlation import CascadeCorrelation
from lstm_jax.baselines.chunker import Chunker
from lstm_jax.baselines.fully_recurrent import (
    ELMAN,
    RTRL,
    RecurrentNet,
    SupervisedSequence,
    bptt_gradient,
)
from lstm_jax.baselines.gradient_descent import RecurrentUpdate
from lstm_jax.baselines.guessing import Guessing
from lstm_jax.baselines.rows import ROWS
from lstm_jax.tasks import Hyperparameters, Task, make_task, noise_free, reber, replace_architecture
from lstm_jax.tasks import task as base
from lstm_jax.training.trials.training_loop import TrainingLoop
from lstm_jax.training.update_rules.base import UpdateRule, Vmapped

ROUNDING = 1e-5  # float32, over some updates
R = None  # no number published, but "some fraction", or "faster"

# fmt: off
# name, base row, weights, rate, range, trials, budget, published success, published mean
TABLE = (
    ("1.rtrl-3", "1-1", 170, 0.05, 0.2, 30, 1_730_000, R, 173_000),
    ("1.rtrl-12", "1-1", 494, 0.1, 0.2, 30, 250_000, R, 25_000),
    ("1.elman-15", "1-1", 435, 0.1, 0.2, 30, 200_000, 0, None),
    ("1.rcc", "1-1", 236, 0, 1.0, 30, 400_000, 50, 182_000),
    ("2a-4.rtrl-1", "2a-4", 36, 1.0, 1.0, 18, 5_000_000, 78, 1_043_000),
    ("2a-4.rtrl-4", "2a-4", 36, 4.0, 1.0, 18, 5_000_000, 56, 892_000),
    ("2a-4.rtrl-10", "2a-4", 36, 10.0, 1.0, 18, 5_000_000, 22, 254_000),
    ("2a-10.rtrl", "2a-10", 144, 1.0, 1.0, 18, 5_000_000, 0, None),
    ("2a-100.rtrl", "2a", 10_404, 1.0, 1.0, 18, 5_000_000, 0, None),
    ("2a-100.bptt", "2a", 10_404, 1.0, 1.0, 18, 5_000_000, 0, None),
    ("2a-100.chunker", "2a", 10_506, 1.0, 1.0, 18, 5_000_000, 33, 32_400),
    ("2b-100.rtrl", "2b", 10_404, 1.0, 1.0, 18, 5_000_000, 0, None),
    ("2b-100.bptt", "2b", 10_404, 1.0, 1.0, 18, 5_000_000, 0, None),
    ("2b-100.chunker", "2b", 10_506, 1.0, 1.0, 18, 5_000_000, 0, None),
    ("3a-100-3.guessing", "3a-100-3", 8, 0, 100.0, 10, 1_000_000, R, None),
    ("3a-100-1.guessing", "3a-100-1", 8, 0, 100.0, 10, 1_000_000, R, None),
    ("3c-100-3.guessing", "3c-100-3", 8, 0, 100.0, 10, 1_000_000, R, None),
)
# fmt: on
SHARED = ("rule", "first_rule", "max_length", "error_at", "fixed_length", "test_size")
SHARED += ("prepare", "test_set")
# By names of rows: the class of the update rule, and its gradient, if it has one.
RULES = {
    "rtrl": (RecurrentUpdate, RTRL),
    "elman": (RecurrentUpdate, ELMAN),
    "bptt": (RecurrentUpdate, bptt_gradient),
    "rcc": (CascadeCorrelation,),
    "chunker": (Chunker,),
    "guessing": (Guessing,),
}


def lstm_task(name: str) -> Task:
    """The task of an LSTM's row, or 2a with another delay."""
    variant, *delay = name.split("-")
    return noise_free.make(variant, int(delay[0])) if variant == "2a" and delay else make_task(name)


def sampled(task: Task):
    """A few sequences of a task for training."""
    data = task.prepare and task.prepare(jax.random.key(3), 0)
    return task.sample_batch(jax.random.key(4), 3, data)


def test_rows_are_those_of_the_papers_tables():
    assert baselines.row_names() == tuple(row[0] for row in TABLE)
    with pytest.raises(ValueError, match=r"row must be one of 1.rtrl-3, .*, got '2a-5.rtrl'"):
        baselines.make_training_loop("2a-5.rtrl")


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row[0])
def test_hyperparameters_and_numbers_are_the_papers(row: tuple):
    """...and sequences, rules, lengths and tests those of the LSTM's task."""
    name, base_name, weights, rate, init_range, trials, budget, success, mean = row
    task, lstm = baselines.make_baseline_task(name), lstm_task(base_name)
    assert lstm.name == base_name and task.name == name
    assert task.architecture.num_weights == weights
    assert task.hyperparameters == Hyperparameters(rate, init_range)
    assert (task.trials, task.max_sequences) == (trials, budget)
    assert task.published == base.Published(lstm.published.table, success, mean)
    for field in SHARED:
        assert getattr(task, field) == getattr(lstm, field)
    assert_equal(sampled(task), sampled(lstm))
    assert task.architecture.num_inputs == lstm.architecture.num_inputs
    assert not task.sequential_construction  # that is of memory cells


@pytest.mark.parametrize("name", ROWS)
def test_a_row_has_the_update_rule_of_its_name(name: str):
    """...which gives outputs for the task's targets and has as many weights as its task says."""
    loop = baselines.make_training_loop(name)
    task, rule = loop.task, loop.update_rule.rule
    expected, *gradient = RULES[name.split(".")[1].split("-")[0]]
    assert type(rule) is expected and gradient == [rule.gradient for _ in gradient]
    if expected is Chunker:
        assert task.hyperparameters == Hyperparameters(rule.learning_rate, rule.init_range)
    data = task.prepare and task.prepare(jax.random.key(3), 0)
    example = jax.eval_shape(task.sample, jax.random.key(4), data)
    model = jax.eval_shape(rule.init, jax.random.key(5))
    outputs = jax.eval_shape(rule.outputs, model, example)
    assert outputs.shape == example.targets.shape
    if expected is not CascadeCorrelation:  # which has room for units to come
        weights = model.automatizer if expected is Chunker else model.weights
        count = sum(leaf.size for leaf in jax.tree.leaves(weights))
        assert count == task.architecture.num_weights


def test_cascade_correlation_alone_sees_its_training_set_in_turn():
    """All of it, and nothing else, in every pass."""
    assert [name for name in ROWS if baselines.make_baseline_task(name).training_set] == ["1.rcc"]
    loop = baselines.make_training_loop("1.rcc")
    data = loop.task.prepare(jax.random.key(0), 0)
    strings = loop.task.training_set(data)
    assert len(strings.length) == loop.update_rule.rule.epoch == 256
    assert_equal(strings, jax.tree.map(lambda a: a[:256], reber.test_set(data)))


def test_a_training_set_is_presented_in_turn():
    """...again and again, to each trial its own."""
    task = dataclasses.replace(
        replace_architecture(LATCH, num_inputs=30),
        training_set=lambda data: data,
        prepare=lambda key, trial: _numbered(trial),
    )
    runner = make_runner(TrainingLoop(task, Vmapped(Recorder()), 7), range(3))
    runner.run_chunk()
    for trial in range(3):
        seen = take_trial(runner.state().trials.model, trial)
        expected = [10 * trial + n % 5 for n in range(7)]
        assert seen[:7].tolist() == expected


def _numbered(trial: int) -> base.Example:
    """Five sequences of one symbol, from 10 times the trial's number on."""
    symbols = (10 * trial + jnp.arange(5))[:, None] * jnp.ones((1, 4), jnp.int32)
    targets = jnp.zeros((5, 1))
    return base.Example(symbols, targets, targets, jnp.full(5, 4, jnp.int32))


@dataclasses.dataclass(frozen=True)
class Recorder(UpdateRule):
    """Writes down the first symbol of every training sequence."""

    def init(self, key: jax.Array):
        del key
        return jnp.zeros(50, jnp.int32)

    def train_step(self, model, example: base.Example, n: jax.Array):
        return model.at[n].set(example.inputs[0]), self.outputs(model, example)

    def outputs(self, model, example: base.Example) -> jax.Array:
        return jnp.zeros_like(example.targets)


def baseline_of(task: Task, connections) -> Task:
    net = task.architecture
    baseline = RecurrentNet(net.num_inputs, 2, net.num_outputs, connections)
    return dataclasses.replace(task, architecture=baseline)


def results_of(rule, indices, chunk: int) -> list:
    return make_runner(TrainingLoop(rule.task, Vmapped(rule), chunk), indices).run()


@pytest.mark.parametrize(
    ("task", "connections"), [(LATCH, "full"), (COPY, "layered"), (LATCH, "simple")]
)
def test_a_chunk_is_a_loop_of_updates_by_the_gradient(task: Task, connections: str):
    """Targets at the end or at every step, symbols or numbers, padding: all as for the LSTM."""
    task, count, rate = baseline_of(task, connections), 10, 0.5
    rule = RecurrentUpdate(task, optax.sgd(rate), bptt_gradient)
    runner = make_runner(TrainingLoop(task, Vmapped(rule), count), range(2))
    before = runner.state().trials.model
    runner.run_chunk()
    after = runner.state().trials.model
    gradient_of, sample = jax.jit(bptt_gradient, static_argnums=0), jax.jit(task.sample)
    steps = np.arange(task.max_length, dtype=np.int32)
    for trial in range(2):
        weights = jax.tree.map(jnp.asarray, take_trial(before, trial).weights)
        for n in range(count):
            example = sample(training_key(trial, n), None)
            if task.error_at == "end":
                counts = steps == example.length - 1
                targets = np.tile(example.targets[None], (task.max_length, 1))
            else:
                counts, targets = steps < example.length, example.targets
            sequence = SupervisedSequence(example.inputs, targets, counts.astype(np.float32))
            gradient, _ = gradient_of(task.architecture, weights, sequence)
            weights = jax.tree.map(lambda w, g: w - rate * g, weights, gradient)
        assert_close(take_trial(after, trial).weights, weights, ROUNDING)


@pytest.mark.parametrize(
    "make",
    [
        functools.partial(RecurrentUpdate, gradient=bptt_gradient),
        functools.partial(RecurrentUpdate, gradient=RTRL),
    ],
)
def test_where_all_is_within_the_tolerance_nothing_is_learned(make):
    """...and where nothing is, all is learned as without it."""
    task, optimiser = baseline_of(COPY, "full"), optax.sgd(0.5)
    rule = make(task, optimiser)
    model = rule.init(jax.random.key(0))
    example = task.sample(jax.random.key(1), None)
    errors = np.abs(rule.outputs(model, example) - example.targets)
    moved, _ = rule.train_step(model, example, 0)
    for tolerance, expected in ((1.0, model), (1e-3 * errors[errors > 0].min(), moved)):
        tolerant = make(task, optimiser, tolerance=float(tolerance))
        found, _ = tolerant.train_step(model, example, 0)
        assert_close(found.weights, expected.weights, 1e-6)
    assert np.abs(moved.weights.recurrent - model.weights.recurrent).max() > 1e-3
    with pytest.raises(
        ValueError,
        match=r"tolerance must be not negative and a finite number of float32, got -0\.1",
    ):
        make(task, optimiser, tolerance=-0.1)


@pytest.mark.parametrize("task", [LATCH, COPY], ids=lambda task: task.name)
def test_trials_by_offline_rtrl_are_those_by_bptt(task: Task):
    """Through the whole runner, to rounding: weights, curves and tests."""
    task = dataclasses.replace(baseline_of(task, "full"), max_sequences=60)
    results = [
        results_of(RecurrentUpdate(task, optax.sgd(0.5), gradient), range(3), 30)
        for gradient in (bptt_gradient, offline(RTRL))
    ]
    for by_bptt, by_rtrl in zip(*results, strict=True):
        assert_close(by_rtrl.model.weights, by_bptt.model.weights, 10 * ROUNDING)
        np.testing.assert_allclose(by_rtrl.curve, by_bptt.curve, rtol=1e-4)
        np.testing.assert_allclose(by_rtrl.test_error, by_bptt.test_error, rtol=1e-4)
        assert by_rtrl.sequences == by_bptt.sequences


def test_with_one_target_per_sequence_an_update_per_step_is_one_per_sequence():
    task = dataclasses.replace(baseline_of(LATCH, "simple"), max_sequences=40)
    per_step = RecurrentUpdate(task, optax.sgd(0.5), ELMAN)
    per_sequence = RecurrentUpdate(task, optax.sgd(0.5), offline(ELMAN))
    (step,), (sequence,) = (results_of(rule, [0], 40) for rule in (per_step, per_sequence))
    assert_close(step.model.weights, sequence.model.weights, ROUNDING)


def test_a_trial_depends_on_no_other():
    """To the last bit, as the LSTM's."""
    task = dataclasses.replace(baselines.make_baseline_task("2a-4.rtrl-4"), max_sequences=300)
    rule = RecurrentUpdate(task, optax.sgd(4.0), RTRL)
    (alone,), among = (results_of(rule, indices, 100) for indices in ([5], range(11)))
    assert_same_result(alone, among[5])
