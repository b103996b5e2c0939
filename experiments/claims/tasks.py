"""Tasks beyond the paper's tables, which only claims use: counting, timing, lags, noisy strings.

**Counting** (Gers & Schmidhuber 2001): predict all legal next symbols of a^n b^n (c^n).
Inputs are one-hot symbols a, b, (c,) S; the outputs stand for a, b, (c,) T, which ends a string.

    position           0     1      2      3     4     5     6
    a^n b^n            S     a      a      b     b
    legal next         a     a b    a b    b     T
    a^n b^n c^n        S     a      a      b     b     c     c
    legal next         a     a b    a b    b     c     c     T

**Timing** (Gers, Schraudolph & Schmidhuber 2002): spike n comes F + I(n) steps after the last;
I(n) is 0 or 1 with even odds. For F = 3 and I = 0, 1:

    step                           1   2   3   4   5   6   7
    spikes                         .   .   1   .   .   .   1
    I(n), until spike n            0   0   0   1   1   1   1

    measuring     the input is the spikes; the target is I(n) at spike n and 0 elsewhere
    generating    the input is I(n); the target is the spikes

Networks have the publications' weight counts, as far as is remembered.
"""

from __future__ import annotations

import dataclasses
from typing import Literal

import jax
import jax.numpy as jnp

from lstm_jax.cell.architecture import Architecture
from lstm_jax.network.losses import LOSSES
from lstm_jax.tasks import Hyperparameters, draws, noise_free, reber, within
from lstm_jax.tasks.task import Example, Published, StreamRule, Task, real_steps

Mode = Literal["measuring", "generating"]

SPIKES = 3  # of a training sequence
TOLERANCE = 0.49


def counting_task(letters: int, most: int = 10, *, peepholes: bool = True) -> Task:
    """Return the task for 2 or 3 letters, with n uniform in 1 .. `most` in training."""

    def sample(key: jax.Array, _: None) -> Example:
        return string(draws.integers(draws.words(key, 1)[0], 1, most), letters, most)

    return Task(
        name=f"counting-{letters}-{most}",
        title=" ".join(f"{letter}^n" for letter in "abc"[:letters]) + f", n up to {most}",
        architecture=Architecture(
            num_inputs=letters + 1,
            blocks=(1,) * (letters - 1),
            num_outputs=letters + 1,
            recurrent="cells",
            input_to_output=True,
            cell_input="tanh",
            cell_output="identity",
            forget_gates=True,
            peepholes=peepholes,
        ),
        error_at="every_step",
        sample=sample,
        is_correct=reber.is_correct,
        rule=StreamRule(window=10_000),
        max_sequences=50_000,
        published=Published(table="text, from memory"),
    )


def string(n: jax.Array | int, letters: int, most: int) -> Example:
    """Return the string for n in [1, most], int32, padded to the length of that for `most`."""
    steps = jnp.arange(letters * most + 1, dtype=jnp.int32)
    end = jnp.int32(letters)  # S as an input, T as an output
    letter_at = lambda position: jnp.minimum(jnp.maximum(position, 0) // n, end)
    symbols = jnp.where(steps == 0, end, letter_at(steps - 1))
    legal = jax.nn.one_hot(letter_at(steps), letters + 1, dtype=jnp.float32)
    a_or_b = jnp.zeros(letters + 1).at[:2].set(1.0)  # after an a, whatever n will be
    legal = jnp.where((symbols == 0)[:, None], a_or_b[None], legal)
    length = jnp.int32(letters * n + 1)
    return Example(jnp.minimum(symbols, end), legal, legal, length, legal)


def timing_task(
    mode: Mode, period: int, cells: int, *, peepholes: bool, max_sequences: int
) -> Task:
    """Return the task for F = `period` and a network of `cells`."""

    def sample(key: jax.Array, _: None) -> Example:
        return spike_train(mode, draws.small_integers(draws.words(key, 3), SPIKES, 1), period)

    return Task(
        name=f"timing-{mode}-{period}",
        title=f"{mode} {'delays' if mode == 'measuring' else 'spikes'}, F = {period}",
        architecture=Architecture(
            num_inputs=1,
            blocks=(1,) * cells,
            num_outputs=1,
            recurrent="cells",
            biases="all",
            cell_input="tanh",
            cell_output="identity",
            forget_gates=True,
            peepholes=peepholes,
        ),
        error_at="every_step",
        sample=sample,
        is_correct=spikes_are_correct,
        hyperparameters=Hyperparameters(
            init_range=0.5,
            input_gate_bias=(0.0,) * cells,
            forget_gate_bias=(2.0,) * cells,
            output_gate_bias=(-1.0,) * cells,
            gradient="full",
            loss=LOSSES["cross_entropy"],
        ),
        rule=StreamRule(window=-(-1000 // SPIKES)),
        max_sequences=max_sequences,
        published=Published(table="text, without numbers"),
    )


def spike_train(mode: Mode, late: jax.Array, period: int) -> Example:
    """Return the train of spikes for I of each spike, `late` [N] int32, and F, `period`."""
    ends = jnp.cumsum(period + late)  # the number of steps up to each spike
    steps = 1 + jnp.arange(late.shape[0] * (period + 1), dtype=jnp.int32)
    nearest = jnp.minimum(jnp.searchsorted(ends, steps), late.shape[0] - 1)
    spike = (ends[nearest] == steps).astype(jnp.float32)[:, None]
    lateness = late[nearest].astype(jnp.float32)[:, None]
    inputs, targets = (spike, spike * lateness) if mode == "measuring" else (lateness, spike)
    return Example(inputs, targets, targets, ends[-1])


def spikes_are_correct(outputs: jax.Array, example: Example) -> jax.Array:
    """Return whether all outputs before the padding, [T, 1], are near their targets."""
    near = jnp.abs(outputs - example.true_targets) < TOLERANCE
    return jnp.all(near | ~real_steps(example)[:, None])


def lag_task(shortest: int, longest: int) -> Task:
    """Return the task of a bit kept over lags uniform in shortest .. longest, for one cell.

    The one-hot symbols are 0 or 1, then blanks; the target at the end is the first symbol.
    """

    def sample(key: jax.Array, _: None) -> Example:
        words = draws.words(key, 2)
        bit = draws.integers(words[0], 0, 1)
        steps = jnp.arange(longest + 1, dtype=jnp.int32)
        target = bit.astype(jnp.float32)[None]
        length = 1 + draws.integers(words[1], shortest, longest)
        return Example(jnp.where(steps == 0, bit, 2), target, target, length)

    return Task(
        name=f"lag-{shortest}-{longest}",
        title=f"a bit kept for {shortest} to {longest} steps",
        architecture=Architecture(num_inputs=3, blocks=(1,), num_outputs=1, biases="all"),
        error_at="end",
        sample=sample,
        is_correct=within(0.3),
        hyperparameters=Hyperparameters(learning_rate=0.5, init_range=0.1, input_gate_bias=(-1.0,)),
        rule=StreamRule(window=2000, max_wrong=0),
        trials=10,
        max_sequences=50_000,
    )


def noisy_task(noise: float, delay: int) -> Task:
    """Return task 2a with middle symbols that are random with probability `noise`.

    A random symbol may equal the one that it replaces. At 1 the sequences are those of 2b.
    """

    def sample(key: jax.Array, _: None) -> Example:
        num_middle = delay - 1
        words = draws.words(key, 1 + 2 * num_middle)
        edge = num_middle + draws.integers(words[:1], 0, 1)
        is_random = draws.uniform(words[1 : 1 + num_middle], 0.0, 1.0) < noise
        random = draws.integers(words[1 + num_middle :], 0, num_middle - 1)
        middle = jnp.where(is_random, random, jnp.arange(num_middle, dtype=jnp.int32))
        return noise_free.predict_next(jnp.concatenate([edge, middle, edge]), delay)

    return dataclasses.replace(
        noise_free.make("2b", delay),
        name=f"2-noise-{noise:g}-{delay}",
        title=f"noise-free to random middle, noise {noise:g}, delay {delay}",
        sample=sample,
        published=Published(),
    )
