"""RTRL is backpropagation through time; SnAp-1 is RTRL where no block sees another."""

from __future__ import annotations

import dataclasses

import hypothesis
import jax
import numpy as np
import optax
import pytest
from helpers import (
    DESCENDANT,
    EVERYTHING,
    Problem,
    architectures,
    assert_close,
    make_problem,
    quick_jit,
)

from lstm_jax.cell.architecture import Architecture
from lstm_jax.cell.parameters import initialise
from lstm_jax.cell.stack import make_stack
from lstm_jax.network.chunkwise import learn_chunk
from lstm_jax.network.layer import apply
from lstm_jax.network.learner import init_learner
from lstm_jax.network.losses import HALF_SQUARED
from lstm_jax.network.online import learn, online_gradient
from lstm_jax.network.run import RunOptions

pytestmark = pytest.mark.usefixtures("float64")

gradient_of = quick_jit(online_gradient, static_argnums=0, static_argnames="gradient")
COLUMNS = dataclasses.replace(DESCENDANT, blocks=(2, 2), input_to_output=False)


def data(problem: Problem) -> tuple:
    return problem.parameters, problem.inputs, problem.targets, problem.weights


def by_backpropagation(problem: Problem):
    """The exact gradient of the same loss, in reverse mode."""
    net = problem.architecture

    def loss(parameters):
        linear = dataclasses.replace(net, output="identity")
        outputs, _ = apply(linear, parameters, problem.inputs, options=RunOptions("full"))
        return HALF_SQUARED(outputs, problem.targets, problem.weights, output=net.output)

    return quick_jit(jax.grad(loss))(problem.parameters)


def without_sight_of_others(problem: Problem) -> Problem:
    """Set the weights between different blocks and hidden units to 0."""
    net = problem.architecture
    blocks = np.repeat(np.arange(net.num_blocks), net.blocks)
    gates = np.arange(net.num_blocks)
    hidden = net.num_blocks + np.arange(net.num_hidden)
    units = dict(zip(("input_gate", "forget_gate", "output_gate"), (gates,) * 3, strict=True))
    units |= {"cell": blocks, "hidden": hidden}
    seen = zip(units.values(), net.is_recurrent, net.sizes, strict=True)
    sources = np.concatenate([at for at, is_seen, size in seen if is_seen and size])
    layer = problem.parameters.layer._asdict()
    for name, weights in layer.items():
        if weights is not None:
            is_own = sources[:, None] == units[name][None]
            layer[name] = weights._replace(recurrent=weights.recurrent * is_own)
    parameters = problem.parameters._replace(layer=type(problem.parameters.layer)(**layer))
    return problem._replace(parameters=parameters)


@hypothesis.given(net=architectures(), symbols=hypothesis.strategies.booleans())
@hypothesis.settings(max_examples=5)
def test_rtrl_is_the_exact_gradient(net: Architecture, symbols: bool):
    problem = make_problem(net, steps=6, symbols=symbols)
    outputs, gradient = gradient_of(net, *data(problem), gradient="rtrl")
    assert_close(gradient, by_backpropagation(problem), 1e-9)
    assert_close(outputs, gradient_of(net, *data(problem))[0], 1e-12)


@pytest.mark.parametrize("recurrent", ["all", "cells"])
def test_snap1_is_exact_where_no_block_sees_another(recurrent: str):
    net = dataclasses.replace(COLUMNS, recurrent=recurrent)
    problem = without_sight_of_others(make_problem(net, steps=8))
    exact = by_backpropagation(problem)
    assert_close(gradient_of(net, *data(problem), gradient="snap1")[1], exact, 1e-9)
    truncated = gradient_of(net, *data(problem))[1]
    assert np.abs(truncated.layer.cell.bias - exact.layer.cell.bias).max() > 1e-3


def test_snap1_is_exact_without_recurrence_and_so_is_the_paper_s_without_peepholes():
    net = dataclasses.replace(COLUMNS, recurrent="none")
    problem = make_problem(net, steps=8)
    exact = by_backpropagation(problem)
    assert_close(gradient_of(net, *data(problem), gradient="snap1")[1], exact, 1e-9)
    net = dataclasses.replace(EVERYTHING, recurrent="none", forget_gates=True)
    problem = make_problem(net, steps=8)
    assert_close(gradient_of(net, *data(problem))[1], by_backpropagation(problem), 1e-9)


def test_snap1_cuts_the_paths_through_other_blocks_and_no_others():
    """...so it is the exact gradient of a network to whose blocks the others are inputs."""
    net = dataclasses.replace(COLUMNS, blocks=(1, 1), num_hidden=0)
    problem = make_problem(net, steps=5)
    found = gradient_of(net, *data(problem), gradient="snap1")[1]
    exact = by_backpropagation(problem)
    assert_close(found.output, exact.output, 1e-9)
    assert np.abs(found.layer.cell.input - exact.layer.cell.input).max() > 1e-4
    one_step = problem._replace(
        inputs=problem.inputs[:1], targets=problem.targets[:1], weights=problem.weights[:1]
    )
    found = gradient_of(net, *data(one_step), gradient="snap1")[1]
    assert_close(found, by_backpropagation(one_step), 1e-9)


def test_memory_of_snap1_grows_as_the_weights():
    of = lambda cells: Architecture(4, (1,) * cells, 1, recurrent="cells")
    for cells in (3, 6):
        net, problem = of(cells), make_problem(of(cells), steps=1)
        learner = init_learner(net, problem.parameters, optax.sgd(1.0), "snap1")
        in_layer = net.num_weights - cells - 1
        assert learner.traces[0].blocks.size == 2 * in_layer  # s and y_c, by every weight


def test_resets_and_masks_hold_for_the_other_gradients():
    problem = make_problem(COLUMNS, steps=6)
    take = quick_jit(learn, static_argnums=0)
    for gradient in ("snap1", "rtrl"):
        start = init_learner(COLUMNS, problem.parameters, optax.sgd(1.0), gradient)
        learner = expected = start
        for t in range(6):
            at = problem.inputs[t], problem.targets[t]
            _, learner = take(COLUMNS, learner, *at, mask=t != 4, reset=t == 3)
        for t in (0, 1, 2, 3, 5):
            if t == 3:
                expected = start._replace(gradient=expected.gradient)
            at = problem.inputs[t], problem.targets[t]
            _, expected = take(COLUMNS, expected, *at, mask=True, reset=False)
        assert_close(learner, expected, 1e-12)


def test_what_is_not_defined_is_refused_by_name():
    stack, sgd = make_stack(3, blocks=((1,), (1,)), num_outputs=1), optax.sgd(1.0)
    parameters = make_problem(EVERYTHING, steps=1).parameters
    with pytest.raises(ValueError, match="blocks must be of one size for snap1"):
        init_learner(EVERYTHING, parameters, sgd, "snap1")
    with pytest.raises(ValueError, match="gradient must be one of"):
        init_learner(EVERYTHING, parameters, sgd, "exact")  # type: ignore
    learner = init_learner(EVERYTHING, parameters, sgd, "rtrl")
    with pytest.raises(ValueError, match="learner must be one of the truncated gradient"):
        learn_chunk(EVERYTHING, learner, np.zeros((2, 3)))

    of_stack = initialise(jax.random.key(0), stack)
    with pytest.raises(ValueError, match="gradient of a Stack must be 'truncated'"):
        init_learner(stack, of_stack, sgd, "rtrl")
