"""Quickprop: a step to the minimum of the parabola through two slopes, for each weight alone.

S. E. Fahlman. Faster-learning variations on back-propagation: an empirical study. *Proceedings of
the 1988 Connectionist Models Summer School*, 38-51, 1988.

With S(t) the slope of the error by a weight, decay included, and D(t) the step taken from there:

    S(t) = ∂E/∂w + decay w(t)
    D(t) = D(t-1) S(t) / (S(t-1) - S(t))      the parabola's minimum
           mu D(t-1)                          if that is further than mu D(t-1), or a maximum
           - epsilon S(t)                     added, unless the slope has changed its sign

The slope must be that of a whole pass: from one sequence to the next it means nothing.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax


class QuickpropState(NamedTuple):
    """What quickprop remembers of the step before; each shaped as the weights."""

    step: optax.Updates
    """D(t-1), 0 before the first step."""
    slope: optax.Updates
    """S(t-1)."""


def quickprop(epsilon: float, mu: float = 2.0, decay: float = 0.0) -> optax.GradientTransformation:
    """Makes quickprop an optax transformation, for slopes to go down.

    >>> descent = quickprop(epsilon=2.0)  # on E = (w - 3)² / 2, of slope w - 3
    >>> w = jnp.array(1.0)
    >>> state = descent.init(w)
    >>> for _ in range(2):
    ...     step, state = descent.update(w - 3, state, w)
    ...     w += step
    >>> float(w)
    3.0

    Args:
      epsilon: the rate of the first step and of the linear term, positive.
      mu: no step is longer than `mu` times the step before, positive; 1.75 to 2.25 in the source.
      decay: times the weight, is added to its slope.

    Raises:
      ValueError: if an argument is outside its range.
    """
    for name, value in (("epsilon", epsilon), ("mu", mu)):
        if not value > 0:
            raise ValueError(f"{name} must be positive, got {value!r}")
    if not decay >= 0:
        raise ValueError(f"decay must not be negative, got {decay!r}")

    def init(params: optax.Params) -> QuickpropState:
        zeros = jax.tree.map(jnp.zeros_like, params)
        return QuickpropState(zeros, zeros)

    def update(
        updates: optax.Updates, state: optax.OptState, params: optax.Params | None = None
    ) -> tuple[optax.Updates, optax.OptState]:
        assert isinstance(state, QuickpropState)
        slopes = updates
        if decay:
            slopes = jax.tree.map(lambda slope, w: slope + decay * w, updates, params)
        step = functools.partial(_step, epsilon=epsilon, mu=mu)
        steps = jax.tree.map(step, slopes, state.slope, state.step)
        return steps, QuickpropState(steps, slopes)

    return optax.GradientTransformation(init, update)


def _step(
    slope: jax.Array, slope_tm1: jax.Array, step_tm1: jax.Array, *, epsilon: float, mu: float
) -> jax.Array:
    """D(t) of every weight."""
    # In units of the last step's direction all of it is one case: a downhill slope is positive.
    downhill, downhill_tm1 = -slope * jnp.sign(step_tm1), -slope_tm1 * jnp.sign(step_tm1)
    is_far = downhill >= mu / (1 + mu) * downhill_tm1
    change = jnp.where(is_far, 1, downhill_tm1 - downhill)
    parabola = jnp.where(is_far, mu, downhill / change) * step_tm1
    is_linear = (downhill > 0) | (step_tm1 == 0)
    return parabola - jnp.where(is_linear, epsilon * slope, 0)
