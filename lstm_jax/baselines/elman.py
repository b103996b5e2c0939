"""Simple recurrent nets: Elman's procedure, and backpropagation through a window of time.

Elman's net copies its hidden layer into context units, which are inputs of the next step; the
error is propagated through one step alone, the context being taken as given. With a window of k
steps the error of each step goes back through that step and the k - 1 before it: k = 1 is Elman's
procedure, k >= T backpropagation through the whole sequence. This cuts time off, where the LSTM's
truncated gradient cuts paths.

References:
  J. L. Elman. Finding structure in time. Cognitive Science 14(2):179-211, 1990.
  A. Cleeremans, D. Servan-Schreiber and J. L. McClelland. Finite-state automata and simple
  recurrent networks. Neural Computation 1(3):372-381, 1989.
  R. J. Williams and J. Peng. An efficient gradient-based algorithm for on-line training of
  recurrent network trajectories. Neural Computation 2(4):490-501, 1990.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from lstm_jax.baselines import stepwise
from lstm_jax.baselines.fully_recurrent import (
    RecurrentNet,
    SupervisedSequence,
    Weights,
    activation_derivatives,
    as_vectors,
    output_gradient,
    output_units,
    step,
)
from lstm_jax.network.losses import half_squared_error, ignore_within_tolerance


def start(weights: Weights) -> jax.Array:
    """The context before a sequence's first step: all 0, [R]."""
    return jnp.zeros_like(weights.recurrent[0])


def elman_step(
    net: RecurrentNet,
    weights: Weights,
    context: jax.Array,
    sequence_t: SupervisedSequence,
) -> tuple[jax.Array, Weights, jax.Array]:
    """Backpropagation through one step, the context given; see `stepwise.Stepwise`."""
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


ELMAN = stepwise.Stepwise(start, elman_step)


def elman_gradient(
    net: RecurrentNet, weights: Weights, sequence: SupervisedSequence
) -> tuple[Weights, jax.Array]:
    """The sum over a sequence of what Elman's procedure gives at each step."""
    return stepwise.gradient(ELMAN, net, weights, sequence)


def windowed_gradient(
    net: RecurrentNet, weights: Weights, sequence: SupervisedSequence, *, window: int
) -> tuple[Weights, jax.Array]:
    """Truncated backpropagation through time: each step's error goes back `window` steps.

    Args:
      net, weights, lesson: as in `bptt_gradient`.
      window: k, at least 1: steps that an error goes through, its own included.

    Returns:
      The sum of all steps' gradients, and the outputs [T, K].

    Raises:
      ValueError: if the window is not positive.
    """
    if window < 1:
        raise ValueError(f"window must be at least 1, got {window}")
    inputs = as_vectors(net, sequence.inputs, weights.input.dtype)
    num_steps = inputs.shape[0]
    window = min(window, num_steps)

    def remember(y_tm1: jax.Array, x_t: jax.Array) -> tuple[jax.Array, jax.Array]:
        return step(net, weights, y_tm1, x_t)[0], y_tm1

    _, before = jax.lax.scan(remember, start(weights), inputs)  # [T, R], y(t-1)
    before, padded = (jnp.pad(a, ((window - 1, 0), (0, 0))) for a in (before, inputs))

    def loss(weights: Weights) -> tuple[jax.Array, jax.Array]:
        def last_outputs(t: jax.Array) -> jax.Array:
            """From the activations before the window of step t, the outputs at t."""
            x = jax.lax.dynamic_slice_in_dim(padded, t, window)
            # Steps before the sequence's first leave the activations at 0.
            is_real = jnp.arange(window) + t >= window - 1

            def body(y_tm1: jax.Array, x_t: tuple) -> tuple[jax.Array, None]:
                y_t, _ = step(net, weights, y_tm1, x_t[0])
                return jnp.where(x_t[1], y_t, y_tm1), None

            y_t, _ = jax.lax.scan(body, before[t], (x, is_real))
            return output_units(net, weights, y_t, x[-1])

        outputs = jax.vmap(last_outputs)(jnp.arange(num_steps))
        taken = ignore_within_tolerance(outputs, sequence.targets, sequence.tolerance)
        return half_squared_error(taken, sequence.targets, sequence.at_steps), outputs

    return jax.grad(loss, has_aux=True)(weights)
