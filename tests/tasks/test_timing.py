"""Trains of spikes, to be measured or generated."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lstm_jax.tasks import timing

TRAINS = (  # F, I of each spike, the spikes, I until each spike
    (3, (0, 1), "..1...1", "0001111"),
    (3, (1, 1, 0), "...1...1..1", "11111111000"),
    (1, (0, 0, 1), "11.1", "0011"),
)


@pytest.mark.parametrize(("period", "late", "spikes", "bits"), TRAINS)
def test_inputs_and_targets(period: int, late: tuple, spikes: str, bits: str):
    is_spike = np.array([symbol == "1" for symbol in spikes], float)
    bit = np.array([int(bit) for bit in bits], float)
    expected = {"measuring": (is_spike, is_spike * bit), "generating": (bit, is_spike)}
    for kind, (inputs, targets) in expected.items():
        found = timing.train(kind, jnp.array(late, jnp.int32), period)
        assert found.length == len(spikes) and len(found.inputs) == len(late) * (period + 1)
        assert found.inputs[: len(spikes), 0].tolist() == inputs.tolist()
        assert found.targets[: len(spikes), 0].tolist() == targets.tolist()


def test_early_and_late_spikes_are_independent_with_even_odds(assert_uniform):
    task = timing.make("measuring", 4)
    batch = jax.tree.map(np.asarray, task.sample_batch(jax.random.key(2), 2000))
    patterns = np.array(
        [
            targets[np.flatnonzero(inputs)[: timing.SPIKES]].astype(int)
            for inputs, targets in zip(batch.inputs[..., 0], batch.targets[..., 0], strict=True)
        ]
    )
    assert np.array_equal(batch.length, 4 * timing.SPIKES + patterns.sum(1))
    assert_uniform(patterns @ [4, 2, 1], 0, 7)


def test_every_step_must_be_near_but_padding_need_not():
    example = timing.train("generating", jnp.array([0, 1], jnp.int32), 3)
    outputs = np.array(example.targets)
    outputs[7:] = np.nan  # padding
    outputs[2] = 1 - 0.48
    assert timing.is_correct(outputs, example)
    for step, value in ((2, 0.5), (6, 0.4), (0, 0.5)):
        wrong = outputs.copy()
        wrong[step] = value
        assert not timing.is_correct(wrong, example)


def test_arguments_out_of_range_are_refused():
    with pytest.raises(ValueError, match=r"kind must be one of \('measuring', .*, got 'counting'"):
        timing.make("counting")  # pyright: ignore[reportArgumentType]
    for name in ("period", "cells"):
        with pytest.raises(ValueError, match=f"{name} must be at least 1, got 0"):
            timing.make(**{name: 0})
