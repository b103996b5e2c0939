"""Each cell of the family is a special case of another, with a part fixed or absent."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable

import jax
import numpy as np
import pytest
from helpers import (
    DESCENDANT,
    EVERYTHING,
    assert_close,
    assert_equal,
    make_problem,
    quick_jit,
    random_parameters,
)

from lstm_jax.cell.architecture import Architecture
from lstm_jax.cell.scan import Steps
from lstm_jax.cell.step import zero_state
from lstm_jax.network.layer import apply, step, unroll
from lstm_jax.network.losses import half_squared_error
from lstm_jax.network.run import RunOptions

pytestmark = pytest.mark.usefixtures("float64")

GRADIENTS = ("truncated", "truncated_autodiff", "full")
FORGETFUL = dataclasses.replace(EVERYTHING, forget_gates=True)
PROBLEM = make_problem(EVERYTHING, steps=8)


def loss_and_gradient(net: Architecture, parameters, gradient: str, **options):
    def error(parameters) -> jax.Array:
        outputs, _ = apply(
            net, parameters, PROBLEM.inputs, options=RunOptions(gradient=gradient), **options
        )
        return half_squared_error(outputs, PROBLEM.targets)

    return quick_jit(jax.value_and_grad(error))(parameters)


def without_rows(recurrent, net: Architecture, kind: str):
    """Recurrent weights [S, n] without those from a kind of unit."""
    ends = np.cumsum((0, *net.sizes))
    place = net.sizes._fields.index(kind)
    return np.delete(recurrent, np.s_[ends[place] : ends[place + 1]], axis=0)


def without_forget_gates(parameters, net: Architecture):
    """The parameters or gradients of a network with forget gates, those of these left out."""
    layer = [
        None
        if group is None
        else group._replace(recurrent=without_rows(group.recurrent, net, "forget_gate"))
        for group in parameters.layer._replace(forget_gate=None)
    ]
    return parameters._replace(layer=type(parameters.layer)(*layer))


@pytest.mark.parametrize("gradient", GRADIENTS)
def test_forget_gates_that_stay_open_give_the_cell_of_1997(gradient: str):
    parameters = random_parameters(FORGETFUL)
    forget_gate = jax.tree.map(np.zeros_like, parameters.layer.forget_gate)
    forget_gate = forget_gate._replace(bias=np.full(2, 1e4))  # f is 1 there, and f' is 0
    layer = parameters.layer._replace(forget_gate=forget_gate)
    # The gates' activation 1 is a source too, as if it were a further bias: with no weight.
    blind = [
        None if group is None else group._replace(recurrent=group.recurrent.copy())
        for group in layer
    ]
    start = sum(FORGETFUL.sizes[:1])
    for group in blind:
        if group is not None:
            group.recurrent[start : start + 2] = 0
    parameters = parameters._replace(layer=type(layer)(*blind))
    error, slope = loss_and_gradient(FORGETFUL, parameters, gradient)
    plain = without_forget_gates(parameters, FORGETFUL)
    expected, expected_gradient = loss_and_gradient(EVERYTHING, plain, gradient)
    assert_close(error, expected, 1e-14)
    assert_close(without_forget_gates(slope, FORGETFUL), expected_gradient, 1e-12)
    assert not np.any(slope.layer.forget_gate.input)


def test_a_forget_gate_that_stays_shut_leaves_one_step():
    # Then the state is what this step adds: no carrousel turns.
    parameters = random_parameters(FORGETFUL)
    shut = jax.tree.map(np.zeros_like, parameters.layer.forget_gate)._replace(bias=np.full(2, -1e4))
    parameters = parameters._replace(layer=parameters.layer._replace(forget_gate=shut))
    activations, _ = unroll(FORGETFUL, parameters, PROBLEM.inputs)
    gate = np.repeat(activations.input_gate, [2, 1], axis=1)
    assert_close(activations.internal_state, gate * activations.cell_input, 1e-14)


@pytest.mark.parametrize("gradient", GRADIENTS)
def test_peepholes_without_weights_are_none(gradient: str):
    net = dataclasses.replace(FORGETFUL, peepholes=True)
    parameters = random_parameters(net)
    blind = [
        None
        if group is None
        else group._replace(peephole=group.peephole and None)
        if group.peephole is None
        else group._replace(peephole=np.zeros(3))
        for group in parameters.layer
    ]
    parameters = parameters._replace(layer=type(parameters.layer)(*blind))
    error, slope = loss_and_gradient(net, parameters, gradient)
    drop = lambda groups: type(groups)(
        *(None if group is None else group._replace(peephole=None) for group in groups)
    )
    plain = parameters._replace(layer=drop(parameters.layer))
    expected, expected_gradient = loss_and_gradient(FORGETFUL, plain, gradient)
    assert_close(error, expected, 1e-14)
    assert_close(slope._replace(layer=drop(slope.layer)), expected_gradient, 1e-12)
    assert np.any(slope.layer.input_gate.peephole)


def test_peepholes_can_be_read_off_a_state():
    """One cell whose gates are 0 or 1 but for what their peepholes show them, by hand."""
    net = Architecture(
        1, (1,), 1, forget_gates=True, peepholes=True, recurrent="none", biases="gates",
        cell_input="identity", cell_output="identity", output="identity",
    )  # fmt: skip
    parameters = jax.tree.map(np.zeros_like, random_parameters(net))
    layer = parameters.layer
    layer = layer._replace(
        cell=layer.cell._replace(input=np.ones((1, 1))),
        input_gate=layer.input_gate._replace(peephole=np.array([3.0])),
        forget_gate=layer.forget_gate._replace(peephole=np.array([-4.0])),
        output_gate=layer.output_gate._replace(peephole=np.array([5.0])),
    )
    parameters = parameters._replace(layer=layer)
    f = lambda x: 1 / (1 + np.exp(-x))
    s_1 = f(0) * 2.0
    s_2 = f(-4.0 * s_1) * s_1 + f(3.0 * s_1) * 0.5
    activations, _ = unroll(net, parameters, np.array([[2.0], [0.5]]))
    assert_close(activations.internal_state[:, 0], np.array([s_1, s_2]), 1e-14)
    assert_close(activations.output_gate[:, 0], f(5.0 * np.array([s_1, s_2])), 1e-14)


@pytest.mark.parametrize("gradient", GRADIENTS)
def test_gates_that_nobody_listens_to_may_be_no_sources(gradient: str):
    net = dataclasses.replace(EVERYTHING, recurrent="cells")
    parameters = random_parameters(net)
    pad = lambda w: np.concatenate([np.zeros((2 * EVERYTHING.num_blocks, w.shape[1])), w])
    groups = [
        None if group is None else group._replace(recurrent=pad(group.recurrent))
        for group in parameters.layer
    ]
    deaf = parameters._replace(layer=type(parameters.layer)(*groups))
    error, slope = loss_and_gradient(net, parameters, gradient)
    expected, expected_gradient = loss_and_gradient(EVERYTHING, deaf, gradient)
    assert_close(error, expected, 1e-14)
    assert_close(slope.output, expected_gradient.output, 1e-12)
    for found, wanted in zip(slope.layer, expected_gradient.layer, strict=True):
        if found is not None:
            assert_close(found.recurrent, wanted.recurrent[2 * EVERYTHING.num_blocks :], 1e-12)


def test_activations_start_where_the_architecture_says_and_states_at_0():
    state = zero_state(dataclasses.replace(DESCENDANT, initial_activation=0.5))
    assert not np.any(state.internal_state)
    for name, values in state._asdict().items():
        if name != "internal_state":
            assert_equal(values, np.full(values.shape, 0.5))
    assert not any(np.any(leaf) for leaf in jax.tree.leaves(zero_state(EVERYTHING)))


@pytest.mark.parametrize("net", [EVERYTHING, DESCENDANT], ids=["1997", "descendant"])
def test_steps_one_by_one_are_the_sequence(net: Architecture):
    problem = make_problem(net, steps=5)
    _, final = unroll(net, problem.parameters, problem.inputs)
    state = zero_state(net, np.float64)
    for x_t in problem.inputs:
        state = step(net, problem.parameters, state, x_t)
    assert_close(state, final, 1e-14)


# Resets, and the other direction ----------------------------------------------------------------


@functools.cache
def in_one(net: Architecture, gradient: str, record: bool = True) -> Callable:
    """(reset, mask) to the error and its gradient over one run, and the final state."""
    problem = make_problem(net, steps=9)

    def error(parameters, reset, mask) -> tuple:
        outputs, final = apply(
            net,
            parameters,
            problem.inputs,
            at="every_step" if record else "end",
            steps=Steps(reset=reset, mask=mask),
            options=RunOptions(gradient=gradient),
        )
        targets = problem.targets if record else problem.targets[-1]
        return half_squared_error(outputs, targets), final

    slope = quick_jit(jax.value_and_grad(error, has_aux=True))
    return functools.partial(slope, problem.parameters)


@pytest.mark.parametrize("gradient", GRADIENTS)
def test_a_reset_starts_another_sequence(gradient: str):
    net = DESCENDANT
    problem = make_problem(net, steps=9)
    (error, final), slope = in_one(net, gradient)(np.arange(9) % 4 == 3, None)  # before 3 and 7

    def apart(parameters) -> tuple:
        total, state = 0.0, None
        for part in (slice(0, 3), slice(3, 7), slice(7, 9)):
            outputs, state = apply(
                net, parameters, problem.inputs[part], options=RunOptions(gradient=gradient)
            )
            total += half_squared_error(outputs, problem.targets[part])
        return total, state

    expected = quick_jit(jax.value_and_grad(apart, has_aux=True))(problem.parameters)
    assert_close(((error, final), slope), expected, 1e-12)


@pytest.mark.parametrize("record", [True, False])
@pytest.mark.parametrize("net", [EVERYTHING, DESCENDANT], ids=["1997", "descendant"])
def test_truncated_equals_autodiff_with_resets_masks_and_both(net: Architecture, record: bool):
    rng = np.random.default_rng(0)
    for mask in (np.ones(9, bool), rng.random(9) < 0.5, np.arange(9) < 4, np.zeros(9, bool)):
        for reset in (rng.random(9) < 0.3, np.arange(9) == 8, np.arange(9) == 0):
            found = in_one(net, "truncated", record)(reset, mask)
            assert_close(found, in_one(net, "truncated_autodiff", record)(reset, mask), 1e-11)


@pytest.mark.parametrize(
    ("gradient", "padding"),
    [("truncated", "length"), ("truncated_autodiff", "none"), ("full", "mask")],
)
def test_in_reverse_is_the_reversed_real_part(gradient: str, padding: str):
    """Padding stays where it is, and the state ends at step 0."""
    problem = make_problem(DESCENDANT, steps=9, seed=3)
    length = 6 if padding == "length" else None
    mask = np.arange(9) % 3 != 1 if padding == "mask" else None
    real = np.arange(9) < 6 if padding == "length" else np.ones(9, bool) if mask is None else mask

    def padded(parameters) -> tuple:
        steps, options = Steps(length=length, mask=mask), RunOptions(gradient, reverse=True)
        outputs, final = apply(DESCENDANT, parameters, problem.inputs, steps=steps, options=options)
        return half_squared_error(outputs, problem.targets, real), (outputs[real], final)

    def by_hand(parameters) -> tuple:
        inputs = problem.inputs[real][::-1]
        outputs, final = apply(
            DESCENDANT, parameters, inputs, options=RunOptions(gradient=gradient)
        )
        outputs = outputs[::-1]
        return half_squared_error(outputs, problem.targets[real]), (outputs, final)

    run = lambda function: quick_jit(jax.value_and_grad(function, has_aux=True))(problem.parameters)
    assert_close(run(padded), run(by_hand), 1e-12)


def test_lanes_are_networks_side_by_side():
    problems = [make_problem(DESCENDANT, steps=6, seed=seed) for seed in range(3)]
    along = lambda *arrays: np.stack(arrays, axis=-1)

    def slope(parameters, inputs, targets, reset):
        def error(parameters) -> jax.Array:
            outputs, _ = apply(DESCENDANT, parameters, inputs, steps=Steps(reset=reset))
            return half_squared_error(outputs, targets)

        return quick_jit(jax.grad(error))(parameters)

    reset = np.arange(6) == 4
    alone = [slope(p.parameters, p.inputs, p.targets, reset) for p in problems]
    together = slope(
        jax.tree.map(along, *(p.parameters for p in problems)),
        along(*(p.inputs for p in problems)),
        along(*(p.targets for p in problems)),
        along(*[reset] * 3),
    )
    assert_close(together, jax.tree.map(along, *alone), 1e-12)


PUBLISHED = [  # weight counts of Gers and others
    (424, Architecture(7, (2,) * 4, 7, forget_gates=True, recurrent="cells", input_to_output=True,
                       biases=("input_gate", "forget_gate", "output_gate", "output"))),
    (17, Architecture(1, (1,), 1, forget_gates=True, peepholes=True, recurrent="cells",
                      biases="all")),
    (38, Architecture(3, (1,), 3, forget_gates=True, peepholes=True, recurrent="cells",
                      biases="all", input_to_output=True)),
    (90, Architecture(4, (1, 1), 4, forget_gates=True, peepholes=True, recurrent="cells",
                      biases="all", input_to_output=True)),
]  # fmt: skip


@pytest.mark.parametrize("weights, net", PUBLISHED)
def test_published_counts_pin_the_topology(weights: int, net: Architecture):
    assert net.num_weights == weights
