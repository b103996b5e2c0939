"""A baseline learns any task, as it does the paper's."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from small_tasks import COPY, LATCH, assert_same_result

import lstm_jax
from lstm_jax import baselines as baselines
from lstm_jax.baselines.fully_recurrent import RecurrentNet, bptt_gradient
from lstm_jax.baselines.gradient_descent import RecurrentUpdate
from lstm_jax.tasks import Example, Hyperparameters, make_task, within
from lstm_jax.tasks import task as base
from lstm_jax.training.trials.training_loop import TrainingLoop
from lstm_jax.training.update_rules.base import Vmapped


def sample(key: jax.Array, data) -> Example:
    """The target is the symbol of the step before the last: 0 or 1."""
    del data
    bits = jax.random.bernoulli(key, shape=(3,)).astype(jnp.int32)
    target = bits[1:2].astype(jnp.float32)
    return Example(bits, target, target, jnp.int32(3))


OWN = lstm_jax.Task(
    architecture=lstm_jax.Architecture(num_inputs=2, blocks=(1,), num_outputs=1),
    sample=sample,
    is_correct=within(0.3),
    hyperparameters=Hyperparameters(learning_rate=2.0, init_range=1.0, input_gate_bias=(-1.0,)),
    max_sequences=20_000,
)


@pytest.mark.parametrize("method", ["BPTT", "RTRL"])
def test_exact_gradients_solve_what_a_step_of_memory_solves(method):
    loop = baselines.training_loop(OWN, method, num_hidden=3)
    results = lstm_jax.TrialRunner(loop, range(2)).run()
    assert all(result.solved and result.test_wrong == 0 for result in results)


def test_it_is_the_update_rule_of_the_paper_s_rows():
    """To the last bit: `RecurrentUpdate` on the same net, put together by hand."""
    task = dataclasses.replace(OWN, max_sequences=1000)
    net = RecurrentNet(2, 3, 1, "simple", bias=True)
    hyperparameters = Hyperparameters(0.5, init_range=0.2)
    by_hand = dataclasses.replace(task, architecture=net, hyperparameters=hyperparameters)
    rule = Vmapped(RecurrentUpdate(by_hand, optax.sgd(0.5), bptt_gradient))
    loop = baselines.training_loop(task, "BPTT", num_hidden=3, learning_rate=0.5, init_range=0.2)
    loops = (loop, TrainingLoop(by_hand, rule))
    assert_same_result(*(lstm_jax.TrialRunner(each, [4]).run()[0] for each in loops))


@pytest.mark.parametrize("task", [LATCH, COPY, make_task("6a")], ids=lambda task: task.name)
@pytest.mark.parametrize(
    ("method", "name"), [("BPTT", "bptt"), ("RTRL", "rtrl"), ("Elman's procedure", "elman")]
)
def test_only_the_net_and_its_learning_differ_from_the_lstm(task, method, name: str):
    loop = baselines.training_loop(task, method)
    baseline, rule = loop.task, loop.update_rule.rule
    assert baseline.name == f"{task.name}.{name}"
    for field in ("sample", "is_correct", "rule", "error_at", "max_sequences", "test_size"):
        assert getattr(baseline, field) is getattr(task, field)
    example = jax.eval_shape(baseline.sample, jax.random.key(0), None)
    model = jax.eval_shape(rule.init, jax.random.key(1))
    assert jax.eval_shape(rule.outputs, model, example).shape == example.targets.shape


def test_tests_come_at_the_task_s_intervals():
    task = dataclasses.replace(OWN, rule=base.TestRule(interval=300, size=10))
    assert baselines.training_loop(task).chunk == 300


def test_another_optimiser_replaces_gradient_descent():
    adam = optax.adam(0.01)
    assert baselines.training_loop(OWN, optimiser=adam).update_rule.rule.optimiser is adam
    with pytest.raises(ValueError, match=r"learning_rate or optimiser, not both, got 0\.1"):
        baselines.training_loop(OWN, optimiser=adam, learning_rate=0.1)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"method": "bptt"}, r"method must be one of \('BPTT', 'RTRL', .*got 'bptt'"),
        ({"num_hidden": 0}, "num_hidden must be an integer of at least 1, got 0"),
        ({"connections": "none"}, "connections must be one of"),
        ({"learning_rate": -1.0}, "learning_rate must be not negative"),
        ({"init_range": np.nan}, "init_range must be positive"),
        ({"tolerance": -0.1}, "tolerance must be not negative"),
    ],
)
def test_arguments_out_of_range_are_refused(given: dict, message: str):
    with pytest.raises(ValueError, match=message):
        baselines.training_loop(OWN, **given)


def test_tasks_for_other_than_logistic_output_units_are_refused():
    task = lstm_jax.tasks.replace_architecture(OWN, output="identity")
    with pytest.raises(ValueError, match=r"output units must be logistic, but .* are identity"):
        baselines.training_loop(task)
