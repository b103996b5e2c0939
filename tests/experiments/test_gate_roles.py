"""Networks set by hand, gates held constant, and sequences with changed distractors."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from experiments.claims import distractors, gate_roles, generalisation
from lstm_jax import Parameters, unroll
from lstm_jax.tasks.task import Example, Task

ROWS = [*gate_roles.RECIPES]


def drawn(row: str) -> tuple[Task, Parameters, Example]:
    """Return a task, its network set by hand and a batch of sequences."""
    task = gate_roles.Variant(row, "set by hand").task
    batch = task.sample_batch(jax.random.key(3), 128)
    return task, gate_roles.BY_HAND[row](task.architecture), batch


@pytest.mark.parametrize("row", ROWS)
def test_a_network_set_by_hand_solves_its_task(row: str):
    task, network, batch = drawn(row)
    assert gate_roles.wrong_share(task, network, batch) == 0
    other = distractors.redraw(row, batch, np.random.default_rng(0))
    assert gate_roles.wrong_share(task, network, other) == 0
    assert gate_roles.distractor_share(task, network, batch, other) < 1e-3


@pytest.mark.parametrize("gate", ["input_gate", "output_gate"])
def test_a_gate_that_is_held_has_its_mean_at_every_step(gate: str):
    task, network, batch = drawn("6a")
    run = lambda network: jax.vmap(lambda x: unroll(task.architecture, network, x)[0])(batch.inputs)
    held = gate_roles.hold(task, network, batch, gate)
    before, after = (getattr(run(net), gate) for net in (network, held))
    is_real = np.arange(before.shape[1]) < np.asarray(batch.length)[:, None]
    mean = np.asarray(before, np.float64)[is_real].mean(0)
    np.testing.assert_allclose(after, np.broadcast_to(mean, after.shape), rtol=1e-4)
    same = [unit for unit in ("input_gate", "output_gate", "cell") if unit != gate]
    for unit in same:
        assert getattr(held.layer, unit) is getattr(network.layer, unit)


@pytest.mark.parametrize("row", ROWS)
def test_changed_distractors_leave_what_decides_the_target(row: str):
    """The networks set by hand, which ignore distractors, find all changed sequences right."""
    task, network, batch = drawn(row)
    for name, change in distractors.CHANGES.items():
        if "noise" not in name:  # which opens their gates
            changed = change(row, batch, np.random.default_rng(1))
            assert gate_roles.wrong_share(task, network, changed) == 0, name


@pytest.mark.parametrize("row", ROWS)
def test_changes_are_those_of_their_names(row: str):
    _, _, batch = drawn(row)
    places, generator = distractors.find_distractors(row, batch), np.random.default_rng(1)
    same = np.asarray(distractors.as_reals(row, batch).inputs)
    noisy = distractors.add_noise(row, batch, generator).inputs
    blank = distractors.drop(row, batch, generator).inputs
    np.testing.assert_array_equal(noisy[~places], same[~places])
    assert abs(np.std((noisy - same)[places]) - distractors.NOISE) < 0.01
    np.testing.assert_array_equal(blank[~places], same[~places])
    is_blank = (blank[places] == 0).all(-1)
    assert abs(is_blank.mean() - distractors.DROPPED) < 0.02
    np.testing.assert_array_equal(blank[places][~is_blank], same[places][~is_blank])
    warped = distractors.warp(row, batch, generator)
    number = places.sum(1)  # of distractors
    kept = np.asarray(warped.length) - (np.asarray(batch.length) - number)
    assert abs(kept.mean() / number.mean() - 1) < 0.02 and kept.std() > 5
    assert (redrawn := distractors.redraw(row, batch, generator)).inputs.dtype == batch.inputs.dtype
    assert (np.asarray(redrawn.inputs) != np.asarray(batch.inputs))[places].mean() > 0.4


def test_compared_networks_have_about_the_same_number_of_weights():
    for row in ROWS:
        _, _, number = generalisation.Variant(row, generalisation.GRU).loop()
        assert abs(number / generalisation.Variant(row, "1997").loop()[2] - 1) < 0.2
