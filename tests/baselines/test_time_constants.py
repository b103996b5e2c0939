"""Units with fixed time constants leak at their own rates, and at rate 0 are ordinary units."""

from __future__ import annotations

import dataclasses

import jax
import numpy as np
import pytest
import scipy.stats
from helpers import assert_close, assert_equal
from recurrent_problems import NETS, make_recurrent_problem

from lstm_jax.baselines.fully_recurrent import RecurrentNet, Weights, apply, bptt_gradient
from lstm_jax.baselines.rtrl import rtrl_gradient
from lstm_jax.baselines.time_constants import lag_task, spread, with_time_constants

pytestmark = pytest.mark.usefixtures("float64")


@pytest.mark.parametrize("gradient", [bptt_gradient, rtrl_gradient])
@pytest.mark.parametrize("name", ["full", "layered", "simple"])
def test_time_constants_of_0_are_the_ordinary_net(name: str, gradient):
    """To the last bit."""
    problem = make_recurrent_problem(NETS[name])
    zeros = dataclasses.replace(problem.net, time_constants=(0.0,) * problem.net.num_recurrent)
    assert_equal(gradient(*problem._replace(net=zeros)), gradient(*problem))


def test_a_unit_forgets_by_tau_a_step():
    """Without weights, f(net) = 1/2 and y(t) = (1 - τ^t) / 2; so far a starting value is lost."""
    tau = (0.0, 0.5, 0.99)
    net = RecurrentNet(1, 2, 1, "full", tau)
    weights = Weights(np.zeros((1, 3)), np.zeros((3, 3)), None, None)
    outputs = apply(net, weights, np.zeros((20, 1)))
    steps = np.arange(1, 21)
    assert_close(outputs[:, 0], (1 - tau[2] ** steps) / 2, 1e-13)


def test_spans_are_spaced_by_equal_factors():
    spans = 1 / (1 - np.array(spread(5, longest=81.0)))
    np.testing.assert_allclose(spans, [1, 3, 9, 27, 81], rtol=1e-9)
    assert spread(1, longest=10.0) == (0.9,)
    net = with_time_constants(RecurrentNet(7, 2, 3, "full"), longest=10.0)
    assert net.time_constants == (0.0, 0.9, 0.0, 0.0, 0.0)
    layered = with_time_constants(RecurrentNet(7, 2, 3, "layered"), longest=10.0)
    assert layered.time_constants == (0.0, 0.9)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [((0, 2.0), "count must be at least 1, got 0"), ((1, 0.5), "longest must be at least 1, got")],
)
def test_bad_spreads_are_refused(arguments: tuple, message: str):
    with pytest.raises(ValueError, match=message):
        spread(*arguments)


def test_a_long_time_constant_carries_an_error_farther():
    """The first input's share in the last output, for the same weights."""
    ordinary = RecurrentNet(1, 1, 1, "simple")
    slow = dataclasses.replace(ordinary, time_constants=(0.99,))
    problem = make_recurrent_problem(ordinary)
    shares = [
        abs(jax.grad(lambda x, net=net: apply(net, problem.weights, x)[-1, 0])(np.ones((60, 1)))[0])
        for net in (ordinary, slow)
    ]
    assert shares[1] > 1e3 * shares[0]


@pytest.mark.parametrize(("shortest", "longest"), [(1, 8), (5, 5)])
def test_a_lag_is_uniform_and_the_target_is_the_first_symbol(shortest: int, longest: int):
    batch = lag_task(shortest, longest).sample_batch(jax.random.key(0), 4000)
    lags = np.asarray(batch.length) - 1
    counts = np.bincount(lags, minlength=longest + 1)
    assert counts[:shortest].sum() == 0 and len(counts) == longest + 1
    assert scipy.stats.chisquare(counts[shortest:]).pvalue > 1e-3 or shortest == longest
    bits = np.asarray(batch.inputs[:, 0])
    np.testing.assert_array_equal(bits, batch.targets[:, 0])
    assert np.all(batch.inputs[:, 1:] == 2)
    for bit in (0, 1):  # neither more frequent nor with lags of its own
        assert abs((bits == bit).mean() - 0.5) < 4 * 0.5 / np.sqrt(4000)
        assert abs(lags[bits == bit].mean() - lags.mean()) < 0.2


def test_lags_out_of_order_are_refused():
    with pytest.raises(ValueError, match=r"shortest must be in 1 .. 4, got 5"):
        lag_task(5, 4)


def test_a_lag_must_fit_the_time_constant():
    """What is left of the first symbol q steps later, of a unit that sees nothing of itself:

    |y_x - y_y| = (1 - τ) τ^q |f(w_x) - f(w_y)|.
    """
    rng = np.random.default_rng(0)
    for tau in (0.5, 0.9):
        net = RecurrentNet(3, 1, 1, "simple", (tau,))
        weights = Weights(rng.normal(size=(3, 1)), np.zeros((1, 1)), np.ones((1, 1)), None)
        f = lambda x: 1 / (1 + np.exp(-x))
        first = abs(np.subtract(*f(weights.input[:2, 0])))
        for lag in (1, 10, 40):
            ends = []
            for bit in (0, 1):
                output = apply(net, weights, np.array([bit, *[2] * lag]))[-1, 0]
                ends.append(np.log(output / (1 - output)))  # the hidden unit's activation
            expected = (1 - tau) * tau**lag * first
            np.testing.assert_allclose(abs(ends[1] - ends[0]), expected, rtol=1e-6, atol=1e-14)
