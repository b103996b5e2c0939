"""Recurrent nets are a loop over their units, and BPTT is their gradient."""

from __future__ import annotations

import dataclasses

import baselines_oracle as oracle
import jax
import numpy as np
import pytest
from helpers import assert_close, assert_equal
from recurrent_problems import NETS, STEPS, as_weights, make_recurrent_problem, offline

from lstm_jax.baselines.fully_recurrent import (
    ELMAN,
    RTRL,
    RecurrentNet,
    Weights,
    apply,
    bptt_gradient,
    initialise,
)

pytestmark = pytest.mark.usefixtures("float64")


@pytest.mark.parametrize(
    ("net", "weights"),
    [
        (RecurrentNet(5, 1, 5, "layered"), 36),
        (RecurrentNet(101, 1, 101, "layered"), 10_404),
        (RecurrentNet(7, 3, 7, "full"), 170),
        (RecurrentNet(7, 12, 7, "full"), 494),
        (RecurrentNet(7, 15, 7, "simple"), 435),
    ],
)
def test_weights_are_as_many_as_in_the_papers_tables(net: RecurrentNet, weights: int):
    assert net.num_weights == weights
    drawn = jax.tree.leaves(initialise(jax.random.key(0), net, init_range=0.3))
    assert sum(array.size for array in drawn) == weights
    assert 0.3 * 0.8 < max(np.abs(array).max() for array in drawn) <= 0.3


@pytest.mark.parametrize("symbols", [False, True])
@pytest.mark.parametrize("name", NETS)
def test_a_net_is_a_loop_over_its_units(name: str, symbols: bool):
    problem = make_recurrent_problem(NETS[name], symbols=symbols)
    weights, inputs, targets, _, tau = problem.for_oracle()
    _, expected = oracle.run(weights, inputs, tau, targets.shape[1])
    assert_close(apply(problem.net, problem.weights, problem.sequence.inputs), expected, 1e-14)


@pytest.mark.parametrize("name", NETS)
def test_bptt_is_the_gradient_of_half_the_squared_error(name: str):
    """...by differences, with steps that do not count, or count half."""
    problem = make_recurrent_problem(NETS[name], symbols=name == "task 2a's")
    found, outputs = jax.jit(bptt_gradient, static_argnums=0)(*problem)
    assert_close(found, as_weights(oracle.bptt_gradient(*problem.for_oracle())), 1e-8)
    assert_close(outputs, apply(problem.net, problem.weights, problem.sequence.inputs), 1e-14)


@pytest.mark.parametrize("gradient", [bptt_gradient, offline(RTRL), offline(ELMAN)])
@pytest.mark.parametrize("name", ["full", "layered, with a bias", "simple, with time constants"])
def test_an_output_within_the_tolerance_learns_as_if_it_were_its_target(name: str, gradient):
    problem = make_recurrent_problem(NETS[name])
    net, weights, sequence = problem
    outputs = np.asarray(apply(net, weights, sequence.inputs))
    tolerance = np.median(np.abs(outputs - sequence.targets))
    is_near = np.abs(outputs - sequence.targets) <= tolerance
    reached = sequence._replace(targets=np.where(is_near, outputs, sequence.targets))
    tolerant = sequence._replace(tolerance=np.full(STEPS, tolerance))
    found, expected = (gradient(net, weights, each) for each in (tolerant, reached))
    assert_close(found, expected, 1e-12)


def test_padding_changes_nothing():
    """Inputs and targets after the last step that counts may hold anything, even NaN targets."""
    problem = make_recurrent_problem(NETS["full"])
    inputs, targets = problem.sequence.inputs.copy(), problem.sequence.targets.copy()
    inputs[-1], targets[-1] = 1e3, np.nan
    sequence = problem.sequence._replace(inputs=inputs, targets=targets)
    changed = bptt_gradient(*problem._replace(sequence=sequence))
    assert_close(changed[0], bptt_gradient(*problem)[0], 1e-14)


@pytest.mark.parametrize("gradient", [bptt_gradient, offline(RTRL)])
@pytest.mark.parametrize("name", ["full", "layered", "simple"])
def test_time_constants_of_0_are_the_ordinary_net(name: str, gradient):
    """To the last bit."""
    problem = make_recurrent_problem(NETS[name])
    zeros = dataclasses.replace(problem.net, time_constants=(0.0,) * problem.net.num_recurrent)
    assert_equal(gradient(*problem._replace(net=zeros)), gradient(*problem))


@pytest.mark.parametrize("tau", [0.5, 0.9])
def test_a_time_constant_keeps_an_input_for_a_lag_that_fits_it(tau: float):
    """After q blank steps |y_x - y_y| = (1 - τ) τ^q |f(w_x) - f(w_y)|."""
    weights = Weights(
        np.array([[0.3], [-1.2], [0.7]]), np.zeros((1, 1)), np.ones((1, 1)), direct=None
    )
    first = abs(np.subtract(*oracle.f(weights.input[:2, 0])))
    for lag in (1, 10, 40):
        ends = []
        for bit in (0, 1):
            net = RecurrentNet(3, 1, 1, "simple", (tau,))
            output = apply(net, weights, np.array([bit, *[2] * lag]))[-1, 0]
            ends.append(np.log(output / (1 - output)))  # the hidden unit's activation
        expected = (1 - tau) * tau**lag * first
        np.testing.assert_allclose(abs(ends[1] - ends[0]), expected, rtol=1e-6, atol=1e-14)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 1, 1, "full"), "num_inputs must be an integer of at least 1, got 0"),
        ((1, 0, 1, "simple"), "num_hidden must be an integer of at least 1, got 0"),
        ((1, 1, 0, "simple"), "num_outputs must be an integer of at least 1, got 0"),
        ((1, 1, 1, "some"), "connections must be one of .*'layered'.*, got 'some'"),
        ((1, 1, 1, "full", (0.5,)), r"time_constants must be empty or 2 numbers in \[0, 1\)"),
        ((1, 1, 1, "simple", (1.0,)), r"time_constants must be empty or 1 numbers in \[0, 1\)"),
    ],
)
def test_bad_nets_are_refused(arguments: tuple, message: str):
    with pytest.raises(ValueError, match=message):
        RecurrentNet(*arguments)


def test_bad_arguments_are_refused():
    net = NETS["full"]
    wanted = r"inputs must be \[T\] integers or \[T, 3\] floating, got"
    with pytest.raises(ValueError, match=wanted):
        apply(net, make_recurrent_problem(net).weights, np.zeros((4, 2)))
    with pytest.raises(ValueError, match="init_range must be positive, got 0"):
        initialise(jax.random.key(0), net, init_range=0)
