"""Quickprop: for each weight, a step to the minimum of the parabola through two derivatives.

With S(t) the derivative of the error by a weight, including decay, and D(t) the step taken there:

    S(t) = ∂E/∂w + decay w(t)
    D(t) = D(t-1) S(t) / (S(t-1) - S(t))      the parabola's minimum
           mu D(t-1)                          if that is further than mu D(t-1), or a maximum
           - epsilon S(t)                     added, unless S has changed its sign

S must be that of a whole pass over the training set.

Reference:
  S. E. Fahlman. Faster-learning variations on back-propagation: an empirical study. Proceedings of
  the 1988 Connectionist Models Summer School, 38-51, 1988.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from lstm_jax.cell.validation import as_float


class QuickpropState(NamedTuple):
    """The previous step; arrays have the shapes of the weights."""

    step: optax.Updates  # D(t-1), 0 before the first step
    gradient: optax.Updates  # S(t-1)


def quickprop(epsilon: float, mu: float = 2.0, decay: float = 0.0) -> optax.GradientTransformation:
    """Return quickprop as an optax transformation that descends.

    Args:
      epsilon: the rate of the first step and of the linear term, positive.
      mu: the largest growth of a step, positive; 1.75 to 2.25 in the source.
      decay: the coefficient of the weight decay, not negative.
    """
    epsilon = as_float("epsilon", epsilon, above=0.0)
    mu = as_float("mu", mu, above=0.0)
    decay = as_float("decay", decay, least=0.0)

    def init(params: optax.Params) -> QuickpropState:
        zeros = jax.tree.map(jnp.zeros_like, params)
        return QuickpropState(zeros, zeros)

    def step(g: jax.Array, g_tm1: jax.Array, step_tm1: jax.Array) -> jax.Array:
        # Relative to the direction of the previous step; a downhill derivative is positive.
        downhill, downhill_tm1 = -g * jnp.sign(step_tm1), -g_tm1 * jnp.sign(step_tm1)
        is_far = downhill >= mu / (1 + mu) * downhill_tm1
        change = jnp.where(is_far, 1, downhill_tm1 - downhill)
        parabola = jnp.where(is_far, mu, downhill / change) * step_tm1
        is_linear = (downhill > 0) | (step_tm1 == 0)
        return parabola - jnp.where(is_linear, epsilon * g, 0)

    def update(
        updates: optax.Updates, state: optax.OptState, params: optax.Params | None = None
    ) -> tuple[optax.Updates, optax.OptState]:
        assert isinstance(state, QuickpropState)
        gradient = updates
        if decay:
            gradient = jax.tree.map(lambda g, w: g + decay * w, updates, params)
        steps = jax.tree.map(step, gradient, state.gradient, state.step)
        return steps, QuickpropState(steps, gradient)

    return optax.GradientTransformation(init, update)
