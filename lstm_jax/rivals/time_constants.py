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

from lstm_jax.rivals.fully_recurrent import RecurrentNet


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
