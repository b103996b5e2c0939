"""Recurrent nets are what a loop over their units is, and BPTT is their gradient."""

from __future__ import annotations

from functools import partial

import baselines_oracle as oracle
import jax
import numpy as np
import pytest
from helpers import assert_close
from recurrent_problems import NETS, STEPS, as_weights, make_recurrent_problem

from lstm_jax.baselines.elman import elman_gradient, windowed_gradient
from lstm_jax.baselines.fully_recurrent import (
    RecurrentNet,
    SupervisedSequence,
    apply,
    bptt_gradient,
    initialise,
    weight_shapes,
)
from lstm_jax.baselines.rtrl import rtrl_gradient

pytestmark = pytest.mark.usefixtures("float64")
DIFFERENCES = 1e-8  # relative, of central differences


@pytest.mark.parametrize(
    ("net", "weights"),
    [
        (RecurrentNet(5, 1, 5, "layered"), 36),
        (RecurrentNet(11, 1, 11, "layered"), 144),
        (RecurrentNet(101, 1, 101, "layered"), 10_404),
        (RecurrentNet(7, 3, 7, "full"), 170),
        (RecurrentNet(7, 12, 7, "full"), 494),
        (RecurrentNet(7, 15, 7, "simple"), 435),
    ],
)
def test_weights_are_as_many_as_in_the_papers_tables(net: RecurrentNet, weights: int):
    assert net.num_weights == weights
    drawn = initialise(jax.random.key(0), net, init_range=0.3)
    assert sum(array.size for array in jax.tree.leaves(drawn)) == weights
    for array in jax.tree.leaves(drawn):
        assert np.all(np.abs(array) <= 0.3)
    largest = max(float(np.abs(array).max()) for array in jax.tree.leaves(drawn))
    assert largest > 0.3 * 0.8


@pytest.mark.parametrize("symbols", [False, True])
@pytest.mark.parametrize("name", NETS)
def test_a_net_is_a_loop_over_its_units(name: str, symbols: bool):
    problem = make_recurrent_problem(NETS[name], symbols=symbols)
    weights, inputs, targets, _ = problem.for_oracle()
    _, expected = oracle.run(weights, inputs, problem.tau(), targets.shape[1])
    assert_close(apply(problem.net, problem.weights, problem.sequence.inputs), expected, 1e-14)


@pytest.mark.parametrize("name", NETS)
def test_bptt_is_the_gradient_of_half_the_squared_error(name: str):
    """...by differences, with steps that do not count, or count half."""
    problem = make_recurrent_problem(NETS[name], symbols=name == "task 2a's")
    found, outputs = jax.jit(bptt_gradient, static_argnums=0)(*problem)
    expected = oracle.gradient(*problem.for_oracle(), problem.tau())
    assert_close(found, as_weights(expected), DIFFERENCES)
    assert_close(outputs, apply(problem.net, problem.weights, problem.sequence.inputs), 1e-14)


@pytest.mark.parametrize(
    "gradient",
    [bptt_gradient, rtrl_gradient, elman_gradient, partial(windowed_gradient, window=3)],
)
@pytest.mark.parametrize("name", NETS)
def test_an_output_within_the_tolerance_learns_as_if_it_were_its_target(name: str, gradient):
    """...by any gradient; the other outputs have the errors that they have without it."""
    problem = make_recurrent_problem(NETS[name])
    net, weights, sequence = problem
    outputs = np.asarray(apply(net, weights, sequence.inputs))
    tolerance = np.median(np.abs(outputs - sequence.targets))
    is_near = np.abs(outputs - sequence.targets) <= tolerance
    reached = sequence._replace(targets=np.where(is_near, outputs, sequence.targets))
    tolerant = sequence._replace(tolerance=np.full(STEPS, tolerance))
    found, found_outputs = gradient(net, weights, tolerant)
    expected, expected_outputs = gradient(net, weights, reached)
    assert_close(found, expected, 1e-12)
    assert_close(found_outputs, expected_outputs, 1e-14)


def test_padding_touches_nothing():
    """Whatever inputs and targets hold behind the last step that counts, be it NaN targets."""
    problem = make_recurrent_problem(NETS["full"])
    gradient, _ = bptt_gradient(*problem)
    inputs, targets = problem.sequence.inputs.copy(), problem.sequence.targets.copy()
    inputs[-1], targets[-1] = 1e3, np.nan
    sequence = SupervisedSequence(inputs, targets, problem.sequence.at_steps)
    changed, _ = bptt_gradient(*problem[:2], sequence)
    assert_close(changed, gradient, 1e-14)


def test_what_does_not_feed_back_cannot_remember():
    """Without recurrent weights, an output depends on its own step alone."""
    net = NETS["layered"]
    problem = make_recurrent_problem(net)
    weights = problem.weights._replace(recurrent=np.zeros_like(problem.weights.recurrent))
    outputs = apply(net, weights, problem.sequence.inputs)
    for t in range(STEPS):
        assert_close(apply(net, weights, problem.sequence.inputs[t : t + 1])[0], outputs[t], 1e-14)


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


def test_bad_arguments_are_named():
    net = NETS["full"]
    weights = make_recurrent_problem(net).weights
    with pytest.raises(
        ValueError, match=r"inputs must be \[T\] integers or \[T, 3\] floating, got"
    ):
        apply(net, weights, np.zeros((4, 2)))
    with pytest.raises(ValueError, match="init_range must be positive, got 0"):
        initialise(jax.random.key(0), net, init_range=0)
    assert weight_shapes(net).output is None
