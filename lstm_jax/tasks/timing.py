"""Timing: spikes that are F or F + 1 steps apart, to be measured or to be generated.

Not one of the six experiments, but of Gers, Schraudolph & Schmidhuber (2002). Spike n comes
F + I(n) steps after the one before, the first F + I(1) steps after the start; I(n) is 0 or 1, drawn
evenly. One input unit, one output unit. For F = 3 and I = 0, 1:

    step                       1   2   3   4   5   6   7
    spikes                     .   .   1   .   .   .   1
    I, shown while it lasts    0   0   0   1   1   1   1

    measuring     sees the spikes, and tells at each of them what I was; 0 elsewhere
    generating    sees I, and makes the spikes; 0 elsewhere

A sequence is correct if every output is less than 0.49 from its target. The publication's network
has one cell, whose gates see its state through peepholes: 17 weights. Without peepholes, a gate
hears of the state what the output gate lets through, a step late; to generate spikes, the paper
says, that is not enough, and to measure them it is.

The criterion, the spikes' times and the weights are the publication's. What is not known here, and
chosen: I is shown all the time (generating), and there are targets of 0 between spikes (measuring).
It learns from streams of up to 100 spikes, which end with the first wrong output, here from
sequences of 3; it asks for streams of 1000, here for as many spikes in a row.

Reference:
  F. A. Gers, N. N. Schraudolph and J. Schmidhuber. Learning precise timing with LSTM recurrent
  networks. Journal of Machine Learning Research 3:115-143, 2002.
"""

from __future__ import annotations

from typing import Literal, get_args

import jax
import jax.numpy as jnp

from lstm_jax.cell.architecture import Architecture
from lstm_jax.tasks import draws
from lstm_jax.tasks.hyperparameters import Hyperparameters
from lstm_jax.tasks.task import Example, Published, StreamRule, Task, real_steps

Kind = Literal["measuring", "generating"]

SPIKES = 3
TOLERANCE = 0.49


def make(
    kind: Kind = "generating", period: int = 10, *, cells: int = 1, peepholes: bool = True
) -> Task:
    """Makes the task of spikes that are `period` steps apart, or one more.

    >>> make().architecture.num_weights, make(peepholes=False).architecture.num_weights
    (17, 14)

    Args:
      kind: what is asked for.
      period: F, at least 1.
      cells: how many the network has, in as many blocks, at least 1.
      peepholes: whether the network has them.

    Raises:
      ValueError: if there is no such kind, or the period or `cells` is not positive.
    """
    if kind not in get_args(Kind):
        raise ValueError(f"kind must be one of {get_args(Kind)}, got {kind!r}")
    for name, count in (("period", period), ("cells", cells)):
        if count < 1:
            raise ValueError(f"{name} must be at least 1, got {count}")

    def sample(key: jax.Array, data: None = None) -> Example:
        del data
        return train(kind, draws.small_integers(draws.words(key, 3), SPIKES, 1), period)

    return Task(
        name=f"timing-{kind}-{period}",
        title=f"{kind} {'delays' if kind == 'measuring' else 'spikes'}, F = {period}",
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


def train(kind: Kind, late: jax.Array, period: int) -> Example:
    """A train of spikes.

    Args:
      kind: what is asked for.
      late: [N] int32, I of each spike, 0 or 1.
      period: F.
    """
    ends = jnp.cumsum(period + late)  # the number of steps up to each spike
    steps = 1 + jnp.arange(late.shape[0] * (period + 1), dtype=jnp.int32)
    nearest = jnp.minimum(jnp.searchsorted(ends, steps), late.shape[0] - 1)
    spike = (ends[nearest] == steps).astype(jnp.float32)[:, None]
    displayed = late[nearest].astype(jnp.float32)[:, None]
    inputs, targets = (spike, spike * displayed) if kind == "measuring" else (displayed, spike)
    return Example(inputs, targets, targets, ends[-1])


def is_correct(outputs: jax.Array, example: Example) -> jax.Array:
    """Whether the outputs are near enough to their targets, [T, 1], at all real steps."""
    near = jnp.abs(outputs - example.true_targets) < TOLERANCE
    return jnp.all(near | ~real_steps(example)[:, None])
