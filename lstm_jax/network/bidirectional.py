"""Two networks on one sequence, in opposite directions, so that every step sees all steps.

Reference:
  A. Graves and J. Schmidhuber. Framewise phoneme classification with bidirectional LSTM and other
  neural network architectures. Neural Networks 18(5-6):602-610, 2005.
"""

from __future__ import annotations

import dataclasses
import functools

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from lstm_jax.cell.architecture import Architecture
from lstm_jax.cell.parameters import Parameters
from lstm_jax.cell.scan import Activations, Steps
from lstm_jax.cell.step import State
from lstm_jax.network.layer import RunOptions, unroll


def bidirectional(
    architecture: Architecture,
    forward: Parameters,
    backward: Parameters,
    inputs: ArrayLike,
    *,
    steps: Steps = Steps(),
    options: RunOptions = RunOptions(),
) -> tuple[Activations, tuple[State, State]]:
    """Run two hidden layers of one architecture over one sequence, in opposite directions.

    Each has its own gradient, truncated or not. `output_units` of both take weights [2C, K] from
    the cells and [2N, K] from conventional hidden units.

    >>> from lstm_jax.cell.parameters import initialise
    >>> net = Architecture(num_inputs=3, blocks=(2,), num_outputs=1)
    >>> forward, backward = (initialise(jax.random.key(seed), net) for seed in range(2))
    >>> activations, _ = bidirectional(net, forward, backward, jnp.ones((10, 3)))
    >>> activations.cell_output.shape, activations.input_gate.shape
    ((10, 4), (10, 2))

    `forward` are the weights of the network that begins at step 0, `backward` those of the network
    that begins at the last real step; `options.reverse` exchanges the two. The other arguments are
    those of `unroll`.

    Returns:
      The `Activations` of both at every step, [T, 2n] each, forward first, and the two final
      states; that of `backward` is the state after step 0.

    Raises:
      ValueError: as in `unroll`.
    """
    run = functools.partial(unroll, architecture, inputs=inputs, steps=steps)
    ahead, ahead_state = run(forward, options=options)
    reverse = dataclasses.replace(options, reverse=not options.reverse)
    back, back_state = run(backward, options=reverse)
    joined = jax.tree.map(lambda *both: jnp.concatenate(both, axis=1), ahead, back)
    return joined, (ahead_state, back_state)
