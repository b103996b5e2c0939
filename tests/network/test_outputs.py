"""Output units see the same step's cells, and E / 2 has the derivative of eq. 19."""

from __future__ import annotations

import dataclasses
import functools

import hypothesis
import jax
import jax.numpy as jnp
import numpy as np
import oracle
import pytest
from helpers import (
    EVERYTHING,
    Problem,
    assert_close,
    make_problem,
    oracle_arguments,
    problems,
    quick_jit,
    with_errors,
)

from lstm_jax.cell.activations import ACTIVATIONS
from lstm_jax.cell.scan import Steps
from lstm_jax.network.layer import apply
from lstm_jax.network.losses import half_squared_error
from lstm_jax.network.online import online_gradient
from lstm_jax.network.run import RunOptions

pytestmark = pytest.mark.usefixtures("float64")

run = quick_jit(apply, static_argnums=0, static_argnames="at")


@hypothesis.given(problem=problems())
@hypothesis.settings(max_examples=5)
def test_outputs_equal_the_oracles(problem: Problem):
    expected = oracle.forward(*oracle_arguments(problem))["output"]
    arguments = (problem.architecture, problem.parameters, problem.inputs)
    options = {"initial_state": problem.initial_state, "steps": Steps(mask=problem.mask)}
    real = np.ones(len(expected), bool) if problem.mask is None else problem.mask
    outputs, _ = run(*arguments, **options)
    assert_close(outputs[real], expected[real], 1e-12)
    assert not np.any(outputs[~real])
    if np.any(real):
        assert_close(run(*arguments, **options, at="end")[0], expected[real][-1], 1e-12)


@pytest.mark.parametrize("at", ["every_step", "end"])
def test_symbols_are_one_hot_inputs(at: str):
    for steps in (0, 4):
        problem = make_problem(EVERYTHING, steps, symbols=True, initial=True)
        one_hot = np.eye(3)[problem.inputs]
        options = {"at": at, "initial_state": problem.initial_state}
        for inputs in (problem.inputs, problem.inputs.astype(np.uint8)):
            found = run(EVERYTHING, problem.parameters, inputs, **options)
            assert_close(found, run(EVERYTHING, problem.parameters, one_hot, **options), 1e-14)


def test_outputs_after_no_step_are_those_of_the_initial_state():
    for symbols in (True, False):
        problem = make_problem(EVERYTHING, steps=3, symbols=symbols, initial=True)
        state, weights = problem.initial_state, problem.parameters.output
        net_k = state.cell_output @ weights.cell + state.hidden @ weights.hidden + weights.bias
        options = {"at": "end", "initial_state": state, "steps": Steps(length=0)}
        found = run(EVERYTHING, problem.parameters, problem.inputs, **options)[0]
        assert_close(found, 1 / (1 + np.exp(-net_k)), 1e-14)


def test_gates_do_not_feed_the_output_units():
    # Cells and hidden units at 0 hide the gates from the outputs; the initial state shows it.
    problem = make_problem(EVERYTHING, steps=0, initial=True)
    shifted = problem.initial_state._replace(input_gate=np.ones(2), output_gate=np.zeros(2))
    inputs = jnp.zeros((0, 3))
    for state in (problem.initial_state, shifted):
        found = run(EVERYTHING, problem.parameters, inputs, at="end", initial_state=state)[0]
        expected = run(
            EVERYTHING, problem.parameters, inputs, at="end", initial_state=problem.initial_state
        )[0]
        assert_close(found, expected, 0)


@pytest.mark.parametrize("output", ACTIVATIONS)
def test_activation_functions_of_the_output_units(output: str):
    net = dataclasses.replace(EVERYTHING, output=output)
    problem = with_errors(make_problem(net, steps=6), "some")

    @functools.partial(quick_jit, static_argnames="gradient")
    def outputs_and_gradients(gradient: str):
        def loss(parameters):
            outputs, _ = apply(
                net, parameters, problem.inputs, options=RunOptions(gradient=gradient)
            )
            return half_squared_error(outputs, problem.targets, problem.weights), outputs

        gradients, outputs = jax.grad(loss, has_aux=True)(problem.parameters)
        return outputs, gradients

    found = outputs_and_gradients("truncated")
    assert_close(found, outputs_and_gradients("truncated_autodiff"))
    arguments = (problem.parameters, problem.inputs, problem.targets, problem.weights)
    assert_close(found, quick_jit(functools.partial(online_gradient, net))(*arguments))
    logistic = run(EVERYTHING, problem.parameters, problem.inputs)[0]
    expected = np.vectorize(oracle.FUNCTIONS[output])(np.log(logistic / (1 - logistic)))
    assert_close(found[0], expected, 1e-12)
