"""When a trial is solved: the paper's stopping rules, evaluated inside the compiled loop."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from lstm_jax.tasks.task import StreamRule, TestRule


class Ring(NamedTuple):
    """The last N values of L trials each, and the one that leaves next.

    That one is read when the one before it leaves, so that a loop writes the ring in place: were
    both done at once, XLA would copy all of the ring for every value.
    """

    values: jax.Array
    """[N, L]; value number n is at place n mod N."""
    leaving: jax.Array
    """[L], the oldest."""


class Window(NamedTuple):
    """What `StreamRule` needs to know of the last sequences of L trials: rings and their sums."""

    wrong: Ring
    """bool, whether a sequence was wrong."""
    num_wrong: jax.Array
    """[L] int32, how many in the ring are."""
    errors: Ring | None
    """float32, of each sequence; None where the rule asks for no mean error."""
    sum_errors: jax.Array | None
    """[L] float32, of those in the ring."""


class TestMetrics(NamedTuple):
    """The outcome of a test, for L trials."""

    wrong: jax.Array
    """[L] int32, sequences that were not correct."""
    error: jax.Array
    """[L] float32, mean absolute error of an output."""
    squared_error: jax.Array
    """[L] float32, mean squared error of an output."""


def init_window(rule: StreamRule, shape: tuple[int, ...]) -> Window:
    """A window in which no sequence has been presented: all count as wrong."""

    def ring(dtype: DTypeLike) -> Ring:
        return Ring(jnp.ones((rule.window, *shape), dtype), jnp.ones(shape, dtype))

    errors = None if rule.mean_error is None else ring(jnp.float32)
    return refresh(Window(ring(bool), jnp.zeros(shape, jnp.int32), errors, None))


def refresh(window: Window) -> Window:
    """Adds the sums up afresh, so that rounding errors of a running sum cannot gather."""
    num_wrong = window.wrong.values.sum(0, dtype=jnp.int32)
    sum_errors = None if window.errors is None else window.errors.values.sum(0)
    return window._replace(num_wrong=num_wrong, sum_errors=sum_errors)


def record(window: Window, n: jax.Array, wrong: jax.Array, error: jax.Array) -> Window:
    """Enters sequence number n (from 0), [L] each, in place of the oldest one."""
    change = wrong.astype(jnp.int32) - window.wrong.leaving.astype(jnp.int32)
    window = window._replace(
        wrong=_enter(window.wrong, n, wrong), num_wrong=window.num_wrong + change
    )
    if window.errors is None or window.sum_errors is None:
        return window
    return window._replace(
        errors=_enter(window.errors, n, error),
        sum_errors=window.sum_errors + error - window.errors.leaving,
    )


def _enter(ring: Ring, n: jax.Array, value: jax.Array) -> Ring:
    """Puts value number n in the place of the one that leaves."""
    size = ring.values.shape[0]
    values = jax.lax.dynamic_update_index_in_dim(ring.values, value, n % size, 0)
    leaving = jax.lax.dynamic_index_in_dim(values, (n + 1) % size, keepdims=False)
    return Ring(values, leaving)


def stream_rule_met(rule: StreamRule, window: Window) -> jax.Array:
    """Whether the last `rule.window` sequences were good enough, [L] bool."""
    met = window.num_wrong <= rule.max_wrong
    if window.sum_errors is not None:
        met &= window.sum_errors < rule.mean_error * rule.window
    return met


def test_rule_met(rule: TestRule, score: TestMetrics) -> jax.Array:
    """Whether a test of `rule.size` sequences went well enough, [L] bool."""
    met = score.wrong <= rule.max_wrong
    return met if rule.mean_error is None else met & (score.error < rule.mean_error)
