"""Optimisers of TD errors: eligibility traces, overshoot-bounded steps, adaptive step sizes.

Let g(t) be the derivative of a prediction by the weights, which `learn(signal=...)` puts into the
learner's gradient, δ(t) the TD error of that prediction, and κ, α, θ constants. All keep the trace

    z(t) = decay z(t-1) + g(t)        decay = γ λ

and change the weights along δ(t) z(t). Gradients in optax point uphill, so that an update along δ z
is what a gradient -δ z gives. `reset` clears the trace after the update, at the end of an episode.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.core import Tracer
from jax.typing import ArrayLike

from lstm_jax.cell.pytrees import exportable
from lstm_jax.cell.validation import as_number, require


@exportable
class EligibilityState(NamedTuple):
    """The state of `eligibility_traces` and `obgd`.

    Attributes:
      trace: z, shaped as the weights.
    """

    trace: optax.Updates


@exportable
class StepSizeState(NamedTuple):
    """The state of `idbd`; every field is shaped as the weights.

    Attributes:
      trace: z, the eligibility traces.
      log_step_size: β, the logarithm of each weight's step size α.
      memory: h, the decaying sum of each weight's recent changes.
    """

    trace: optax.Updates
    log_step_size: optax.Updates
    memory: optax.Updates


def eligibility_traces(decay: ArrayLike) -> optax.GradientTransformationExtraArgs:
    """Replace the gradient g of a prediction by -δ z, for the optimiser after it in a chain.

    With SGD this is TD(lambda) with accumulating traces (Sutton, 1988), the backward view; with a
    policy's log π(a) beside the value, it is actor-critic with eligibility traces. With decay 0 it
    is TD(0). `update(optimiser, learner, td_error=..., reset=...)` passes δ and the end of an
    episode; a reset after its last update.

    >>> td = optax.chain(eligibility_traces(0.9 * 0.8), optax.sgd(0.1))
    >>> weights = jnp.zeros(1)
    >>> state = td.init(weights)
    >>> for _ in range(2):
    ...     updates, state = td.update(jnp.ones(1), state, weights, td_error=1.0, reset=False)
    >>> updates
    Array([0.172], dtype=float32)

    Args:
      decay: γ λ in [0, 1]; a traced value is not checked.

    Raises:
      ValueError: if `decay` is out of its range.
    """
    _check_decay(decay)

    def step(gradient: optax.Updates, state: EligibilityState, error: jax.Array) -> tuple:
        trace = _accumulated(state.trace, gradient, decay)
        return _scaled(trace, -error), EligibilityState(trace)

    return _by_td_error(_init_trace, step)


def obgd(
    learning_rate: ArrayLike = 1.0, decay: ArrayLike = 0.0, kappa: ArrayLike = 2.0
) -> optax.GradientTransformationExtraArgs:
    """Descend by overshoot-bounded steps (ObGD, Elsayed et al. 2024, algorithm 3).

    With M = α κ max(|δ|, 1) Σ|z|, the weights change by α / max(1, M) δ z. So the changes of all
    weights sum up to min(|δ|, 1) / κ at most: a prediction linear in its weights, with features of
    size 1 at most, never moves beyond its target if κ >= 1.

    >>> bounded = obgd(decay=0.8)
    >>> weights = jnp.zeros(4)
    >>> gradient = jnp.array([1.0, -1.0, 1.0, 1.0])
    >>> bounded.update(gradient, bounded.init(weights), weights, td_error=10.0)[0]
    Array([ 0.125, -0.125,  0.125,  0.125], dtype=float32)

    Args:
      learning_rate: α, positive.
      decay: γ λ in [0, 1].
      kappa: κ, positive; larger is more careful. The publication has 2 for values, 3 for policies.

    Raises:
      ValueError: if an argument is out of its range.

    Reference:
      M. Elsayed, G. Vasan and A. R. Mahmood. Streaming deep reinforcement learning finally works.
      arXiv:2410.14606, 2024.
    """
    _check_decay(decay)
    _check_positive("learning_rate", learning_rate)
    _check_positive("kappa", kappa)

    def step(gradient: optax.Updates, state: EligibilityState, error: jax.Array) -> tuple:
        trace = _accumulated(state.trace, gradient, decay)
        size = optax.tree_utils.tree_norm(trace, ord=1)
        bound = jnp.asarray(learning_rate) * kappa * jnp.maximum(jnp.abs(error), 1) * size
        rate = learning_rate / jnp.maximum(bound, 1)
        return _scaled(trace, rate * error), EligibilityState(trace)

    return _by_td_error(_init_trace, step)


def idbd(
    learning_rate: ArrayLike, meta_rate: ArrayLike, decay: ArrayLike = 0.0
) -> optax.GradientTransformationExtraArgs:
    """Descend with a step size per weight that is learned: IDBD, and TIDBD(lambda) with a decay.

    From the step size of before, `learning_rate` at first,

        β += θ δ g h    α = exp(β)    w += α δ z    h = h max(0, 1 - α g z) + α δ z

    With decay 0, z = g and δ the error of a supervised prediction, this is IDBD (Sutton, 1992,
    fig. 2); otherwise semi-gradient TIDBD (Kearney et al. 2018, algorithm 1). Both were derived for
    predictions that are linear in the weights; here g is the derivative of any.

    >>> adaptive = idbd(1.0, meta_rate=0.01)
    >>> weights = jnp.zeros(1)
    >>> updates, state = adaptive.update(
    ...     jnp.ones(1), adaptive.init(weights), weights, td_error=2.0
    ... )
    >>> updates
    Array([2.], dtype=float32)

    Args:
      learning_rate: α at first, positive.
      meta_rate: θ, positive; near 0 the step sizes stay as they are.
      decay: γ λ in [0, 1].

    Raises:
      ValueError: if an argument is out of its range.

    References:
      R. S. Sutton. Adapting bias by gradient descent: an incremental version of delta-bar-delta.
      AAAI, 171-176, 1992.
      A. Kearney et al. TIDBD: adapting temporal-difference step-sizes through stochastic
      meta-descent. arXiv:1804.03334, 2018.
    """
    _check_decay(decay)
    _check_positive("learning_rate", learning_rate)
    _check_positive("meta_rate", meta_rate)

    def init(params: optax.Params) -> StepSizeState:
        zeros = lambda: optax.tree_utils.tree_zeros_like(params)
        log_rate = optax.tree_utils.tree_full_like(params, jnp.log(learning_rate))
        return StepSizeState(zeros(), log_rate, zeros())

    def step(gradient: optax.Updates, state: StepSizeState, error: jax.Array) -> tuple:
        trace = _accumulated(state.trace, gradient, decay)
        change = _scaled(gradient, jnp.asarray(meta_rate) * error)
        add = lambda beta, by_rate, h: beta + by_rate * h
        beta = jax.tree.map(add, state.log_step_size, change, state.memory)
        alpha = jax.tree.map(jnp.exp, beta)
        updates = jax.tree.map(jnp.multiply, alpha, _scaled(trace, error))
        forget = lambda h, alpha, g, z, new: h * jnp.maximum(0, 1 - alpha * g * z) + new
        memory = jax.tree.map(forget, state.memory, alpha, gradient, trace, updates)
        return updates, StepSizeState(trace, beta, memory)

    return _by_td_error(init, step)


def _by_td_error(
    init: optax.TransformInitFn, step: Callable[[optax.Updates, Any, jax.Array], tuple]
) -> optax.GradientTransformationExtraArgs:
    """Return an optimiser whose state has a trace, from its step with a TD error."""

    def update(
        updates: optax.Updates,
        state: optax.OptState,
        params: optax.Params | None = None,
        *,
        td_error: ArrayLike | None = None,
        reset: ArrayLike = False,
        **extra_args: Any,
    ) -> tuple[optax.Updates, optax.OptState]:
        del params, extra_args
        if td_error is None:
            raise ValueError("td_error must be given to update")
        updates, new = step(updates, state, jnp.asarray(td_error))
        trace = jax.tree.map(lambda z: jnp.where(reset, 0, z), new.trace)
        return updates, new._replace(trace=trace)

    return optax.GradientTransformationExtraArgs(init, update)


def _init_trace(params: optax.Params) -> EligibilityState:
    return EligibilityState(optax.tree_utils.tree_zeros_like(params))


def _accumulated(trace: optax.Updates, gradient: optax.Updates, decay: ArrayLike) -> optax.Updates:
    return jax.tree.map(lambda z, g: jnp.asarray(decay, z.dtype) * z + g, trace, gradient)


def _scaled(tree: optax.Updates, factor: ArrayLike) -> optax.Updates:
    return jax.tree.map(lambda z: jnp.asarray(factor, z.dtype) * z, tree)


def _check_decay(decay: ArrayLike) -> None:
    is_met = isinstance(decay, Tracer) or 0 <= as_number(decay) <= 1
    require(is_met, "decay", "in [0, 1]", decay)


def _check_positive(name: str, value: ArrayLike) -> None:
    is_met = isinstance(value, Tracer) or 0 < as_number(value) < math.inf
    require(is_met, name, "positive and finite", value)
