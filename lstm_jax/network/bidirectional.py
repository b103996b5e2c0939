"""Two networks on one sequence, one from its start and one from its end (bidirectional).

At every step the two together have seen the whole sequence: what is behind as well as what is to
come. Each is a network of its own, with the gradient of its own, cut or not.

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
from lstm_jax.cell.scan import Activations
from lstm_jax.cell.step import State
from lstm_jax.network.layer import RunOptions, Steps, unroll


def bidirectional(
    architecture: Architecture,
    forward: Parameters,
    backward: Parameters,
    inputs: ArrayLike,
    *,
    steps: Steps = Steps(),
    options: RunOptions = RunOptions(),
) -> tuple[Activations, tuple[State, State]]:
    """Runs two hidden layers of one architecture over one sequence, in opposite directions.

    Output units that see both are `output_units` with weights [2C, K] from the cells, and
    [2N, K] from conventional hidden units; so is what `attention` takes.

    >>> from lstm_jax.cell.parameters import initialise
    >>> net = Architecture(num_inputs=3, blocks=(2,), num_outputs=1)
    >>> forward, backward = (initialise(jax.random.key(seed), net) for seed in range(2))
    >>> activations, _ = bidirectional(net, forward, backward, jnp.ones((10, 3)))
    >>> activations.cell_output.shape, activations.input_gate.shape
    ((10, 4), (10, 2))

    Args:
      architecture: of both; static under `jit`.
      forward: the weights of the one that begins at step 0.
      backward: the weights of the one that begins at the last step that is not padding.
      inputs, steps, options: as in `unroll`; `options.reverse` exchanges the two.

    Returns:
      The `Activations` of both side by side, [T, 2n] each, forward first, what both have of a step
      at that step's place; and the final states of both, that of `backward` being after step 0.

    Raises:
      ValueError: as in `unroll`.
    """
    backwards = dataclasses.replace(options, reverse=not options.reverse)
    run = functools.partial(unroll, architecture, inputs=inputs, steps=steps)
    ahead, ahead_state = run(forward, options=options)
    back, back_state = run(backward, options=backwards)
    side_by_side = lambda *both: jnp.concatenate(both, axis=1)
    return jax.tree.map(side_by_side, ahead, back), (ahead_state, back_state)
