"""Losses are what their names say, and their derivatives are the paper's e_k."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import oracle
import pytest
from helpers import assert_close, from_oracle, make_problem, oracle_arguments, quick_jit
from scipy.special import expit, log_softmax, softmax

from lstm_jax.cell.architecture import Architecture
from lstm_jax.cell.scan import Steps
from lstm_jax.network.layer import apply, net_inputs_only
from lstm_jax.network.losses import (
    LOSSES,
    Loss,
    cross_entropy,
    half_squared_error,
    ignore_within_tolerance,
    softmax_cross_entropy,
)
from lstm_jax.network.online import online_gradient
from lstm_jax.network.run import RunOptions

pytestmark = pytest.mark.usefixtures("float64")

NETS = np.linspace(-6, 6, 13)
CASES = [*LOSSES.values(), Loss(0.5, 2.0, tolerance=0.3), Loss(tolerance=0.3)]
every_loss = pytest.mark.parametrize("loss", CASES, ids=str)


def test_half_squared_error_by_hand():
    outputs, targets = np.array([[1.0, 0.0], [0.5, 0.5]]), np.array([[0.0, 0.0], [1.0, 0.0]])
    assert half_squared_error(outputs, targets) == 0.5 * (1 + 0.25 + 0.25)
    assert half_squared_error(outputs, targets, np.array([0.0, 2.0])) == 0.5
    assert half_squared_error(outputs, targets, np.array([True, False])) == 0.5
    assert half_squared_error(outputs[1], targets[1]) == 0.25
    assert half_squared_error(outputs[1].astype(np.float32), np.array([1, 0])) == 0.25
    gradient = jax.grad(half_squared_error)(outputs, targets, np.array([1.0, 3.0]))
    np.testing.assert_array_equal(gradient, [[1.0, 0.0], [-1.5, 1.5]])  # y - target: eq. 19


@pytest.mark.parametrize("weights", [np.array([1.0, 0.0]), np.array([True, False])])
def test_targets_of_weight_zero_may_be_anything(weights: np.ndarray):
    outputs, targets = np.array([[0.5], [0.5]]), np.array([[1.0], [np.nan]])
    error, gradient = jax.value_and_grad(half_squared_error)(outputs, targets, weights)
    assert error == 0.125
    np.testing.assert_array_equal(gradient, [[-0.5], [0.0]])


@pytest.mark.parametrize("target", [0.0, 0.3, 1.0])
def test_cross_entropy_is_that_of_a_bernoulli_variable(target: float):
    for net in NETS:
        y = expit(net)
        expected = -target * np.log(y) - (1 - target) * np.log(1 - y)
        found = cross_entropy(jnp.array([net]), jnp.array([target]))
        np.testing.assert_allclose(found, expected, rtol=1e-12)
    derivatives = jax.vmap(jax.grad(lambda net: cross_entropy(net[None], jnp.array([target]))))
    np.testing.assert_allclose(derivatives(NETS), expit(NETS) - target, rtol=1e-12, atol=1e-15)


def test_cross_entropy_is_finite_with_a_gradient_for_the_worst_outputs():
    net, target = jnp.array([-1e4, 1e4]), jnp.array([1.0, 0.0])
    value, gradient = jax.value_and_grad(cross_entropy)(net, target)
    assert value == 2e4
    np.testing.assert_array_equal(gradient, [-1.0, 1.0])


@every_loss
def test_e_k_is_the_closed_form(loss: Loss):
    """e_k = (squared f' + cross_entropy) (t_k - y_k), eq. 19 for E / 2; 0 within the tolerance."""
    targets = np.tile([0.0, 0.4, 1.0], 5)[: len(NETS)]
    y = expit(NETS)
    e_k = (loss.squared * y * (1 - y) + loss.cross_entropy) * (targets - y)
    e_k[np.abs(targets - y) <= loss.tolerance] = 0
    np.testing.assert_allclose(-jax.grad(loss)(NETS, targets), e_k, rtol=1e-12, atol=1e-16)


@every_loss
def test_gradients_equal_the_oracle(loss: Loss):
    """Through the whole network, by the truncation rule, from the outputs' net inputs."""
    net = Architecture(num_inputs=2, blocks=(2, 1), num_outputs=2, num_hidden=1)
    problem = make_problem(net, steps=6, padding="length", errors="some", seed=4)
    linear = dataclasses.replace(net, output="identity")

    @quick_jit
    def gradient(parameters):
        def total(parameters):
            nets, _ = apply(linear, parameters, problem.inputs, steps=Steps(mask=problem.mask))
            return loss(nets, problem.targets, problem.weights * problem.mask)

        return jax.grad(total)(parameters)

    expected = oracle.gradient(*oracle_arguments(problem), error=oracle.Loss(**vars(loss)))
    assert_close(gradient(problem.parameters), from_oracle(expected))


def test_linear_units_have_e_k_of_their_difference():
    nets, targets = jnp.array([2.0, -0.5]), jnp.array([1.0, 0.0])
    assert Loss()(nets, targets, output="identity") == half_squared_error(nets, targets)
    gradient = jax.grad(lambda nets: Loss()(nets, targets, output="identity"))(nets)
    np.testing.assert_array_equal(gradient, [1.0, -0.5])


def test_within_the_tolerance_outputs_count_as_reached():
    outputs, targets = jnp.array([[0.1, 0.5], [0.75, 0.3]]), jnp.array([[0.0, 0.0], [1.0, 0.0]])
    np.testing.assert_array_equal(ignore_within_tolerance(outputs, targets, None), outputs)
    np.testing.assert_array_equal(
        ignore_within_tolerance(outputs, targets, 0.25), [[0, 0.5], [1, 0.3]]
    )
    by_step = jnp.array([0.0, 0.3])
    np.testing.assert_array_equal(
        ignore_within_tolerance(outputs, targets, by_step), [[0.1, 0.5], [1, 0]]
    )


@pytest.mark.parametrize("weights", [np.array([1.0, 0.0]), np.array([True, False])])
@every_loss
def test_every_loss_ignores_targets_of_weight_zero(loss: Loss, weights: np.ndarray):
    net, targets = np.array([[0.5], [0.5]]), np.array([[1.0], [np.nan]])
    value, gradient = jax.value_and_grad(loss)(net, targets, weights)
    alone, gradient_alone = jax.value_and_grad(loss)(net[:1], targets[:1])
    assert value == alone
    np.testing.assert_array_equal(gradient, [gradient_alone[0], [0.0]])


def test_undefined_losses_are_refused():
    with pytest.raises(
        ValueError, match="cross entropy needs output units 'logistic' or 'softmax', got 'tanh'"
    ):
        LOSSES["cross_entropy"](jnp.zeros(1), jnp.zeros(1), output="tanh")
    with pytest.raises(ValueError, match="squared and cross_entropy must not both be 0"):
        Loss(0.0, 0.0)


def test_weights_are_those_of_steps():
    outputs = jnp.zeros((4, 2))
    for loss in (half_squared_error, cross_entropy):
        for weights in (jnp.ones(3), jnp.ones((4, 2)), jnp.ones(())):
            with pytest.raises(ValueError, match=r"weights must be \[T\] .* for \(4, 2\)"):
                loss(outputs, outputs, weights)


# Softmax ---------------------------------------------------------------------------------------

SCORES = np.random.default_rng(0).normal(size=(5, 3))
CLASSES = np.array([2, 0, 1, 1, 2])
ONE_HOT = np.eye(3)[CLASSES]


def test_softmax_cross_entropy_is_minus_the_log_probability_of_the_class():
    expected = -log_softmax(SCORES, axis=1)[np.arange(5), CLASSES]
    np.testing.assert_allclose(softmax_cross_entropy(SCORES, CLASSES), expected.sum(), rtol=1e-14)
    for net, target, value in zip(SCORES, CLASSES, expected, strict=True):
        np.testing.assert_allclose(softmax_cross_entropy(net, target), value, rtol=1e-14)


def test_one_hot_targets_are_their_classes_and_mixtures_their_mean():
    loss = lambda targets: softmax_cross_entropy(SCORES, targets)
    assert loss(ONE_HOT) == loss(CLASSES) == loss(ONE_HOT.astype(int))
    other = np.roll(CLASSES, 1)
    mixture = 0.25 * ONE_HOT + 0.75 * np.eye(3)[other]
    np.testing.assert_allclose(loss(mixture), 0.25 * loss(CLASSES) + 0.75 * loss(other))


def test_its_error_at_the_net_inputs_is_the_closed_form():
    """e_k = w_t c_class (t_k - y_k): the paper's difference without f', weighted."""
    weights, class_weights = np.array([1.0, 0.0, 2.0, 0.5, 1.0]), np.array([1.0, 3.0, 0.5])
    gradient = jax.grad(softmax_cross_entropy)(
        SCORES, CLASSES, weights, class_weights=class_weights
    )
    factors = (weights * class_weights[CLASSES])[:, None]
    expected = factors * (softmax(SCORES, axis=1) - ONE_HOT)
    np.testing.assert_allclose(gradient, expected, rtol=1e-12, atol=1e-16)


def test_classes_of_steps_of_weight_zero_may_be_anything():
    for weights in ([1.0, 0.0], [True, False]):
        found = softmax_cross_entropy(SCORES[:2], np.array([2, -1]), np.array(weights))
        assert found == softmax_cross_entropy(SCORES[:1], CLASSES[:1])


def test_softmax_cross_entropy_is_finite_for_the_worst_outputs():
    value, gradient = jax.value_and_grad(softmax_cross_entropy)(jnp.array([-1e4, 1e4]), 0)
    assert value == 2e4
    np.testing.assert_array_equal(gradient, [-1.0, 1.0])


SOFTMAX = Architecture(num_inputs=2, blocks=(2, 1), num_outputs=3, num_hidden=1, output="softmax")


def test_softmax_outputs_are_the_softmax_of_the_net_inputs():
    """...with lanes too, whose axis comes after that of the classes, and 0 at padding."""
    problem = make_problem(SOFTMAX, steps=6)
    lanes = jax.tree.map(lambda w: np.stack([w, 2 * w], axis=-1), problem.parameters)
    inputs = np.stack([problem.inputs, problem.inputs], axis=-1)
    for at, axis in (("end", 0), ("every_step", 1)):
        found, net = (
            apply(a, lanes, inputs, at=at, steps=Steps(length=4))[0]
            for a in (SOFTMAX, net_inputs_only(SOFTMAX))
        )
        expected = softmax(net, axis=axis)
        if at == "every_step":
            expected[4:] = 0
        assert_close(found, expected, 1e-14)


@pytest.mark.parametrize("loss", [LOSSES["cross_entropy"], Loss()], ids=str)
def test_all_ways_to_a_softmax_s_truncated_gradient_agree(loss: Loss):
    """...and with no recurrent connections, where nothing is cut, it is the exact one."""
    net = dataclasses.replace(SOFTMAX, recurrent=False)
    for architecture in (SOFTMAX, net):
        problem = make_problem(architecture, steps=6, seed=3)
        targets = np.eye(3)[[0, 2, 1, 1, 0, 2]]

        def gradient(name, architecture=architecture, problem=problem, targets=targets):
            def total(parameters):
                linear, options = net_inputs_only(architecture), RunOptions(gradient=name)
                scores, _ = apply(linear, parameters, problem.inputs, options=options)
                return loss(scores, targets, output="softmax")

            return quick_jit(jax.grad(total))(problem.parameters)

        found = gradient("truncated")
        _, online = online_gradient(
            architecture, problem.parameters, problem.inputs, targets, loss=loss
        )
        for other in (online, gradient("truncated_autodiff")):
            assert_close(found, other)
        if architecture is net:
            assert_close(found, gradient("full"))


def test_a_softmax_s_squared_error_is_that_of_its_outputs():
    direct = lambda net: half_squared_error(jax.nn.softmax(net, axis=1), ONE_HOT)
    by_loss = lambda net: Loss()(net, ONE_HOT, output="softmax")
    assert_close(jax.value_and_grad(by_loss)(SCORES), jax.value_and_grad(direct)(SCORES), 1e-14)


def test_what_a_softmax_cannot_have_is_refused():
    with pytest.raises(ValueError, match=r"num_outputs of a softmax must be .* at least 2"):
        Architecture(num_inputs=2, blocks=(1,), num_outputs=1, output="softmax")
    with pytest.raises(ValueError, match="tolerance must be 0 for output 'softmax'"):
        Loss(0.0, 1.0, tolerance=0.1)(SCORES, ONE_HOT, output="softmax")


@pytest.mark.parametrize("at", ["end", "every_step"])
def test_the_loss_of_a_padded_sequence_is_that_of_the_sequence_alone(at):
    problem, length = make_problem(SOFTMAX, steps=6), 4
    inputs = np.concatenate([problem.inputs[:length], np.full((2, 2), np.nan)])

    def loss(parameters, inputs):
        steps = Steps(length=length)
        net, _ = apply(net_inputs_only(SOFTMAX), parameters, inputs, at=at, steps=steps)
        if at == "end":
            return softmax_cross_entropy(net, 1)
        is_real = np.arange(len(inputs)) < length
        targets = np.where(is_real, 1, -1)
        return softmax_cross_entropy(net, targets, is_real)

    run = jax.value_and_grad(loss)
    assert_close(run(problem.parameters, inputs), run(problem.parameters, inputs[:length]), 1e-12)
