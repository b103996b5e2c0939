"""Quickprop."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from lstm_jax.baselines.quickprop import quickprop

pytestmark = pytest.mark.usefixtures("float64")

CURVATURE = np.array([0.5, 1.0, 3.0])
MINIMUM = np.array([-2.0, 0.3, 7.0])


def _descend(descent: optax.GradientTransformation, gradient, w, count: int) -> list[np.ndarray]:
    """The weights before and after each of `count` steps."""
    w = jnp.asarray(w)
    state, path = descent.init(w), [np.asarray(w)]
    for _ in range(count):
        step, state = descent.update(gradient(w), state, w)
        w = optax.apply_updates(w, step)
        path.append(np.asarray(w))
    return path


@pytest.mark.parametrize("decay", [0.0, 0.25])
def test_a_quadratic_is_solved_in_two_steps(decay):
    """The first step crosses the minimum, that of E + decay w² / 2; the second one lands on it."""
    minimum = CURVATURE * MINIMUM / (CURVATURE + decay)
    descent = quickprop(epsilon=2.5, decay=decay)
    path = _descend(descent, lambda w: CURVATURE * (w - MINIMUM), np.ones(3), 2)
    assert np.all((path[1] - minimum) * (path[0] - minimum) < 0)
    np.testing.assert_allclose(path[2], minimum, rtol=1e-13)


def test_on_a_constant_slope_steps_grow_by_mu():
    mu, epsilon = 1.75, 0.1
    steps = np.diff(_descend(quickprop(epsilon, mu), jnp.ones_like, np.zeros(1), 6), axis=0)
    np.testing.assert_allclose(steps[0], -epsilon)
    np.testing.assert_allclose(steps[1:], mu * steps[:-1] - epsilon)


def _scalar_step(slope, slope_tm1, step_tm1, epsilon, mu):
    """The rule, case by case, as Fahlman (1988) states it."""
    if step_tm1 == 0:
        return -epsilon * slope
    step = 0.0
    shrink = mu / (1 + mu)
    if step_tm1 < 0:
        if slope > 0:
            step -= epsilon * slope
        too_far = slope >= shrink * slope_tm1
    else:
        if slope < 0:
            step -= epsilon * slope
        too_far = slope <= shrink * slope_tm1
    return step + (mu * step_tm1 if too_far else step_tm1 * slope / (slope_tm1 - slope))


def test_every_case_of_the_rule():
    """Derivatives of any sign and size, one after the other; weights are independent."""
    rng = np.random.default_rng(0)
    slopes = rng.normal(size=(40, 25)) * rng.choice([0.1, 1.0, 3.0], (40, 25))
    descent = quickprop(epsilon=0.3, mu=2.0)
    state = descent.init(jnp.zeros(25))
    step_tm1, slope_tm1 = np.zeros(25), np.zeros(25)
    for slope in slopes:
        step, state = descent.update(jnp.asarray(slope), state)
        terms = zip(slope, slope_tm1, step_tm1, strict=True)
        np.testing.assert_allclose(step, [_scalar_step(*each, 0.3, 2.0) for each in terms], 1e-9)
        step_tm1, slope_tm1 = np.asarray(step), slope


def test_trees_of_weights():
    descent = quickprop(epsilon=0.3)
    tree = {"a": jnp.ones(2), "b": (jnp.zeros((2, 3)),)}
    steps, _ = jax.jit(descent.update)(tree, descent.init(tree), tree)
    assert jax.tree.all(jax.tree.map(lambda g, step: bool(jnp.all(step == -0.3 * g)), tree, steps))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"epsilon": 0.0}, "epsilon must be positive and"),
        ({"epsilon": 1.0, "mu": -1.0}, "mu must be positive and"),
        ({"epsilon": 1.0, "decay": -0.1}, "decay must be not negative and"),
    ],
)
def test_arguments_out_of_range_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        quickprop(**arguments)
