"""Settings that are numbers of a run do what a task's own conditions do."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from lstm_jax.training.recipes.settings import SettingsLearning, learn_by_settings
from small_tasks import LATCH

from lstm_jax.training.recipes.recipe import make_recipe


@jax.numpy_dtype_promotion("standard")  # as adam needs it
@pytest.mark.parametrize("optimiser", ["", "+optimiser=adam", "+optimiser=adam-inverse-sqrt"])
def test_an_optimiser_at_its_state_s_rate_is_that_at_the_task_s(optimiser: str):
    setup = make_recipe(f"cross-entropy+learning-rate=0.3{optimiser}").setup(LATCH)
    method, own = learn_by_settings(setup, SettingsLearning), setup.make_optimiser()
    assert method.error == setup.error
    parameters, state = method.init_trial(jax.random.key(0))
    own_state = own.init(parameters)
    for factor in (1.0, -0.5, 3.0):
        gradient = jax.tree.map(lambda w, f=factor: f * (w + jnp.float32(0.1)), parameters)
        found, state = method.optimiser.update(gradient, state, parameters)
        expected, own_state = own.update(gradient, own_state, parameters)
        for a, b in zip(*map(jax.tree.leaves, (found, expected)), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-6)


def test_updates_within_a_sequence_are_refused():
    with pytest.raises(ValueError, match="updates after sequences, got update=step"):
        learn_by_settings(make_recipe("paper+update=step").setup(LATCH), SettingsLearning)
