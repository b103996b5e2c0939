"""When a trial is solved: the paper's stopping rules, evaluated inside the compiled loop."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from lstm_jax.tasks.base import StreamRule, TestRule


class Window(NamedTuple):
    """What `StreamRule` needs to know of the last sequences of L trials: rings and their sums."""

    wrong: jax.Array  # [window, L] bool
    num_wrong: jax.Array  # [L] int32
    errors: jax.Array | None  # [window, L], kept only where the rule asks for a mean error
    sum_errors: jax.Array | None  # [L]


class Score(NamedTuple):
    """The outcome of a test, for L trials."""

    wrong: jax.Array  # [L] int32, sequences that were not correct
    error: jax.Array  # [L], mean absolute error of an output
    squared_error: jax.Array  # [L], mean squared error of an output


def init_window(rule: StreamRule, lanes: tuple[int, ...]) -> Window:
    """A window in which no sequence has been presented: all count as wrong."""
    wrong = jnp.ones((rule.window, *lanes), bool)
    errors = None if rule.mean_error is None else jnp.ones(wrong.shape, jnp.float32)
    return refresh(Window(wrong, jnp.zeros(lanes, jnp.int32), errors, errors))


def refresh(window: Window) -> Window:
    """Adds the sums up afresh, so that rounding errors of a running sum cannot gather."""
    num_wrong = window.wrong.sum(0, dtype=jnp.int32)
    sum_errors = None if window.errors is None else window.errors.sum(0)
    return window._replace(num_wrong=num_wrong, sum_errors=sum_errors)


def record(window: Window, n: jax.Array, wrong: jax.Array, error: jax.Array) -> Window:
    """Enters sequence number n (from 0), [L] each, in place of the oldest one."""
    place = n % window.wrong.shape[0]
    wrong_before, all_wrong = _replace_row(window.wrong, place, wrong)
    change = wrong.astype(jnp.int32) - wrong_before.astype(jnp.int32)
    window = window._replace(wrong=all_wrong, num_wrong=window.num_wrong + change)
    if window.errors is None or window.sum_errors is None:
        return window
    error_before, errors = _replace_row(window.errors, place, error)
    return window._replace(errors=errors, sum_errors=window.sum_errors + error - error_before)


def _replace_row(ring: jax.Array, place: jax.Array, row: jax.Array) -> tuple[jax.Array, jax.Array]:
    before = jax.lax.dynamic_index_in_dim(ring, place, keepdims=False)
    return before, jax.lax.dynamic_update_index_in_dim(ring, row, place, 0)


def stream_rule_met(rule: StreamRule, window: Window) -> jax.Array:
    """Whether the last `rule.window` sequences were good enough, [L] bool."""
    met = window.num_wrong <= rule.max_wrong
    if window.sum_errors is not None:
        met &= window.sum_errors < rule.mean_error * rule.window
    return met


def test_rule_met(rule: TestRule, score: Score) -> jax.Array:
    """Whether a test of `rule.size` sequences went well enough, [L] bool."""
    met = score.wrong <= rule.max_wrong
    return met if rule.mean_error is None else met & (score.error < rule.mean_error)
