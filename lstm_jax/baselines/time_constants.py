"""Units with fixed time constants (Mozer 1992).

    y_l(t) = τ_l y_l(t-1) + (1 - τ_l) f(net_l(t))

A unit with a large τ_l changes slowly and so remembers for some 1 / (1 - τ_l) steps; with τ_l = 0
it is an ordinary one. The τ are fixed beforehand, a spread of them in one layer, and the weights
are learned by any gradient here: BPTT, as in Mozer's paper, RTRL or within a window. Errors through
the leak shrink by τ_l a step, so a time constant that fits one lag does not fit others.

Reference:
  M. C. Mozer. Induction of multiscale temporal structure. NIPS 4:275-282, 1992.
"""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp

from lstm_jax.baselines.fully_recurrent import RecurrentNet
from lstm_jax.cell.architecture import Architecture
from lstm_jax.tasks import draws
from lstm_jax.tasks.hyperparameters import Hyperparameters
from lstm_jax.tasks.task import Example, Published, StreamRule, Task, within


def spread(count: int, longest: float) -> tuple[float, ...]:
    """Time constants whose spans 1 / (1 - τ) are spaced by equal factors, from 1 to `longest`.

    >>> spread(3, longest=100.0)
    (0.0, 0.9, 0.99)

    Args:
      count: how many, at least 1; one alone gets `longest`.
      longest: steps, at least 1.

    Raises:
      ValueError: if an argument is out of its range.
    """
    if count < 1:
        raise ValueError(f"count must be at least 1, got {count}")
    if longest < 1:
        raise ValueError(f"longest must be at least 1, got {longest}")
    places = [i / (count - 1) for i in range(count)] if count > 1 else [1.0]
    return tuple(round(1 - longest**-place, 12) for place in places)


def with_time_constants(net: RecurrentNet, longest: float) -> RecurrentNet:
    """The net with time constants spread over its hidden units; outputs that recur get 0."""
    at_outputs = (0.0,) * (net.num_recurrent - net.num_hidden)
    return dataclasses.replace(net, time_constants=spread(net.num_hidden, longest) + at_outputs)


def lag_task(shortest: int, longest: int) -> Task:
    """A bit to be kept over a lag that varies from sequence to sequence: x or y, then blanks.

    The target at the end is 1.0 for x and 0.0 for y. The network is an LSTM of one cell.

    >>> lag_task(10, 100).max_length
    101

    Args:
      shortest, longest: steps from the symbol to the target, uniform in between.

    Raises:
      ValueError: if they are not positive and in order.
    """
    if not 1 <= shortest <= longest:
        raise ValueError(f"shortest must be in 1 .. {longest}, got {shortest}")

    def sample(key: jax.Array, data: None = None) -> Example:
        del data
        return sample_lag(key, shortest, longest)

    return Task(
        name=f"lag-{shortest}-{longest}",
        title=f"a bit kept for {shortest} to {longest} steps",
        architecture=Architecture(num_inputs=3, blocks=(1,), num_outputs=1, biases="all"),
        max_length=longest + 1,
        error_at="end",
        sample=sample,
        is_correct=within(0.3),
        hyperparameters=Hyperparameters(learning_rate=0.5, init_range=0.1, input_gate_bias=(-1.0,)),
        rule=StreamRule(window=2000, max_wrong=0),
        trials=10,
        max_sequences=50_000,
        published=Published(table="none"),
    )


def sample_lag(key: jax.Array, shortest: int, longest: int) -> Example:
    """Draws a sequence of one-hot symbols: 0 or 1, then 2 for as many steps as the lag."""
    words = draws.words(key, 2)
    bit = draws.integers(words[0], 0, 1)
    steps = jnp.arange(longest + 1, dtype=jnp.int32)
    target = bit.astype(jnp.float32)[None]
    length = 1 + draws.integers(words[1], shortest, longest)
    return Example(jnp.where(steps == 0, bit, 2), target, target, length)
