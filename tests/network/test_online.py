"""The forward traces of eqs. 25-28 give the truncated gradient, in memory that does not grow."""

from __future__ import annotations

import dataclasses
import functools

import hypothesis
import jax
import jax.numpy as jnp
import numpy as np
import optax
import oracle
import pytest
from helpers import (
    EVERYTHING,
    Problem,
    assert_close,
    assert_equal,
    from_oracle,
    make_problem,
    oracle_arguments,
    problems,
    quick_jit,
    random_parameters,
    with_errors,
)

from lstm_jax.cell.architecture import Architecture
from lstm_jax.cell.parameters import initialise
from lstm_jax.network.chunkwise import learn_chunk
from lstm_jax.network.layer import apply
from lstm_jax.network.losses import LOSSES, Loss, half_squared_error
from lstm_jax.network.online import init_learner, learn, online_gradient, start_sequence, update

pytestmark = pytest.mark.usefixtures("float64")

RATE = 0.3
LOGISTIC = dataclasses.replace(EVERYTHING, output="logistic")
SGD = optax.sgd(RATE)
gradient_of = quick_jit(online_gradient, static_argnums=0)


def data(problem: Problem) -> tuple:
    return problem.parameters, problem.inputs, problem.targets, problem.weights


def descend(parameters, gradient):
    """One step of plain gradient descent."""
    return jax.tree.map(lambda w, g: w - RATE * g, parameters, gradient)


@hypothesis.given(problem=problems(paddings=("none",)))
@hypothesis.settings(max_examples=10)
def test_equals_the_oracle(problem: Problem):
    problem = problem._replace(initial_state=None)
    for errors in ("every", "some", "end"):
        problem = with_errors(problem, errors)
        outputs, gradient = gradient_of(problem.architecture, *data(problem))
        arguments = oracle_arguments(problem)
        assert_close(gradient, from_oracle(oracle.gradient(*arguments)))
        assert_close(outputs, oracle.forward(*arguments)["output"], 1e-12)


@pytest.mark.parametrize("loss", [*LOSSES.values(), Loss(0.5, 0.2, tolerance=0.4)])
def test_every_loss_has_the_oracle_s_gradient(loss: Loss):
    """By steps, by chunks and by sequences."""
    problem = make_problem(LOGISTIC, steps=7)
    arguments = oracle_arguments(problem)
    of_1997 = from_oracle(oracle.gradient(*arguments))
    expected = from_oracle(oracle.gradient(*arguments, error=oracle.Loss(**vars(loss))))
    assert loss == Loss() or np.any(np.abs(expected.output.bias - of_1997.output.bias) > 1e-3)

    static = {"static_argnums": 0, "static_argnames": "loss"}
    _, gradient = quick_jit(online_gradient, **static)(LOGISTIC, *data(problem), loss=loss)
    assert_close(gradient, expected)
    start = init_learner(LOGISTIC, problem.parameters, SGD)
    inputs, targets, weights = problem.inputs, problem.targets, problem.weights
    take, steps = quick_jit(learn, **static), start
    for x_t, target, weight in zip(inputs, targets, weights, strict=True):
        _, steps = take(LOGISTIC, steps, x_t, target, weight=weight, loss=loss)
    assert_close(steps.gradient, expected)
    _, chunk = learn_chunk(LOGISTIC, start, inputs, targets, weights=weights, loss=loss)
    assert_close(chunk.gradient, expected)


def test_wide_networks_equal_the_oracle():
    net = Architecture(40, (2, 1), 2, num_hidden=30, input_to_output=True)
    problem = make_problem(net, steps=5, symbols=True)
    gradient = gradient_of(net, *data(problem))[1]
    assert_close(gradient, from_oracle(oracle.gradient(*oracle_arguments(problem))))


def test_error_weights_may_be_booleans_and_their_targets_anything():
    problem = make_problem(EVERYTHING, steps=6)
    counts = np.arange(6) % 3 == 0
    targets = np.where(counts[:, None], problem.targets, np.nan)
    found = gradient_of(EVERYTHING, problem.parameters, problem.inputs, targets, counts)
    expected = data(problem._replace(weights=counts.astype(np.float64)))
    assert_equal(found, gradient_of(EVERYTHING, *expected))


def test_no_steps_give_no_gradient():
    outputs, gradient = gradient_of(EVERYTHING, *data(make_problem(EVERYTHING, steps=0)))
    assert outputs.shape == (0, 2)
    assert_equal(gradient, jax.tree.map(np.zeros_like, gradient))


def test_stream_with_a_target_now_and_then():
    # One learner fed by hand, twice: `target=None` and a target of weight 0 are the same.
    problem = make_problem(EVERYTHING, steps=7)
    weights = np.array([0, 1, 0, 0, 0.5, 0, 1.0])
    take = quick_jit(learn, static_argnums=0)
    learner = other = init_learner(EVERYTHING, problem.parameters, SGD)
    predictions = []
    for x_t, target, weight in zip(problem.inputs, problem.targets, weights, strict=True):
        prediction, other = take(EVERYTHING, other, x_t, target, weight=weight)
        y, learner = take(EVERYTHING, learner, x_t, target if weight else None, weight=weight)
        assert_close(y, prediction, 1e-15)
        predictions.append(y)
    outputs, gradient = gradient_of(EVERYTHING, *data(problem._replace(weights=weights)))
    assert_close(np.stack(predictions), outputs, 1e-14)
    assert_close(learner.gradient, gradient, 1e-14)
    assert_close(other, learner, 1e-14)
    assert_equal(learner.parameters, problem.parameters)


@hypothesis.given(problem=problems(paddings=("none",)), cut=hypothesis.strategies.integers(0, 9))
@hypothesis.settings(max_examples=6)
def test_a_chunk_equals_its_steps_one_by_one(problem: Problem, cut: int):
    """...wherever the stream is cut into two, so that errors meet traces of before."""
    problem = problem._replace(initial_state=None)
    net, steps = problem.architecture, len(problem.inputs)
    take = quick_jit(learn, static_argnums=0)
    start = init_learner(net, problem.parameters, SGD)
    one_by_one, chunks, outputs = start, start, []
    for t in range(steps):
        at = problem.inputs[t], problem.targets[t]
        y, one_by_one = take(net, one_by_one, *at, weight=problem.weights[t])
        outputs.append(y)
    cut = min(cut, steps)
    found = []
    for part in (slice(0, cut), slice(cut, steps)):
        y, chunks = quick_jit(learn_chunk, static_argnums=0)(
            net, chunks, problem.inputs[part], problem.targets[part], weights=problem.weights[part]
        )
        found.append(y)
    assert_close(np.concatenate(found), np.stack(outputs))
    assert_close(chunks, one_by_one)


def test_a_chunk_without_targets_moves_state_and_traces_alone():
    problem = make_problem(EVERYTHING, steps=7)
    start = init_learner(EVERYTHING, problem.parameters, SGD)
    outputs, learner = learn_chunk(EVERYTHING, start, problem.inputs)
    weights = jnp.zeros(7)
    expected = learn_chunk(EVERYTHING, start, problem.inputs, problem.targets, weights=weights)
    assert_close((outputs, learner), expected)
    assert_equal(learner.gradient, start.gradient)
    assert np.any(learner.traces[0].cell.input)


def test_start_sequence_forgets_state_and_traces_but_not_what_was_learned():
    problem = make_problem(EVERYTHING, steps=3)
    take = quick_jit(learn, static_argnums=0)
    fresh = learner = init_learner(EVERYTHING, problem.parameters, optax.sgd(0.1, momentum=0.9))
    for x_t, target in zip(problem.inputs, problem.targets, strict=True):
        _, learner = take(EVERYTHING, learner, x_t, target)
    learner = update(optax.sgd(0.1, momentum=0.9), learner)
    again = start_sequence(EVERYTHING, learner)
    assert_equal((again.state, again.traces), (fresh.state, fresh.traces))
    assert np.any(learner.state.internal_state)
    assert np.any(learner.traces[0].cell.input)
    assert_equal(again._replace(state=learner.state, traces=learner.traces), learner)


def test_update_per_sequence_is_a_step_down_the_truncated_gradient():
    problem, learner = make_problem(EVERYTHING, steps=12), None
    sequences = [slice(0, 4), slice(4, 9), slice(9, 12)]

    @quick_jit
    def truncated(parameters, inputs, targets):
        def loss(parameters):
            return half_squared_error(apply(EVERYTHING, parameters, inputs)[0], targets)

        return descend(parameters, jax.grad(loss)(parameters))

    @quick_jit
    def online(learner, inputs, targets):
        def body(learner, at):
            return learn(EVERYTHING, learner, *at)[::-1]

        learner, _ = jax.lax.scan(body, start_sequence(EVERYTHING, learner), (inputs, targets))
        return update(SGD, learner)

    parameters = problem.parameters
    learner = init_learner(EVERYTHING, parameters, SGD)
    for part in sequences:
        parameters = truncated(parameters, problem.inputs[part], problem.targets[part])
        learner = online(learner, problem.inputs[part], problem.targets[part])
        assert_close(learner.parameters, parameters, 1e-12)
        assert not any(np.any(leaf) for leaf in jax.tree.leaves(learner.gradient))


def test_update_per_step_uses_each_steps_error_with_the_traces_so_far():
    # By hand: the gradient of one step's error with the weights fixed until then is the
    # difference of the gradients of two prefixes.
    problem = make_problem(EVERYTHING, steps=2)
    first = with_errors(problem, "every")._replace(weights=np.array([1.0, 0.0]))
    take = quick_jit(learn, static_argnums=0)
    learner = init_learner(EVERYTHING, problem.parameters, SGD)
    _, learner = take(EVERYTHING, learner, problem.inputs[0], problem.targets[0])
    learner = update(SGD, learner)
    parameters = descend(problem.parameters, gradient_of(EVERYTHING, *data(first))[1])
    assert_close(learner.parameters, parameters, 1e-12)

    y, learner = take(EVERYTHING, learner, problem.inputs[1], problem.targets[1])
    assert_close(learner.gradient.output.bias, (y - problem.targets[1]) * y * (1 - y), 1e-14)
    # The cell's trace (eq. 27) holds the first step's share, computed with the weights of then.
    state, cell_input = learner.state, learner.traces[0].cell.bias
    assert np.any(cell_input != 0)
    squashed = np.tanh(state.internal_state / 2)
    delta_y = learner.parameters.output.cell @ ((y - problem.targets[1]) * y * (1 - y))
    y_out = np.asarray(state.output_gate)[[0, 0, 1]]
    delta_s = y_out * (1 - squashed**2) / 2 * delta_y  # eq. 23
    assert_close(learner.gradient.layer.cell.bias, delta_s * learner.traces[0].cell.bias, 1e-12)


RECALL = Architecture(num_inputs=3, blocks=(1, 1), num_outputs=1)


def stream(steps: int) -> tuple:
    """Learns to say which symbol, 0 or 1, came two steps ago, before 2 and 2; then starts again.

    Inputs are made inside the loop from the number of the step. Returns the learner, and the mean
    error of the answers in the first and in the second half.
    """
    parameters = initialise(jax.random.key(1), RECALL, dtype=np.float32)
    learner = init_learner(RECALL, parameters, SGD)

    def body(carry: tuple, _: None) -> tuple:
        step, learner, errors = carry
        place = step % 3
        is_start, is_end = place == 0, place == 2
        symbol = jax.random.bernoulli(jax.random.fold_in(jax.random.key(0), step - place))
        symbol = symbol.astype(np.int32)
        learner = jax.tree.map(
            lambda new, old: jnp.where(is_start, new, old), start_sequence(RECALL, learner), learner
        )
        target = symbol[None].astype(np.float32)
        y, learner = learn(RECALL, learner, jnp.where(is_start, symbol, 2), target, weight=is_end)
        error = jnp.where(is_end, jnp.abs(y - target)[0], 0)
        errors = errors.at[(2 * step >= steps).astype(np.int32)].add(error)
        return (step + 1, update(SGD, learner), errors), None

    carry = (jnp.zeros((), np.int32), learner, jnp.zeros(2, np.float32))
    _, learner, errors = jax.lax.scan(body, carry, None, length=steps)[0]
    return learner, errors / (steps / 6)


def test_learning_while_streaming_in_one_compiled_scan():
    learner, (early, late) = jax.jit(stream, static_argnums=0)(10_000)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(learner))
    assert early > 0.3  # guessing is off by 0.5
    assert late < 0.1


def test_a_million_steps_need_no_more_memory_than_a_thousand():
    def temporary_bytes(steps: int) -> int:
        compiled = jax.jit(stream, static_argnums=0).lower(steps).compile()
        return compiled.memory_analysis().temp_size_in_bytes

    assert temporary_bytes(1_000) == temporary_bytes(1_000_000) > 0


def test_learners_of_many_networks_by_vmap():
    problem = make_problem(EVERYTHING, steps=5)
    networks = [random_parameters(EVERYTHING, seed) for seed in range(3)]
    run = functools.partial(online_gradient, EVERYTHING)
    expected = [quick_jit(run)(parameters, *data(problem)[1:]) for parameters in networks]
    stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *networks)
    by_vmap = quick_jit(jax.vmap(run, in_axes=(0, None, None, None)))
    found = by_vmap(stacked, *data(problem)[1:])
    assert_close(found, jax.tree.map(lambda *leaves: np.stack(leaves), *expected), 1e-12)
