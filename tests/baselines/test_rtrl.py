"""RTRL carries the gradient forward: offline it is BPTT's, online it is the authors' recursion."""

from __future__ import annotations

from typing import Any

import baselines_oracle as oracle
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers import assert_close, assert_equal
from recurrent_problems import NETS, as_weights, make_recurrent_problem

from lstm_jax.baselines.fully_recurrent import bptt_gradient
from lstm_jax.baselines.rtrl import RTRL, rtrl_gradient
from lstm_jax.baselines.stepwise import learn_online

pytestmark = pytest.mark.usefixtures("float64")
LAST = 4  # the last step that counts


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", NETS)
def test_offline_rtrl_is_bptt(name: str, seed: int):
    """To rounding, in gradient and outputs."""
    problem = make_recurrent_problem(NETS[name], seed=seed, symbols=seed == 1)
    found, outputs = jax.jit(rtrl_gradient, static_argnums=0)(*problem)
    expected, expected_outputs = bptt_gradient(*problem)
    assert_close(found, expected, 1e-13)
    assert_close(outputs[: LAST + 1], expected_outputs[: LAST + 1], 1e-14)


@pytest.mark.parametrize("name", ["full", "full, with time constants", "layered"])
def test_offline_rtrl_is_the_gradient_by_differences(name: str):
    problem = make_recurrent_problem(NETS[name], seed=7)
    found, _ = rtrl_gradient(*problem)
    assert_close(found, as_weights(oracle.gradient(*problem.for_oracle(), problem.tau())), 1e-8)


def online(problem: Any, rate: float) -> Any:
    """Weights and outputs after one sequence, with an update after every step."""
    optimiser = optax.sgd(rate)
    weights = jax.tree.map(jnp.asarray, problem.weights)
    arguments = (weights, optimiser.init(weights), problem.sequence)
    weights, _, outputs = learn_online(RTRL, problem.net, optimiser, *arguments)
    return weights, outputs


def test_online_rtrl_is_williams_and_zipsers():
    """...unit by unit and weight by weight, with the sensitivities made by the changing weights."""
    problem = make_recurrent_problem(NETS["full"], seed=3)
    found, outputs = online(problem, rate=5.0)
    expected, expected_outputs = oracle.learn_by_rtrl(*problem.for_oracle(), rate=5.0)
    assert_close(found, as_weights(expected), 1e-13)
    assert_close(outputs[: LAST + 1], expected_outputs[: LAST + 1], 1e-13)
    offline, _ = rtrl_gradient(*problem)
    moved = jax.tree.map(lambda new, old: (old - new) / 5.0, found, problem.weights)
    assert np.abs(moved.recurrent - offline.recurrent).max() > 1e-3


@pytest.mark.parametrize("name", NETS)
def test_online_becomes_offline_as_the_rate_falls(name: str):
    """Their difference is of the order of the rate."""
    problem = make_recurrent_problem(NETS[name], seed=5)
    offline, _ = rtrl_gradient(*problem)
    differences = []
    for rate in (1e-3, 1e-5):
        weights, _ = online(problem, rate)
        moved = jax.tree.map(lambda new, old, a=rate: (old - new) / a, weights, problem.weights)
        difference = jax.tree.map(lambda a, b: np.abs(a - b).max(), moved, offline)
        differences.append(max(jax.tree.leaves(difference)))
    assert differences[1] < differences[0] / 50 and differences[1] < 1e-4


def test_no_update_at_steps_without_an_error():
    """...even by an optimiser with momentum, nor behind the last step."""
    problem = make_recurrent_problem(NETS["layered"])
    sequence = problem.sequence._replace(at_steps=np.array([1.0, 0, 0, 0, 0, 0]))
    optimiser = optax.sgd(0.5, momentum=0.9)
    weights = jax.tree.map(jnp.asarray, problem.weights)
    found, state, _ = learn_online(
        RTRL, problem.net, optimiser, weights, optimiser.init(weights), sequence
    )
    gradient, _ = bptt_gradient(*problem._replace(sequence=sequence))
    updates, expected_state = optimiser.update(gradient, optimiser.init(weights))
    assert_close(found, optax.apply_updates(weights, updates), 1e-14)
    assert_close(state, expected_state, 1e-14)


def test_behind_the_last_error_nothing_is_computed():
    """Padding may hold anything."""
    problem = make_recurrent_problem(NETS["simple"])
    inputs = problem.sequence.inputs.copy()
    inputs[LAST + 1 :] = np.nan
    found = rtrl_gradient(*problem[:2], problem.sequence._replace(inputs=inputs))
    assert_equal(found, rtrl_gradient(*problem))
