"""Gradients that are known step by step, forward in time, and the two ways to learn by them.

A `Stepwise` gives after every step the gradient of that step's error, from what it carries along.
`gradient` adds these up over a sequence, for one update at its end; `learn_online` makes an update
after every step, so that later steps are those of another net.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import optax

from lstm_jax.baselines.fully_recurrent import RecurrentNet, SupervisedSequence, Weights, as_vectors

CarriedT = TypeVar("CarriedT")


class Stepwise(NamedTuple, Generic[CarriedT]):
    """A rule for the gradient of one step's error.

    Attributes:
      start: (weights) to what is carried, before a sequence's first step.
      step: (net, weights, carried, lesson_t) to what is carried, the gradient of this step's E / 2
        as `Weights`, and the outputs [K].
    """

    start: Callable[[Weights], CarriedT]
    step: Callable[
        [RecurrentNet, Weights, CarriedT, SupervisedSequence], tuple[CarriedT, Weights, jax.Array]
    ]


def gradient(
    rule: Stepwise, net: RecurrentNet, weights: Weights, sequence: SupervisedSequence
) -> tuple[Weights, jax.Array]:
    """The sum of all steps' gradients, and the outputs [T, K]; arguments as `bptt_gradient`.

    Outputs after the last step whose error counts are 0.
    """

    def body(carry: tuple, sequence_t: SupervisedSequence) -> tuple[tuple, jax.Array]:
        carried, total = carry
        carried, new, outputs = rule.step(net, weights, carried, sequence_t)
        return (carried, jax.tree.map(jnp.add, total, new)), outputs

    start = (rule.start(weights), jax.tree.map(jnp.zeros_like, weights))
    (_, total), outputs = _scan_to_last_error(body, start, net, sequence)
    return total, outputs


def learn_online(
    rule: Stepwise,
    net: RecurrentNet,
    optimiser: optax.GradientTransformation,
    weights: Weights,
    optimiser_state: optax.OptState,
    sequence: SupervisedSequence,
) -> tuple[Weights, optax.OptState, jax.Array]:
    """An update after every step whose error counts.

    What is carried was made by the weights of earlier steps; that is the approximation of online
    learning, good as long as the weights change slowly (Williams & Zipser 1989).

    Args:
      rule, net, weights: the net and its gradient.
      optimiser, optimiser_state: any optax transformation, and its state.
      lesson: the sequence.

    Returns:
      The weights, the optimiser's state, and the outputs [T, K], each of the weights before its
      step's update.
    """

    def body(carry: tuple, sequence_t: SupervisedSequence) -> tuple[tuple, jax.Array]:
        carried, weights, state = carry
        carried, new, outputs = rule.step(net, weights, carried, sequence_t)
        updates, new_state = optimiser.update(new, state, weights)
        changed = (jax.tree.map(jnp.add, weights, updates), new_state)
        counts = sequence_t.at_steps != 0
        kept = jax.tree.map(lambda a, b: jnp.where(counts, a, b), changed, (weights, state))
        return (carried, *kept), outputs

    start = (rule.start(weights), weights, optimiser_state)
    (_, *learned), outputs = _scan_to_last_error(body, start, net, sequence)
    weights, optimiser_state = learned
    return weights, optimiser_state, outputs


def _scan_to_last_error(
    body: Callable, start: tuple, net: RecurrentNet, sequence: SupervisedSequence
) -> tuple[tuple, jax.Array]:
    """`jax.lax.scan` of `body`, without the steps after the last one whose error counts.

    Their outputs are 0. Where most sequences are far shorter than the longest one, as in task 1,
    this saves most of the work; it is for forward mode alone.
    """
    targets, at_steps = sequence.targets, sequence.at_steps
    steps = jnp.arange(1, len(targets) + 1, dtype=jnp.int32)
    stop = jnp.where(at_steps != 0, steps, 0).max()
    inputs = as_vectors(net, sequence.inputs, at_steps.dtype)
    sequence = jax.tree.map(jnp.asarray, sequence._replace(inputs=inputs))

    def goes_on(carry: tuple) -> jax.Array:
        return carry[0] < stop

    def cell_step(carry: tuple) -> tuple:
        t, state, kept = carry
        state, outputs = body(state, jax.tree.map(lambda a: a[t], sequence))
        return t + 1, state, jax.lax.dynamic_update_index_in_dim(kept, outputs, t, 0)

    kept = jnp.zeros(targets.shape, at_steps.dtype)
    _, state, outputs = jax.lax.while_loop(goes_on, cell_step, (jnp.int32(0), start, kept))
    return state, outputs
