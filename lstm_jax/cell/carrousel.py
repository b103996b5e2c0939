"""The carrousel over all steps: s(t) = factor(t) s(t-1) + increment(t), eq. 9, and its errors.

The factor is the forget gate, 1 without one and at padding, 0 at a reset. Both recurrences are
loops of one addition, or of one multiply-add, on a CPU; on an accelerator, where every turn of a
loop is a launch, they are parallel prefix sums.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import jax
import jax.numpy as jnp

from lstm_jax.cell.architecture import Architecture
from lstm_jax.cell.step import apply_gate

R = TypeVar("R")


def carrousel_factors(
    architecture: Architecture,
    like: jax.Array,
    forget_gate: jax.Array | None,
    mask: jax.Array | None,
    reset: jax.Array | None,
) -> jax.Array | None:
    """Return ∂s(t)/∂s(t-1) at every step, shaped as `like` [T, C, *lanes]; None if 1 everywhere."""
    if forget_gate is None and reset is None:
        return None
    factors = apply_gate(architecture, forget_gate, jnp.ones_like(like), axis=1)
    if mask is not None:
        factors = jnp.where(mask[:, None], factors, 1)
    if reset is not None:
        factors = jnp.where(reset[:, None], 0, factors)
    return factors


def run_carrousel(increments: jax.Array, factors: jax.Array | None, s_0: jax.Array) -> jax.Array:
    """Return the internal states after every step, [T, C, *lanes], from that before the first."""
    return _by_platform(_states_in_loop, _states_at_once, increments, factors, s_0)


def carrousel_errors(
    e_s: jax.Array, factors: jax.Array | None, delta_final: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Return delta_s(t) = e_s(t) + factors(t+1) delta_s(t+1), and that before the first step."""
    return _by_platform(_errors_in_loop, _errors_at_once, e_s, factors, delta_final)


def _by_platform(
    in_loop: Callable[..., R],
    at_once: Callable[..., R],
    terms: jax.Array,
    *others: jax.Array | None,
) -> R:
    steps = terms.shape[0]  # unknown in a program that is exported for any length
    if not isinstance(steps, int) or steps < 2:
        return in_loop(terms, *others)
    return jax.lax.platform_dependent(terms, *others, cpu=in_loop, default=at_once)


def _states_in_loop(increments: jax.Array, factors: jax.Array | None, s_0: jax.Array) -> jax.Array:
    def body(s_tm1: jax.Array, xs: tuple) -> tuple[jax.Array, jax.Array]:
        increment, factor = xs
        s = (s_tm1 if factor is None else factor * s_tm1) + increment
        return s, s

    return jax.lax.scan(body, s_0, (increments, factors))[1]


def _states_at_once(increments: jax.Array, factors: jax.Array | None, s_0: jax.Array) -> jax.Array:
    if factors is None:
        return jnp.cumsum(increments, axis=0) + s_0[None]
    products, sums = jax.lax.associative_scan(_compose, (factors, increments))
    return sums + products * s_0[None]


def _errors_in_loop(
    e_s: jax.Array, factors: jax.Array | None, delta_final: jax.Array
) -> tuple[jax.Array, jax.Array]:
    def body(delta_s: jax.Array, xs: tuple) -> tuple[jax.Array, jax.Array]:
        e_s_t, factor = xs
        delta_s = delta_s + e_s_t
        return delta_s if factor is None else factor * delta_s, delta_s

    delta_start, delta_s = jax.lax.scan(body, delta_final, (e_s, factors), reverse=True)
    return delta_s, delta_start


def _errors_at_once(
    e_s: jax.Array, factors: jax.Array | None, delta_final: jax.Array
) -> tuple[jax.Array, jax.Array]:
    if factors is None:
        delta_s = jax.lax.cumsum(e_s, axis=0, reverse=True) + delta_final[None]
        return delta_s, delta_s[0]
    later = jnp.concatenate([factors[1:], jnp.ones_like(factors[:1])])
    products, sums = jax.lax.associative_scan(_compose, (later, e_s), reverse=True)
    delta_s = sums + products * delta_final[None]
    return delta_s, factors[0] * delta_s[0]


def _compose(
    first: tuple[jax.Array, jax.Array], second: tuple[jax.Array, jax.Array]
) -> tuple[jax.Array, jax.Array]:
    """Return the affine map that is the first one and then the second, of factors and terms."""
    return first[0] * second[0], second[0] * first[1] + second[1]
