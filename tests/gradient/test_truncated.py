"""The truncated gradient equals the oracle's, and the carrousel's factor is exactly 1."""

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
    architectures,
    assert_close,
    assert_equal,
    from_oracle,
    make_problem,
    oracle_arguments,
    problems,
    quick_jit,
    random_parameters,
    random_state,
    with_errors,
)
from hypothesis import strategies as st

from lstm_jax.cell.architecture import Architecture
from lstm_jax.cell.records import State
from lstm_jax.cell.scan import Steps
from lstm_jax.cell.step import zero_state
from lstm_jax.network.layer import apply, unroll
from lstm_jax.network.losses import half_squared_error
from lstm_jax.network.run import RunOptions

pytestmark = pytest.mark.usefixtures("float64")


@functools.partial(quick_jit, static_argnames=("architecture", "gradient", "at"))
def gradients(
    architecture: Architecture,
    parameters,
    inputs,
    targets,
    weights,
    mask=None,
    initial_state: State | None = None,
    *,
    gradient: str = "truncated",
    at: str = "every_step",
) -> tuple:
    """Return the gradient of E / 2 by the parameters, the initial state and floating inputs."""

    def loss(parameters, initial_state, inputs):
        outputs, _ = apply(
            architecture,
            parameters,
            inputs,
            at=at,
            initial_state=initial_state,
            steps=Steps(mask=mask),
            options=RunOptions(gradient=gradient),
        )
        return half_squared_error(outputs, targets, weights if at == "every_step" else None)

    argnums = (0, 1, 2) if jnp.issubdtype(inputs.dtype, jnp.floating) else (0, 1)
    return jax.grad(loss, argnums)(parameters, initial_state, inputs)


def at_the_end(problem: Problem) -> Problem:
    """Return the problem with a target at its last real step alone."""
    last = np.flatnonzero(with_errors(problem, "end").weights)[0]
    return problem._replace(targets=problem.targets[last], weights=None)


def assert_equals_oracle(found: tuple, problem: Problem) -> None:
    """Compare gradients by parameters, inputs and initial state with the oracle's."""
    arguments = oracle_arguments(problem)
    assert_close(found[0], from_oracle(oracle.gradient(*arguments)))
    if problem.initial_state is not None:
        zeros = jax.tree.map(np.zeros_like, problem.initial_state)
        assert_close(found[1].internal_state, oracle.initial_state_error(*arguments))
        assert_equal(found[1]._replace(internal_state=zeros.internal_state), zeros)
    if len(found) == 3:
        assert_close(found[2], oracle.input_error(*arguments))


@pytest.mark.parametrize("gradient, examples", [("truncated", 16), ("truncated_autodiff", 6)])
def test_equals_the_oracle(gradient: str, examples: int):
    @hypothesis.given(problem=problems())
    @hypothesis.settings(max_examples=examples)
    def check(problem: Problem):
        for errors in ("every", "some", "end"):
            problem = with_errors(problem, errors)
            assert_equals_oracle(gradients(*problem, gradient=gradient), problem)

    check()


@hypothesis.given(problem=problems())
@hypothesis.settings(max_examples=6)
def test_error_at_the_end_equals_the_oracle(problem: Problem):
    problem = with_errors(problem, "end")
    hypothesis.assume(problem.weights.any())
    assert_equals_oracle(gradients(*at_the_end(problem), at="end"), problem)


def test_long_sequence_equals_the_oracle():
    problem = make_problem(EVERYTHING, steps=300, errors="some")
    assert_equals_oracle(gradients(*problem), problem)


@pytest.mark.parametrize("symbols", [True, False])
@pytest.mark.parametrize("num_inputs, num_hidden", [(32, 25), (33, 26), (40, 30)])
def test_networks_around_the_width_at_which_formulas_change(num_inputs, num_hidden, symbols):
    # `lanes.FEW_SOURCES` is 32: 2 blocks of gates and 3 cells make 32 hidden sources with 25.
    net = Architecture(num_inputs, (2, 1), 2, num_hidden=num_hidden, input_to_output=True)
    problem = make_problem(net, steps=5, symbols=symbols, padding="mask", initial=True)
    assert_equals_oracle(gradients(*problem), problem)


@pytest.mark.parametrize("symbols", [True, False])
@pytest.mark.parametrize("gradient", ["truncated", "truncated_autodiff", "full"])
def test_without_a_real_step_there_is_no_gradient(gradient: str, symbols: bool):
    for steps in (0, 3):
        problem = make_problem(EVERYTHING, steps=steps, symbols=symbols, initial=True)
        problem = problem._replace(mask=np.zeros(steps, bool))
        found = gradients(*problem, gradient=gradient)
        assert_equal(found, jax.tree.map(np.zeros_like, found))


def test_a_sequence_of_no_steps_may_have_a_length():
    problem = make_problem(EVERYTHING, steps=0, initial=True)
    given = {"steps": Steps(length=0), "initial_state": problem.initial_state}
    outputs, final = apply(problem.architecture, problem.parameters, problem.inputs, **given)
    assert outputs.shape == problem.targets.shape
    assert_equal(final, problem.initial_state)


@pytest.mark.parametrize("symbols", [True, False])
def test_error_after_no_step_reaches_the_initial_state_alone(symbols: bool):
    for steps in (0, 3):
        problem = make_problem(EVERYTHING, steps=steps, symbols=symbols, initial=True)
        problem = problem._replace(mask=np.zeros(steps, bool), targets=np.zeros(2), weights=None)
        found = gradients(*problem, at="end")
        net_k = np.concatenate([problem.initial_state.cell_output, problem.initial_state.hidden])
        output = problem.parameters.output
        y = 1 / (1 + np.exp(-(net_k @ np.concatenate([output.cell, output.hidden]) + output.bias)))
        assert_close(found[0].output.bias, y * y * (1 - y))
        assert not np.any(found[0].output.input)
        assert_equal(found[0].layer, jax.tree.map(np.zeros_like, found[0].layer))
        assert_close(found[1].cell_output, output.cell @ (y * y * (1 - y)))


@pytest.mark.parametrize("record", ["all", "last"])
@hypothesis.given(problem=problems())
@hypothesis.settings(max_examples=4)
def test_any_loss_on_the_internals_equals_autodiff(record: str, problem: Problem):
    def run(gradient, parameters, initial_state, inputs):
        call = unroll if record == "all" else functools.partial(apply, at="end")
        return call(
            problem.architecture,
            parameters,
            problem.inputs if inputs is None else inputs,
            initial_state=initial_state,
            steps=Steps(mask=problem.mask),
            options=RunOptions(gradient=gradient),
        )

    @functools.partial(quick_jit, static_argnums=0)
    def vjp(gradient, cotangents, *arguments):
        return jax.vjp(functools.partial(run, gradient), *arguments)[1](cotangents)

    rng = np.random.default_rng(0)
    initial_state = problem.initial_state or zero_state(problem.architecture, np.float64)
    floats = problem.inputs if problem.inputs.ndim == 2 else None
    arguments = (problem.parameters, initial_state, floats)
    outcome = jax.eval_shape(functools.partial(run, "full"), *arguments)
    cotangents = jax.tree.map(lambda x: rng.normal(size=x.shape), outcome)
    truncated = vjp("truncated", cotangents, *arguments)
    assert_close(truncated, vjp("truncated_autodiff", cotangents, *arguments))
    assert np.any(truncated[1].internal_state)


def test_constant_error_carrousel():
    # |ds(t-q)/ds(t)| = 1.0 for every q (eqs. 30-35), to the last bit.
    net = Architecture(num_inputs=1, blocks=(2,), num_outputs=1, num_hidden=1)
    parameters, steps = random_parameters(net), 1000
    inputs = np.random.default_rng(0).normal(size=(steps, 1))

    def jacobian(gradient, q):
        def after_q_steps(internal_state):
            start = random_state(net)._replace(internal_state=internal_state)
            run = functools.partial(unroll, net, parameters, inputs, initial_state=start)
            _, final = run(steps=Steps(length=q), options=RunOptions(gradient=gradient))
            return final.internal_state

        return jax.jacrev(after_q_steps)(jnp.zeros(2))

    for gradient in ("truncated", "truncated_autodiff"):
        of_lag = functools.partial(jacobian, gradient)
        found = jax.lax.map(of_lag, jnp.arange(1, steps + 1), batch_size=100)
        assert_equal(found, np.broadcast_to(np.eye(2), (steps, 2, 2)))
    assert np.abs(jacobian("full", 1000) - np.eye(2)).max() > 0.1


@hypothesis.given(architecture=architectures(), seed=st.integers(0, 999))
@hypothesis.settings(max_examples=4)
def test_full_gradient_equals_finite_differences(architecture: Architecture, seed: int):
    problem = make_problem(architecture, steps=4, seed=seed, padding="mask", initial=True)
    parameters = gradients(*problem, gradient="full")[0]
    expected = from_oracle(oracle.full_gradient(*oracle_arguments(problem)))
    jax.tree.map(
        lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-6, atol=1e-8), parameters, expected
    )


@hypothesis.given(architecture=architectures(), seed=st.integers(0, 999))
@hypothesis.settings(max_examples=3)
def test_full_equals_truncated_where_nothing_recurs(architecture: Architecture, seed: int):
    # Then error flows back through the carrousels alone.
    net = dataclasses.replace(architecture, recurrent="none", peepholes=False)
    problem = make_problem(net, steps=5, seed=seed)
    assert_close(gradients(*problem), gradients(*problem, gradient="full"))


def test_full_differs_from_truncated_where_the_layer_recurs():
    problem = make_problem(EVERYTHING, steps=5)
    full, truncated = (gradients(*problem, gradient=name)[0] for name in ("full", "truncated"))
    assert_close(truncated.output, full.output)  # no activation of t-1 is between it and the error
    for x, y in zip(*map(jax.tree.leaves, (truncated.layer, full.layer)), strict=True):
        assert np.abs(x - y).max() > 1e-3 * np.abs(y).max()
