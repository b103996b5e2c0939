"""The paper's stopping rules, evaluated inside the compiled training loop.

B is the number of trials in a batch, N the window of a `StreamRule`.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from lstm_jax.tasks.task import StreamRule, TestRule


class Ring(NamedTuple):
    """Ring buffers of the last N values of B trials, and their sums.

    The oldest value is read one step before it is overwritten. If both happened in one step, XLA
    would copy the whole buffer for every value instead of writing in place.

    Attributes:
      values: [N, B]; value number n is at index n mod N.
      oldest: [B], the value that the next one replaces.
      total: [B] int32 or float32, the sum of the values.
    """

    values: jax.Array
    oldest: jax.Array
    total: jax.Array


class Window(NamedTuple):
    """The last N training sequences of B trials, for a `StreamRule`.

    Attributes:
      wrong: bool, whether a sequence was incorrect.
      errors: float32, the error of each sequence; None if the rule has no mean error.
    """

    wrong: Ring
    errors: Ring | None


class TestMetrics(NamedTuple):
    """The outcome of a test, for B trials.

    Attributes:
      wrong: [B] int32, the number of incorrect sequences.
      error: [B] float32, mean absolute error of an output.
      squared_error: [B] float32, mean squared error of an output.
    """

    wrong: jax.Array
    error: jax.Array
    squared_error: jax.Array


def init_window(rule: StreamRule, shape: tuple[int, ...]) -> Window:
    """Return the window before the first sequence, in which all N count as incorrect."""

    def ring(dtype: DTypeLike, total: DTypeLike) -> Ring:
        ones = jnp.ones((rule.window, *shape), dtype)
        return Ring(ones, ones[0], jnp.full(shape, rule.window, total))

    errors = None if rule.mean_error is None else ring(jnp.float32, jnp.float32)
    return Window(ring(bool, jnp.int32), errors)


def refresh(window: Window) -> Window:
    """Recompute the sum of errors, so that rounding errors do not accumulate."""
    if window.errors is None:
        return window
    errors = window.errors._replace(total=window.errors.values.sum(0))
    return window._replace(errors=errors)


def record(window: Window, n: jax.Array, wrong: jax.Array, error: jax.Array) -> Window:
    """Replace the oldest sequence by number n, from 0; `wrong` and `error` are [B]."""
    errors = None if window.errors is None else _push(window.errors, n, error)
    return Window(_push(window.wrong, n, wrong), errors)


def _push(ring: Ring, n: jax.Array, value: jax.Array) -> Ring:
    size = ring.values.shape[0]
    values = jax.lax.dynamic_update_index_in_dim(ring.values, value, n % size, 0)
    oldest = jax.lax.dynamic_index_in_dim(values, (n + 1) % size, keepdims=False)
    dtype = ring.total.dtype
    return Ring(values, oldest, ring.total + value.astype(dtype) - ring.oldest.astype(dtype))


def stream_rule_met(rule: StreamRule, window: Window) -> jax.Array:
    """Return whether the last `rule.window` sequences meet the rule, [B] bool."""
    met = window.wrong.total <= rule.max_wrong
    if window.errors is not None:
        met &= window.errors.total < rule.mean_error * rule.window
    return met


def test_rule_met(rule: TestRule, test: TestMetrics) -> jax.Array:
    """Return whether a test of `rule.size` sequences meets the rule, [B] bool."""
    met = test.wrong <= rule.max_wrong
    return met if rule.mean_error is None else met & (test.error < rule.mean_error)
