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


def _descend(descent: optax.GradientTransformation, slope, w, count: int) -> list[np.ndarray]:
    """The weights before and after each of `count` steps."""
    w = jnp.asarray(w)
    state, path = descent.init(w), [np.asarray(w)]
    for _ in range(count):
        step, state = descent.update(slope(w), state, w)
        w = optax.apply_updates(w, step)
        path.append(np.asarray(w))
    return path


def _quadratic_slope(w):
    return CURVATURE * (w - MINIMUM)


def test_a_quadratic_is_solved_in_two_steps():
    """The first step crosses the minimum, the second one lands on it, for every weight."""
    path = _descend(quickprop(epsilon=2.5), _quadratic_slope, np.array([1.0, 1.0, 1.0]), 2)
    assert np.all((path[1] - MINIMUM) * (path[0] - MINIMUM) < 0)
    np.testing.assert_allclose(path[2], MINIMUM, rtol=1e-13)


def test_a_quadratic_is_reached_from_one_side_too():
    """With the slope's sign unchanged, the linear term comes on top, and dies out."""
    path = _descend(quickprop(epsilon=0.1), _quadratic_slope, np.array([1.0, 1.0, 1.0]), 12)
    np.testing.assert_allclose(path[-1], MINIMUM, rtol=1e-9)


def test_on_a_slope_that_does_not_change_steps_grow_by_mu():
    mu, epsilon = 1.75, 0.1
    steps = np.diff(_descend(quickprop(epsilon, mu), jnp.ones_like, np.zeros(1), 6), axis=0)
    np.testing.assert_allclose(steps[0], -epsilon)
    np.testing.assert_allclose(steps[1:], mu * steps[:-1] - epsilon)


def test_decay_moves_the_minimum():
    """Of E + decay w² / 2."""
    descent = quickprop(epsilon=2.5, decay=0.25)
    path = _descend(descent, _quadratic_slope, np.array([1.0, 1.0, 1.0]), 2)
    np.testing.assert_allclose(path[2], CURVATURE * MINIMUM / (CURVATURE + 0.25), rtol=1e-13)


def test_a_weight_without_a_slope_never_moves():
    path = _descend(quickprop(epsilon=1.0), jnp.zeros_like, np.array([3.0]), 4)
    assert all(w == 3.0 for w in path)


def _scalar_step(slope, slope_tm1, step_tm1, epsilon, mu):
    """The rule, case by case, as Fahlman (1988) tells it."""
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
    """Slopes of any sign and size, one after the other; each weight is alone."""
    rng = np.random.default_rng(0)
    slopes = rng.normal(size=(40, 25)) * rng.choice([0.1, 1.0, 3.0], (40, 25))
    descent = quickprop(epsilon=0.3, mu=2.0)
    state = descent.init(jnp.zeros(25))
    expected, slope_tm1 = np.zeros(25), np.zeros(25)
    for slope in slopes:
        step, state = descent.update(jnp.asarray(slope), state)
        expected = np.array(
            [
                _scalar_step(*terms, 0.3, 2.0)
                for terms in zip(slope, slope_tm1, expected, strict=True)
            ]
        )
        slope_tm1 = slope
        # A wild sequence of slopes lets steps grow and shrink over many orders of magnitude.
        np.testing.assert_allclose(step, expected, rtol=1e-9)
        expected = np.asarray(step)


def test_trees_of_weights():
    descent = quickprop(epsilon=0.3)
    tree = {"a": jnp.ones(2), "b": (jnp.ones((2, 3)),)}
    steps, _ = jax.jit(descent.update)(tree, descent.init(tree), tree)
    assert jax.tree.all(jax.tree.map(lambda step: bool(jnp.all(step == -0.3)), steps))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"epsilon": 0.0}, "epsilon must be positive, got 0.0"),
        ({"epsilon": 1.0, "mu": -1.0}, "mu must be positive, got -1.0"),
        ({"epsilon": 1.0, "decay": -0.1}, "decay must not be negative, got -0.1"),
    ],
)
def test_arguments_outside_their_range_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        quickprop(**arguments)
