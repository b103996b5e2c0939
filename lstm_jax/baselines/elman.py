"""Elman's procedure: backpropagation through one step of a simple recurrent net.

The hidden layer is copied to context units, which are inputs of the next step. Errors are
propagated through the current step alone; the context counts as given.

References:
  J. L. Elman. Finding structure in time. Cognitive Science 14(2):179-211, 1990.
  A. Cleeremans, D. Servan-Schreiber and J. L. McClelland. Finite-state automata and simple
  recurrent networks. Neural Computation 1(3):372-381, 1989.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from lstm_jax.baselines.fully_recurrent import (
    RecurrentNet,
    SupervisedSequence,
    Weights,
    activation_derivatives,
    output_gradient,
    step,
)
from lstm_jax.baselines.update_rules import StepGradient


def _init(weights: Weights) -> jax.Array:
    return jnp.zeros_like(weights.recurrent[0])


def _step(
    net: RecurrentNet, weights: Weights, context: jax.Array, sequence_t: SupervisedSequence
) -> tuple[jax.Array, Weights, jax.Array]:
    y_t, value = step(net, weights, context, sequence_t.inputs)
    outer, outputs = output_gradient(net, weights, y_t, sequence_t)
    delta_net = outer.delta_y * activation_derivatives(net, value)
    gradient = Weights(
        jnp.outer(sequence_t.inputs, delta_net),
        jnp.outer(context, delta_net),
        outer.output,
        outer.direct,
    )
    return y_t, gradient, outputs


ELMAN = StepGradient(_init, _step)
