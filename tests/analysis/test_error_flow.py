"""Error flow over q steps: exactly 1.0 in the carrousel, decaying in other nets (eqs. 1-2)."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import EVERYTHING, assert_close, make_problem, random_parameters
from recurrent_problems import NETS, make_recurrent_problem

from lstm_jax.analysis.error_flow import carrousel_factors, error_bound, recurrent_factors
from lstm_jax.baselines.fully_recurrent import RecurrentNet, Weights
from lstm_jax.cell.architecture import Architecture
from lstm_jax.cell.records import State
from lstm_jax.network.layer import unroll
from lstm_jax.network.run import RunOptions


def test_the_carrousel_keeps_errors_unchanged():
    """Exactly 1.0 from every cell to itself and 0.0 to others, for q = 1 .. 1000, in float32."""
    parameters = jax.tree.map(jnp.float32, random_parameters(EVERYTHING))
    inputs = np.random.default_rng(0).normal(size=(1001, EVERYTHING.num_inputs))
    factors = carrousel_factors(EVERYTHING, parameters, jnp.float32(inputs))
    cells = EVERYTHING.num_cells
    np.testing.assert_array_equal(factors, np.broadcast_to(np.eye(cells), (1000, cells, cells)))


def test_without_recurrent_connections_the_full_gradient_has_the_carrousel_alone():
    net = Architecture(num_inputs=2, blocks=(2,), num_outputs=1, recurrent=False)
    inputs = np.random.default_rng(0).normal(size=(30, 2)).astype(np.float32)
    parameters = jax.tree.map(jnp.float32, random_parameters(net))
    for paths in ("truncated", "full"):
        factors = carrousel_factors(net, parameters, inputs, paths)
        np.testing.assert_array_equal(factors, np.broadcast_to(np.eye(2), (29, 2, 2)))


@pytest.mark.usefixtures("float64")
def test_the_full_gradient_takes_all_other_paths_too():
    """...as the derivative of the last state by the one of q steps before, through `unroll`."""
    problem = make_problem(EVERYTHING, steps=7, seed=1)
    net, parameters, inputs = problem[:3]
    factors = carrousel_factors(net, parameters, inputs, "full")
    for q in range(1, 7):
        before = _state_after(problem, 6 - q)

        def last(change: jax.Array, before: State = before, q: int = q):
            state = before._replace(internal_state=before.internal_state + change)
            rest = inputs[6 - q :]
            return unroll(
                net, parameters, rest, initial_state=state, options=RunOptions(gradient="full")
            )[1]

        by_state = jax.jacrev(lambda change: last(change).internal_state)(
            jnp.zeros_like(before.internal_state)
        )
        assert_close(factors[q - 1], by_state.T, 1e-11)
    assert np.abs(factors - np.eye(net.num_cells)[None]).max() > 0.1


def _state_after(problem, steps: int) -> State:
    """The state before step number `steps`: what is added to it is added to s of that step."""
    _, state = unroll(problem.architecture, problem.parameters, problem.inputs[:steps])
    return state


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("w", [0.5, -1.0, 4.0, 6.0])
def test_one_logistic_unit_scales_an_error_by_its_derivative_times_its_weight(w: float):
    """The product of f'(net) w over the steps, which is at most (0.25 |w|)^q."""
    net = RecurrentNet(1, 0, 1, "full")
    weights = Weights(np.array([[1.0]]), np.array([[w]]), None, None)
    inputs = np.random.default_rng(0).normal(size=(12, 1))
    y, factor, derivatives = 0.0, 1.0, []
    for x in inputs[:, 0]:
        y = 1 / (1 + np.exp(-(x + w * y)))
        derivatives.append(y * (1 - y))
    found = recurrent_factors(net, weights, inputs)
    for q in range(1, 12):
        factor *= derivatives[-1 - q] * w
        np.testing.assert_allclose(found[q - 1, 0, 0], factor, rtol=1e-13)
        assert abs(factor) <= (0.25 * abs(w)) ** q
    np.testing.assert_allclose(error_bound(weights, 11), (0.25 * abs(w)) ** np.arange(1, 12))


@pytest.mark.usefixtures("float64")
def test_a_balanced_logistic_unit_reaches_the_bound():
    """With net = 0 throughout, f' = 0.25: a weight of 4.0, and no other, keeps an error."""
    net = RecurrentNet(1, 0, 1, "full")
    for w in (3.9, 4.0, 4.1):
        inputs = np.full((101, 1), -w / 2)  # y = 1/2
        inputs[0] = 0.0
        weights = Weights(np.array([[1.0]]), np.array([[w]]), None, None)
        found = recurrent_factors(net, weights, inputs)[:, 0, 0]
        assert_close(found, error_bound(weights, 100), 1e-12)
        np.testing.assert_allclose(found[-1], (w / 4) ** 100)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("name", NETS)
def test_factors_are_derivatives_by_the_net_inputs_of_earlier_steps(name: str):
    """∂ϑ_v(t-q)/∂ϑ_u(t) = ∂net_u(t)/∂net_v(t-q), here by forward differentiation of a loop."""
    problem = make_recurrent_problem(NETS[name], seed=1)
    weights, inputs, *_, tau = problem.for_oracle()

    def last_net(changes: jax.Array) -> jax.Array:
        y = net = jnp.zeros(len(tau))
        for x, change in zip(inputs, changes, strict=True):
            net = weights["input"].T @ x + weights["recurrent"].T @ y + change
            y = tau * y + (1 - tau) / (1 + jnp.exp(-net))
        return net

    derivatives = jax.jacfwd(last_net)(jnp.zeros((len(inputs), len(tau))))  # [u, t, v]
    found = recurrent_factors(problem.net, problem.weights, problem.sequence.inputs)
    assert_close(found, jnp.transpose(derivatives, (1, 2, 0))[:-1][::-1], 1e-12)


@pytest.mark.parametrize("scale", [0.2, 1.0, 5.0])
@pytest.mark.parametrize("seed", range(4))
def test_no_error_exceeds_the_bound(seed: int, scale: float):
    """|∂ϑ_v(t-q)/∂ϑ_u(t)| <= n (f'max ||W||)^q, whatever the weights and inputs."""
    rng = np.random.default_rng(seed)
    net = RecurrentNet(2, 3, 2, "full")
    weights = Weights(
        np.float32(rng.normal(size=(2, 5))), np.float32(scale * rng.normal(size=(5, 5))), None, None
    )
    factors = recurrent_factors(net, weights, np.float32(rng.normal(size=(40, 2))))
    bound = error_bound(weights, 39)
    assert np.all(np.abs(factors).max((1, 2)) <= bound)
    if scale == 0.2:
        assert bound[-1] < 1e-6


def test_unknown_paths_are_refused():
    with pytest.raises(
        ValueError, match=r"paths must be one of \('truncated', 'full'\), got 'all'"
    ):
        carrousel_factors(EVERYTHING, random_parameters(EVERYTHING), np.zeros((2, 3)), "all")
