"""Two networks on one sequence, one from its start and one from its end (bidirectional).

At every step the two together have seen the whole sequence: what is behind as well as what is to
come. Each is a network of its own, with the gradient of its own, cut or not.

Reference:
  A. Graves and J. Schmidhuber. Framewise phoneme classification with bidirectional LSTM and other
  neural network architectures. Neural Networks 18(5-6):602-610, 2005.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from lstm_jax.cell.architecture import Architecture
from lstm_jax.cell.step import State
from lstm_jax.network.layer import Gradient, unroll
from lstm_jax.cell.parameters import Parameters
from lstm_jax.cell.scan import Activations


def unroll_both(
    architecture: Architecture,
    forward: Parameters,
    backward: Parameters,
    inputs: ArrayLike,
    *,
    mask: ArrayLike | None = None,
    length: ArrayLike | None = None,
    gradient: Gradient = "truncated",
    steps_per_iteration: int = 1,
) -> tuple[Activations, tuple[State, State]]:
    """Runs two hidden layers of one architecture over one sequence, in opposite directions.

    Output units that see both are `output_units_over_time` with weights [2C, K] from the cells, and
    [2N, K] from conventional hidden units; so is what `attention` takes.

    >>> from lstm_jax.cell.parameters import initialise
    >>> net = Architecture(num_inputs=3, blocks=(2,), num_outputs=1)
    >>> forward, backward = (initialise(jax.random.key(seed), net) for seed in range(2))
    >>> activations, _ = unroll_both(net, forward, backward, jnp.ones((10, 3)), length=7)
    >>> activations.cell_output.shape, activations.input_gate.shape
    ((10, 4), (10, 2))

    Args:
      architecture: of both; static under `jit`.
      forward: the weights of the one that begins at step 0.
      backward: the weights of the one that begins at the last step that is not padding.
      inputs, mask, length, gradient, steps_per_iteration: as in `unroll`.

    Returns:
      The `Activations` of both side by side, [T, 2n] each, forward first, what both have of a step
      at that step's place; and the final states of both, that of `backward` being after step 0.

    Raises:
      ValueError: as in `unroll`.
    """
    (ahead, ahead_state), (back, back_state) = (
        unroll(
            architecture,
            parameters,
            inputs,
            mask=mask,
            length=length,
            reverse=reverse,
            gradient=gradient,
            steps_per_iteration=steps_per_iteration,
        )
        for parameters, reverse in ((forward, False), (backward, True))
    )
    side_by_side = lambda *both: jnp.concatenate(both, axis=1)
    return jax.tree.map(side_by_side, ahead, back), (ahead_state, back_state)
