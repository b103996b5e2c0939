"""Trains of spikes, and what is asked about them."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lstm_jax.tasks import timing

TRAINS = (  # F, I of each spike, the spikes, I while it lasts
    (3, (0, 1), "..1...1", "0001111"),
    (3, (1, 1, 0), "...1...1..1", "11111111000"),
    (1, (0, 0, 1), "11.1", "0011"),
)


@pytest.mark.parametrize(("period", "late", "spikes", "shown"), TRAINS)
def test_trains_and_what_is_asked(period: int, late: tuple, spikes: str, displayed: str):
    late = jnp.array(late, jnp.int32)
    measuring, generating = (
        jax.tree.map(np.asarray, timing.train(kind, late, period))
        for kind in ("measuring", "generating")
    )
    length = len(spikes)
    assert measuring.length == generating.length == length
    assert len(measuring.inputs) == len(late) * (period + 1)
    is_spike = np.array([symbol == "1" for symbol in spikes], float)
    bits = np.array([int(bit) for bit in displayed], float)
    for found, expected in (
        (measuring.inputs, is_spike),
        (measuring.targets, is_spike * bits),
        (generating.inputs, bits),
        (generating.targets, is_spike),
    ):
        assert found[:length, 0].tolist() == expected.tolist()


def test_early_and_late_spikes_are_as_likely_each_by_itself(assert_frequencies):
    task = timing.make("measuring", 4)
    batch = jax.tree.map(np.asarray, task.sample_batch(jax.random.key(2), 2000))
    patterns = []
    for inputs, targets in zip(batch.inputs[..., 0], batch.targets[..., 0], strict=True):
        patterns.append(targets[np.flatnonzero(inputs)[: timing.SPIKES]].astype(int))
    assert np.all(batch.length == 4 * timing.SPIKES + np.sum(patterns, axis=1))
    # Neighbours come in all four ways, each as often.
    pairs = [2 * a + b for row in patterns for a, b in zip(row[::2], row[1::2], strict=False)]
    assert_frequencies(np.bincount(pairs, minlength=4), np.full(4, 0.25))


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


def test_the_network_is_that_of_the_publication():
    architecture = timing.make().architecture
    assert architecture.num_weights == 17
    assert timing.make(peepholes=False).architecture.num_weights == 17 - 3


def test_what_is_no_such_task_is_named():
    with pytest.raises(ValueError, match=r"kind must be one of \('measuring', .*, got 'counting'"):
        timing.make("counting")  # pyright: ignore[reportArgumentType]
    for name in ("period", "cells"):
        with pytest.raises(ValueError, match=f"{name} must be at least 1, got 0"):
            timing.make(**{name: 0})
