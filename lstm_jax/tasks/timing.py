"""Timing: spikes that are F or F + 1 steps apart, to be measured or generated.

A task of Gers, Schraudolph & Schmidhuber (2002), not one of the six experiments. Spike n comes
F + I(n) steps after the one before; I(n) is 0 or 1 with even odds. For F = 3 and I = 0, 1:

    step                           1   2   3   4   5   6   7
    spikes                         .   .   1   .   .   .   1
    I(n), until spike n            0   0   0   1   1   1   1

    measuring     the input is the spikes; the target is I(n) at spike n and 0 elsewhere
    generating    the input is I(n); the target is the spikes

A sequence is correct if every output is less than 0.49 from its target. The publication's network
has one cell whose gates see its state through peepholes: 17 weights. It reports that peepholes are
necessary to generate spikes, but not to measure them. It trains on streams of up to 100 spikes and
tests on streams of 1000; here training sequences have 3, and 1000 spikes in a row must be right.

Reference:
  F. A. Gers, N. N. Schraudolph and J. Schmidhuber. Learning precise timing with LSTM recurrent
  networks. Journal of Machine Learning Research 3:115-143, 2002.
"""

from __future__ import annotations

from typing import Literal, get_args

import jax
import jax.numpy as jnp

from lstm_jax.cell.architecture import Architecture
from lstm_jax.cell.validation import check_choice
from lstm_jax.tasks import draws
from lstm_jax.tasks.hyperparameters import Hyperparameters
from lstm_jax.tasks.task import Example, Published, StreamRule, Task, real_steps

Mode = Literal["measuring", "generating"]

SPIKES = 3
TOLERANCE = 0.49


def make(
    mode: Mode = "generating", period: int = 10, *, cells: int = 1, peepholes: bool = True
) -> Task:
    """Return the task for spikes that are `period` or `period` + 1 steps apart.

    >>> make().architecture.num_weights, make(peepholes=False).architecture.num_weights
    (17, 14)

    Args:
      mode: "measuring" or "generating".
      period: F, at least 1.
      cells: the number of memory blocks, of one cell each, at least 1.
      peepholes: whether the network has them.

    Raises:
      ValueError: if `mode` is unknown, or `period` or `cells` is not positive.
    """
    check_choice("mode", mode, get_args(Mode))
    for name, count in (("period", period), ("cells", cells)):
        if count < 1:
            raise ValueError(f"{name} must be at least 1, got {count}")

    def sample(key: jax.Array, _: None) -> Example:
        return train(mode, draws.small_integers(draws.words(key, 3), SPIKES, 1), period)

    return Task(
        name=f"timing-{mode}-{period}",
        title=f"{mode} {'delays' if mode == 'measuring' else 'spikes'}, F = {period}",
        architecture=Architecture(
            num_inputs=1,
            blocks=(1,) * cells,
            num_outputs=1,
            recurrent="cells",
            biases="all",
            cell_input="identity",
            cell_output="identity",
            forget_gates=True,
            peepholes=peepholes,
        ),
        max_length=SPIKES * (period + 1),
        error_at="every_step",
        sample=sample,
        is_correct=is_correct,
        hyperparameters=Hyperparameters(
            learning_rate=1e-5,
            init_range=0.1,
            input_gate_bias=(0.0,) * cells,
            forget_gate_bias=(-2.0,) * cells,
            output_gate_bias=(2.0,) * cells,
        ),
        rule=StreamRule(window=-(-1000 // SPIKES)),
        max_sequences=100_000,
        published=Published(table="text, without numbers"),
    )


def train(mode: Mode, late: jax.Array, period: int) -> Example:
    """Return the train of spikes for I of each spike, `late` [N] int32, and F, `period`."""
    ends = jnp.cumsum(period + late)  # the number of steps up to each spike
    steps = 1 + jnp.arange(late.shape[0] * (period + 1), dtype=jnp.int32)
    nearest = jnp.minimum(jnp.searchsorted(ends, steps), late.shape[0] - 1)
    spike = (ends[nearest] == steps).astype(jnp.float32)[:, None]
    displayed = late[nearest].astype(jnp.float32)[:, None]
    inputs, targets = (spike, spike * displayed) if mode == "measuring" else (displayed, spike)
    return Example(inputs, targets, targets, ends[-1])


def is_correct(outputs: jax.Array, example: Example) -> jax.Array:
    """Return whether all outputs before the padding, [T, 1], are near their targets."""
    near = jnp.abs(outputs - example.true_targets) < TOLERANCE
    return jnp.all(near | ~real_steps(example)[:, None])
