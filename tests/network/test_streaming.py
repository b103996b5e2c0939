"""Any error on the outputs, TD(lambda) in both views, bounded steps, running moments."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers import DESCENDANT, assert_close, assert_equal, make_problem, quick_jit

from lstm_jax import streaming
from lstm_jax.cell.architecture import Architecture
from lstm_jax.cell.parameters import initialise
from lstm_jax.network.layer import apply
from lstm_jax.network.online import init_learner, learn, start_sequence, update

pytestmark = pytest.mark.usefixtures("float64")

RNG = np.random.default_rng(0)
STEPS = 9
TD = optax.chain(streaming.eligibility_traces(0.9 * 0.8), optax.sgd(0.1))


def run(optimiser: optax.GradientTransformationExtraArgs, gradients, errors, resets=None):
    """Return the updates of an optimiser at every step, with weights of 0, and its last state."""
    resets = np.zeros(len(errors), bool) if resets is None else resets

    def body(state, at):
        gradient, error, reset = at
        updates, state = optimiser.update(gradient, state, gradient, td_error=error, reset=reset)
        return state, updates

    start = optimiser.init(jnp.zeros(gradients.shape[1:]))
    state, updates = jax.lax.scan(body, start, (gradients, errors, resets))
    return np.asarray(updates), state


@pytest.mark.parametrize("output", ["identity", "logistic", "softmax"])
def test_a_signal_adds_the_gradient_of_its_product_with_the_outputs(output: str):
    problem = make_problem(DESCENDANT, steps=STEPS)
    net = DESCENDANT.__class__(**{**vars(DESCENDANT), "output": output})
    signals = RNG.normal(size=(STEPS, net.num_outputs))

    def product(parameters):
        return (apply(net, parameters, problem.inputs)[0] * signals).sum()

    def body(learner, at):
        x_t, v = at
        return learn(net, learner, x_t, signal=v)[::-1]

    start = init_learner(net, problem.parameters, optax.sgd(1.0))
    learner, _ = quick_jit(jax.lax.scan, static_argnums=0)(body, start, (problem.inputs, signals))
    assert_close(learner.gradient, quick_jit(jax.grad(product))(problem.parameters))


def test_signal_and_target_add_up_and_count_by_the_weight():
    problem = make_problem(DESCENDANT, steps=1)
    start = init_learner(DESCENDANT, problem.parameters, optax.sgd(1.0))
    x_t, target, signal = problem.inputs[0], problem.targets[0], np.array([1.0, -2.0])
    take = quick_jit(learn, static_argnums=0)
    by = lambda **error: take(DESCENDANT, start, x_t, **error)[1].gradient
    total = jax.tree.map(np.add, by(target=target), by(signal=signal))
    assert_close(by(target=target, signal=signal), total, 1e-14)
    assert_close(by(signal=signal, weight=0.5), by(signal=signal / 2), 1e-14)
    assert_equal(by(signal=np.full(2, np.nan), weight=0.0), start.gradient)


def test_inputs_that_are_not_finite_are_named_or_skipped():
    problem = make_problem(DESCENDANT, steps=1)
    start = init_learner(DESCENDANT, problem.parameters, optax.sgd(1.0))
    x_t = np.array([0.5, np.nan, np.inf])
    with pytest.raises(ValueError, match="x_t must be finite, or masked"):
        learn(DESCENDANT, start, x_t)
    outputs, learner = learn(DESCENDANT, start, x_t, signal=[1.0, 1.0], mask=False)
    assert_equal((outputs, learner), (np.zeros(2), start))


def test_with_lambda_and_discount_1_the_trace_is_the_gradient_of_the_sum():
    gradients = RNG.normal(size=(STEPS, 4))
    updates, _ = run(streaming.eligibility_traces(1.0), gradients, np.ones(STEPS))
    assert_close(updates, -np.cumsum(gradients, axis=0), 1e-14)


@pytest.mark.parametrize(("discount", "lam"), [(0.9, 0.8), (1.0, 1.0), (0.7, 0.0)])
def test_the_backward_view_of_td_lambda_is_the_forward_view(discount: float, lam: float):
    """With weights that stay as they are, over an episode (Sutton & Barto 2018, section 12.2)."""
    values, rewards = RNG.normal(size=STEPS + 1), RNG.normal(size=STEPS)
    values[-1] = 0  # that of the terminal state
    gradients = RNG.normal(size=(STEPS, 4))
    errors = rewards + discount * values[1:] - values[:-1]
    lambda_return, forward = 0.0, np.zeros(4)
    for t in reversed(range(STEPS)):
        blend = (1 - lam) * values[t + 1] + lam * lambda_return
        lambda_return = rewards[t] + discount * blend
        forward += (lambda_return - values[t]) * gradients[t]
    traces = streaming.eligibility_traces(discount * lam)
    updates, _ = run(optax.chain(traces, optax.sgd(0.5)), gradients, errors)
    assert_close(updates.sum(0), 0.5 * forward, 1e-12)


def test_a_reset_clears_the_trace_after_the_update():
    gradients, errors = RNG.normal(size=(6, 4)), RNG.normal(size=6)
    resets = np.arange(6) == 2
    for optimiser in (TD, streaming.obgd(0.5, 0.7), streaming.idbd(0.1, 1e-9, 0.7)):
        updates, _ = run(optimiser, gradients, errors, resets)
        before, _ = run(optimiser, gradients[:3], errors[:3])
        after, _ = run(optimiser, gradients[3:], errors[3:])
        np.testing.assert_allclose(updates, np.concatenate([before, after]), rtol=1e-6)


def test_obgd_follows_its_definition_and_never_overshoots():
    """|Σ x Δw| <= min(|δ|, 1) / κ for features of size 1 at most."""
    alpha, decay, kappa = 1.5, 0.9, 2.0
    features, errors = RNG.uniform(-1, 1, (50, 6)), 3 * RNG.normal(size=50)
    updates, _ = run(streaming.obgd(alpha, decay, kappa), features, errors)
    trace = np.zeros(6)
    for x, error, found in zip(features, errors, updates, strict=True):
        trace = decay * trace + x
        bound = alpha * kappa * max(abs(error), 1) * np.abs(trace).sum()
        assert_close(found, alpha / max(1, bound) * error * trace, 1e-12)
        assert np.abs(found).sum() <= min(abs(error), 1) / kappa + 1e-12


@pytest.mark.parametrize("decay", [0.0, 0.7])
def test_idbd_follows_its_definition(decay: float):
    """...of a linear prediction of targets, or of TIDBD(lambda); by loops in NumPy."""
    features, errors = RNG.normal(size=(30, 3)), RNG.normal(size=30)
    found, _ = run(streaming.idbd(0.05, 0.02, decay), features, errors)
    beta, h, z = np.full(3, np.log(0.05)), np.zeros(3), np.zeros(3)
    for t, (x, error) in enumerate(zip(features, errors, strict=True)):
        for i in range(3):
            beta[i] += 0.02 * error * x[i] * h[i]
            alpha = np.exp(beta[i])
            z[i] = decay * z[i] + x[i]
            step = alpha * error * z[i]
            assert abs(found[t, i] - step) < 1e-12
            h[i] = h[i] * max(0.0, 1 - alpha * x[i] * z[i]) + step
    assert np.ptp(beta) > 0.01


VALUE = Architecture(num_inputs=3, blocks=(1, 1), num_outputs=1, output="identity")


def episode(learner, inputs, rewards, resets):
    """Learn values by TD(lambda), as the documentation of the package says."""

    def body(learner, at):
        x_t, next_x, reward, reset = at
        value, learner = learn(VALUE, learner, x_t, signal=[1.0])
        next_value, _ = learn(VALUE, learner, next_x)
        error = reward + jnp.where(reset, 0, 0.9 * next_value[0]) - value[0]
        return update(TD, learner, td_error=error, reset=reset), error

    return jax.lax.scan(body, learner, (inputs[:-1], inputs[1:], rewards, resets))


def test_td_lambda_under_scan_vmap_and_donation_is_that_of_single_steps():
    inputs, rewards = RNG.normal(size=(2, 5, 3)), RNG.normal(size=(2, 4))
    resets = np.array([[False, False, True, False]] * 2)
    networks = [initialise(jax.random.key(i), VALUE, dtype=float) for i in range(2)]
    starts = [init_learner(VALUE, parameters, TD) for parameters in networks]
    singly = []
    for learner, *data in zip(starts, inputs, rewards, resets, strict=True):
        for t in range(4):
            part = data[0][t : t + 2], data[1][t : t + 1], data[2][t : t + 1]
            learner, _ = quick_jit(episode)(learner, *part)
        singly.append(learner)
    stack = lambda trees: jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)
    many = quick_jit(jax.vmap(episode), donate_argnums=0)
    found, _ = many(stack(starts), inputs, rewards, resets)
    assert_close(found, stack(singly), 1e-12)
    fresh = start_sequence(VALUE, starts[0])
    assert_equal(fresh.optimiser_state, starts[0].optimiser_state)


def test_moments_are_those_of_numpy_and_skip_what_is_not_finite():
    data = RNG.normal(3.0, 2.0, (20, 2))
    data[RNG.random((20, 2)) < 0.3] = np.nan
    moments = streaming.init_moments((2,), float)
    for t, x_t in enumerate(data):
        found, moments = streaming.normalise(moments, x_t)
        for i in range(2):
            seen = data[: t + 1, i][np.isfinite(data[: t + 1, i])]
            deviation = seen.std(ddof=1) if len(seen) > 1 else 1.0
            expected = 0.0 if np.isnan(x_t[i]) else (x_t[i] - seen.mean()) / deviation
            assert abs(found[i] - expected) < 1e-12
    assert_close(moments.mean, np.nanmean(data, axis=0), 1e-12)


def test_rewards_are_divided_by_the_deviation_of_their_discounted_sum():
    rewards, resets = RNG.normal(size=12), np.arange(12) % 5 == 4
    state, totals, total = streaming.init_reward_scale(float), [], 0.0
    for reward, reset in zip(rewards, resets, strict=True):
        found, state = streaming.scale_reward(state, reward, discount=0.9, reset=reset)
        total = 0.9 * total + reward
        totals.append(total)
        total = 0.0 if reset else total
        deviation = np.std(totals, ddof=1) if len(totals) > 1 else 1.0
        assert abs(found - reward / deviation) < 1e-12


def test_sparse_weights_keep_their_share_of_every_fan_in():
    net = Architecture(num_inputs=40, blocks=(1,) * 30, num_outputs=2)
    parameters = initialise(jax.random.key(0), net)
    sparse = streaming.sparsify(jax.random.key(1), parameters, 0.9)
    kept = np.asarray(sparse.layer.cell.input) != 0
    np.testing.assert_array_equal(kept.sum(0), 4)
    assert_equal(np.where(kept, parameters.layer.cell.input, 0), sparse.layer.cell.input)
    assert_equal(sparse.layer.cell.bias, parameters.layer.cell.bias)
    assert len(np.unique(kept, axis=1).T) > 25  # columns are drawn independently
