"""Networks set by hand, gates held constant, and redrawn distractors."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.claims import gate_roles
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
    other = gate_roles.redraw_distractors(row, batch, seed=0)
    assert gate_roles.wrong_share(task, network, other) == 0
    assert gate_roles.distractor_share(task, network, batch, other) < 1e-3


@pytest.mark.parametrize("gate", ["input_gate", "output_gate"])
def test_a_gate_that_is_held_has_its_mean_at_every_step(gate: str):
    task, network, batch = drawn("6a")
    run = lambda network: jax.vmap(lambda x: unroll(task.architecture, network, x)[0])(
        batch.inputs
    )
    held = gate_roles.hold(task, network, batch, gate)
    before, after = (getattr(run(net), gate) for net in (network, held))
    is_real = np.arange(before.shape[1]) < np.asarray(batch.length)[:, None]
    mean = np.asarray(before, np.float64)[is_real].mean(0)
    np.testing.assert_allclose(after, np.broadcast_to(mean, after.shape), rtol=1e-4)
    same = [unit for unit in ("input_gate", "output_gate", "cell") if unit != gate]
    for unit in same:
        assert getattr(held.layer, unit) is getattr(network.layer, unit)


@pytest.mark.parametrize("row", ROWS)
def test_redrawn_distractors_leave_what_decides_the_target(row: str):
    _, _, batch = drawn(row)
    other = gate_roles.redraw_distractors(row, batch, seed=0)
    for was, new, length, target in zip(
        *map(np.asarray, (batch.inputs, other.inputs, batch.length, batch.targets)), strict=True
    ):
        assert (was != new).mean() > 0.2 and (was[length:] == new[length:]).all()
        if row == "6a":
            relevant = [[symbol for symbol in x[:length] if symbol in (5, 6)] for x in (was, new)]
            assert relevant[0] == relevant[1] and len(relevant[0]) == 2
        elif row == "4-100":
            marked = new[new[:, 1] == 1, 0]
            np.testing.assert_allclose(0.5 + marked.sum() / 4, target[0], rtol=1e-5)
        else:
            assert (was[:3] == new[:3]).all() and jnp.ptp(new[:3]) == 0
