"""Sequences of tasks 3a, 4 and 6a, changed at their distractors alone.

What decides the target is as it was: the first N inputs in 3a, the pairs with a marker in 4 and all
but a, b, c and d in 6a.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from lstm_jax.tasks.task import Example
from lstm_jax.tasks.temporal_order import SYMBOLS
from lstm_jax.tasks.two_sequence import VARIANCE

ROWS = ("3a-100-3", "4-100", "6a")
SIGNAL = 3  # N of 3a
NOISE, DROPPED = 0.2, 0.2  # standard deviation of added noise; share of inputs that are 0
DISTRACTORS = tuple(SYMBOLS.index(symbol) for symbol in "abcd")

Generator = np.random.Generator


def find_distractors(row: str, batch: Example) -> np.ndarray:
    """Return where a batch has distractors, [B, T]."""
    inputs, steps = np.asarray(batch.inputs), np.arange(batch.inputs.shape[1])
    is_real = steps < np.asarray(batch.length)[:, None]
    if row == "6a":
        return is_real & np.isin(inputs, DISTRACTORS)
    if row == "4-100":
        return is_real & (inputs[..., 1] == 0)
    return is_real & (steps >= SIGNAL)


def as_reals(row: str, batch: Example) -> Example:
    """Return a batch with inputs [B, T, I], one-hot in 6a."""
    inputs = np.array(batch.inputs)
    if row == "6a":
        inputs = np.eye(len(SYMBOLS), dtype=np.float32)[inputs]
    return batch._replace(inputs=inputs)


def redraw(row: str, batch: Example, generator: Generator) -> Example:
    """Draw other distractors from the task's distribution."""
    inputs, places = np.array(batch.inputs), find_distractors(row, batch)
    if row == "6a":
        inputs[places] = generator.choice(DISTRACTORS, places.sum())
    elif row == "4-100":
        inputs[places, 0] = generator.uniform(-1, 1, places.sum())
    else:
        inputs[places, 0] = generator.normal(0, np.sqrt(VARIANCE), places.sum())
    return batch._replace(inputs=inputs)


def warp(row: str, batch: Example, generator: Generator) -> Example:
    """Leave out, keep or double each distractor with equal probability."""
    changed, places = as_reals(row, batch), find_distractors(row, batch)
    repeats = np.where(places, generator.integers(0, 3, places.shape), 1)
    repeats *= np.arange(places.shape[1]) < np.asarray(batch.length)[:, None]
    length = repeats.sum(1).astype(np.int32)
    shape = len(places), 2 * places.shape[1], changed.inputs.shape[-1]
    inputs = np.zeros(shape, np.float32)
    for new, old, times, n in zip(inputs, changed.inputs, repeats, length, strict=True):
        new[:n] = np.repeat(old, times, axis=0)
    return changed._replace(inputs=inputs, length=length)


def add_noise(row: str, batch: Example, generator: Generator) -> Example:
    """Add Gaussian noise to all inputs of a distractor."""
    changed, places = as_reals(row, batch), find_distractors(row, batch)
    noise = generator.normal(0, NOISE, changed.inputs.shape)
    inputs = changed.inputs + np.where(places[..., None], noise, 0)
    return changed._replace(inputs=inputs.astype(np.float32))


def drop(row: str, batch: Example, generator: Generator) -> Example:
    """Set all inputs of some distractors to 0."""
    changed, places = as_reals(row, batch), find_distractors(row, batch)
    places = places & (generator.random(places.shape) < DROPPED)
    return changed._replace(inputs=np.where(places[..., None], np.float32(0), changed.inputs))


def replace_by_unseen(row: str, batch: Example, generator: Generator) -> Example:
    """Replace distractors by such as never occur in training.

    In 6a up to two of a, b, c and d at once, in 4 values from [-2, 2], and in 3a the signal
    of the other class for as many steps as the signal, in the middle.
    """
    changed, places = as_reals(row, batch), find_distractors(row, batch)
    inputs = changed.inputs
    if row == "6a":
        other = redraw(row, batch, generator)
        inputs = np.where(
            places[..., None], np.maximum(inputs, as_reals(row, other).inputs), inputs
        )
    elif row == "4-100":
        inputs[places, 0] = generator.uniform(-2, 2, places.sum())
    else:
        middle = inputs.shape[1] // 2
        inputs[:, middle : middle + SIGNAL] = -inputs[:, :SIGNAL]
    return changed._replace(inputs=inputs)


CHANGES: dict[str, Callable[[str, Example, Generator], Example]] = {
    "as in training": lambda row, batch, _: as_reals(row, batch),
    "each distractor 0 to 2 times": warp,
    "noise at distractors": add_noise,
    "distractors left blank": drop,
    "unseen distractors": replace_by_unseen,
}
