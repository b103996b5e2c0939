"""The forward pass equals the oracle; padding and splitting change nothing."""

from __future__ import annotations

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
    assert_equal,
    make_problem,
    oracle_arguments,
    problems,
    quick_jit,
    random_parameters,
    random_state,
)

from lstm_jax.cell.architecture import Architecture
from lstm_jax.cell.scan import Steps
from lstm_jax.network.layer import apply, unroll
from lstm_jax.network.losses import half_squared_error
from lstm_jax.network.run import RunOptions

pytestmark = pytest.mark.usefixtures("float64")

GRADIENTS = ("truncated", "truncated_autodiff", "full")
run = quick_jit(unroll, static_argnums=0, static_argnames="options")


@hypothesis.given(problem=problems())
@hypothesis.settings(max_examples=10)
def test_equals_the_oracle(problem: Problem):
    expected = oracle.forward(*oracle_arguments(problem))
    activations, final = run(
        problem.architecture,
        problem.parameters,
        problem.inputs,
        initial_state=problem.initial_state,
        steps=Steps(mask=problem.mask),
    )
    real = np.ones(len(problem.inputs), bool) if problem.mask is None else problem.mask
    for name, found in activations._asdict().items():
        if found is not None:
            assert_close(found[real], expected[name][real], 1e-12)
            assert not np.any(found[~real])
    for name, found in final._asdict().items():
        if found is not None:
            assert_close(found, expected["final"][name], 1e-12)


def test_what_the_architecture_lacks_is_none():
    net = Architecture(1, (1,), 1, input_gates=False, output_gates=False)
    activations, final = unroll(net, random_parameters(net), jnp.ones((2, 1)))
    for record in (activations, final):
        assert record.input_gate is record.output_gate is record.hidden is None


@pytest.mark.parametrize("gradient", GRADIENTS)
def test_values_do_not_depend_on_the_gradient_or_on_what_is_recorded(gradient: str):
    problem = make_problem(EVERYTHING, steps=6, padding="mask", initial=True)
    arguments = (EVERYTHING, problem.parameters, problem.inputs)
    options = {"steps": Steps(mask=problem.mask), "initial_state": problem.initial_state}
    expected = run(*arguments, **options, options=RunOptions("full"))
    by_gradient = RunOptions(gradient)
    assert_close(run(*arguments, **options, options=by_gradient), expected, 1e-15)
    _, final = apply(*arguments, **options, options=by_gradient, at="end")
    assert_close(final, expected[1], 1e-15)


def test_masked_steps_are_the_identity():
    # The same sequence with and without steps of padding in it.
    problem = make_problem(EVERYTHING, steps=6, initial=True)
    mask = np.array([False, True, True, False, False, True, True, False, True, True])
    padded = np.full((10, 3), 7.0)
    padded[mask] = problem.inputs
    options = {"initial_state": problem.initial_state}
    expected = run(EVERYTHING, problem.parameters, problem.inputs, **options)
    activations, final = run(
        EVERYTHING, problem.parameters, padded, **options, steps=Steps(mask=mask)
    )
    assert_close((jax.tree.map(lambda a: a[mask], activations), final), expected, 1e-14)
    nowhere = run(
        EVERYTHING, problem.parameters, padded, **options, steps=Steps(mask=np.zeros(10, bool))
    )
    assert_equal(nowhere[1], problem.initial_state)


@pytest.mark.parametrize("length", [0, 3, 5])
def test_length_is_a_mask(length: int):
    problem = make_problem(EVERYTHING, steps=5)
    arguments = (EVERYTHING, problem.parameters, problem.inputs)
    by_mask = run(*arguments, steps=Steps(mask=np.arange(5) < length))
    assert_equal(run(*arguments, steps=Steps(length=length)), by_mask)


@pytest.mark.parametrize(
    ("gradient", "at", "symbols"),
    [("truncated", "every_step", False), ("truncated", "end", True), ("full", "every_step", True)],
)
def test_what_stands_in_the_padding_does_not_matter(gradient: str, at: str, symbols: bool):
    mask = np.array([False, True, True, False, True, False, False])
    problem = make_problem(EVERYTHING, steps=7, symbols=symbols)
    targets = problem.targets[-1] if at == "end" else problem.targets

    @quick_jit
    def everything(parameters, inputs, targets):
        def loss(parameters, inputs):
            outputs, final = apply(
                EVERYTHING,
                parameters,
                inputs,
                at=at,
                steps=Steps(mask=mask),
                options=RunOptions(gradient=gradient),
            )
            weights = mask if at == "every_step" else None
            return half_squared_error(outputs, targets, weights), (outputs, final)

        argnums = 0 if symbols else (0, 1)
        return jax.value_and_grad(loss, argnums, has_aux=True)(parameters, inputs)

    expected = everything(problem.parameters, problem.inputs, targets)
    for garbage in (-5, 10**6) if symbols else (np.nan, np.inf, 1e300):
        inputs, padded_targets = problem.inputs.copy(), targets.copy()
        inputs[~mask] = garbage
        if at == "every_step":
            padded_targets[~mask] = np.nan
        assert_equal(everything(problem.parameters, inputs, padded_targets), expected)


@pytest.mark.parametrize("gradient", ["truncated", "full"])
def test_padding_is_in_no_gradient_even_where_its_error_counts(gradient: str):
    problem = make_problem(EVERYTHING, steps=6)
    mask = np.array([True, True, False, True, False, False])

    @quick_jit
    def slope(weights):
        def loss(parameters):
            outputs, _ = apply(
                EVERYTHING,
                parameters,
                problem.inputs,
                steps=Steps(mask=mask),
                options=RunOptions(gradient=gradient),
            )
            return half_squared_error(outputs, problem.targets, weights)

        return jax.grad(loss)(problem.parameters)

    assert_equal(slope(np.ones(6)), slope(mask.astype(np.float64)))


@pytest.mark.parametrize("gradient", GRADIENTS)
def test_splitting_a_sequence_changes_nothing(gradient: str):
    problem = make_problem(EVERYTHING, steps=9)

    def in_parts(ends: tuple[int, ...]):
        def loss(parameters, state):
            outputs, start = [], 0
            for end in ends:
                part, state = apply(
                    EVERYTHING,
                    parameters,
                    problem.inputs[start:end],
                    initial_state=state,
                    options=RunOptions(gradient=gradient),
                )
                outputs.append(part)
                start = end
            outputs = jnp.concatenate(outputs)
            return half_squared_error(outputs, problem.targets), (outputs, state)

        slope = jax.value_and_grad(loss, argnums=(0, 1), has_aux=True)
        return quick_jit(slope)(problem.parameters, random_state(EVERYTHING))

    whole = in_parts((9,))
    assert_close(in_parts((4, 4, 9)), whole, 1e-12)


def test_inputs_of_lower_precision_take_the_dtype_of_the_parameters():
    problem = make_problem(EVERYTHING, steps=4)
    inputs = problem.inputs.astype(np.float32)
    assert_equal(
        apply(EVERYTHING, problem.parameters, inputs),
        apply(EVERYTHING, problem.parameters, inputs.astype(np.float64)),
    )


BAD_ARGUMENTS = {
    "inputs must be floating or integer, got dtype bool": {"inputs": jnp.ones((4, 3), bool)},
    r"inputs of dtype float64 must be \[T, 3\], got \(4, 2\)": {"inputs": np.ones((4, 2))},
    r"inputs of dtype float64 must be \[T, 3\], got \(3,\)": {"inputs": np.ones(3)},
    r"inputs of dtype int32 must be \[T\], got \(4, 3\)": {"inputs": np.ones((4, 3), np.int32)},
    r"inputs of dtype int32 must be \[T\], got \(\)": {"inputs": np.ones((), np.int32)},
    "mask or length, not both, got length 2": {"mask": np.ones(4, bool), "length": 2},
    r"mask must be bool of shape \(4,\), got bool \(5,\)": {"mask": np.ones(5, bool)},
    r"mask must be bool of shape \(4,\), got float64 \(4,\)": {"mask": np.ones(4)},
    r"length must be in \[0, 4\], got 5": {"length": 5},
    r"length must be in \[0, 4\], got -1": {"length": -1},
    r"length must be an integer, got float64 \(\)": {"length": 2.5},
    r"length must be an integer, got int64 \(2,\)": {"length": np.array([1, 2])},
    r"initial_state.hidden must be float64 of shape \(2,\), got None": {
        "initial_state": random_state(EVERYTHING)._replace(hidden=None)
    },
}


@pytest.mark.parametrize("function", [unroll, apply])
@pytest.mark.parametrize("message", BAD_ARGUMENTS)
def test_bad_arguments_are_named(function, message: str):
    arguments = {"inputs": np.ones((4, 3))} | BAD_ARGUMENTS[message]
    steps = Steps(**{name: arguments.pop(name) for name in ("mask", "length") if name in arguments})
    with pytest.raises(ValueError, match=message):
        function(EVERYTHING, random_parameters(EVERYTHING), **arguments, steps=steps)
