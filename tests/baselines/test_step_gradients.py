"""RTRL sums up to BPTT's gradient, Elman's procedure to that of single steps; both learn online."""

from __future__ import annotations

import baselines_oracle as oracle
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers import assert_close, assert_equal
from recurrent_problems import LAST, NETS, as_weights, make_recurrent_problem, offline

from lstm_jax.baselines.fully_recurrent import ELMAN, RTRL, bptt_gradient
from lstm_jax.baselines.gradient_descent import Model, learn_online

pytestmark = pytest.mark.usefixtures("float64")


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("name", NETS)
def test_offline_rtrl_is_bptt(name: str, seed: int):
    problem = make_recurrent_problem(NETS[name], seed=seed, symbols=seed == 1)
    found = jax.jit(offline(RTRL), static_argnums=0)(*problem)
    assert_close(found, bptt_gradient(*problem), 1e-13)


@pytest.mark.parametrize("name", NETS)
def test_elmans_procedure_takes_the_activations_before_as_given(name: str):
    """The gradient by differences of each step, from fixed activations of the step before."""
    problem = make_recurrent_problem(NETS[name], seed=2)
    found, _ = jax.jit(offline(ELMAN), static_argnums=0)(*problem)
    assert_close(found, as_weights(oracle.elman_gradient(*problem.for_oracle())), 1e-8)


def online(problem, optimiser: optax.GradientTransformation) -> tuple[Model, jax.Array]:
    """The model and the outputs of one sequence, with an update after every step."""
    weights = jax.tree.map(jnp.asarray, problem.weights)
    model = Model(weights, optimiser.init(weights))
    return learn_online(RTRL, problem.net, optimiser, model, problem.sequence)


def test_online_rtrl_is_williams_and_zipsers():
    """...unit by unit and weight by weight, with sensitivities from the changing weights."""
    problem = make_recurrent_problem(NETS["full"], seed=3)
    found, outputs = online(problem, optax.sgd(5.0))
    expected, expected_outputs = oracle.learn_by_rtrl(*problem.for_oracle()[:4], rate=5.0)
    assert_close(found.weights, as_weights(expected), 1e-13)
    assert_close(outputs[: LAST + 1], expected_outputs[: LAST + 1], 1e-13)


@pytest.mark.parametrize("name", NETS)
def test_online_becomes_offline_as_the_rate_falls(name: str):
    """Their difference is of the order of the rate."""
    problem = make_recurrent_problem(NETS[name], seed=5)
    expected, _ = offline(RTRL)(*problem)
    differences = []
    for rate in (1e-3, 1e-5):
        weights = online(problem, optax.sgd(rate))[0].weights
        moved = jax.tree.map(lambda new, old, a=rate: (old - new) / a, weights, problem.weights)
        difference = jax.tree.map(lambda a, b: np.abs(a - b).max(), moved, expected)
        differences.append(max(jax.tree.leaves(difference)))
    assert differences[1] < min(differences[0] / 50, 1e-4)


def test_no_update_at_steps_without_a_loss():
    """...even by an optimiser with momentum."""
    problem = make_recurrent_problem(NETS["layered"])
    sequence = problem.sequence._replace(at_steps=np.array([1.0, 0, 0, 0, 0, 0]))
    problem, optimiser = problem._replace(sequence=sequence), optax.sgd(0.5, momentum=0.9)
    found, _ = online(problem, optimiser)
    gradient, _ = bptt_gradient(*problem)
    updates, state = optimiser.update(gradient, optimiser.init(problem.weights))
    assert_close(found, Model(optax.apply_updates(problem.weights, updates), state), 1e-14)


def test_steps_after_the_last_loss_are_skipped():
    """Padding may hold anything."""
    problem = make_recurrent_problem(NETS["simple"])
    inputs = problem.sequence.inputs.copy()
    inputs[LAST + 1 :] = np.nan
    padded = problem._replace(sequence=problem.sequence._replace(inputs=inputs))
    found, expected = (online(each, optax.sgd(0.5)) for each in (padded, problem))
    assert_equal(found, expected)
    assert not np.any(found[1][LAST + 1 :])
