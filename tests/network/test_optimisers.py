"""Optimisers by name are optax's; those that need more than a gradient are refused by name."""

from __future__ import annotations

from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from lstm_jax import PerSequenceUpdate, baselines, init_learner, initialise, make_task
from lstm_jax.network.optimisers import (
    DECAY_STEPS,
    check_optimiser,
    make_injected_optimiser,
)

pytestmark = pytest.mark.usefixtures("standard_promotion")


@pytest.fixture
def standard_promotion() -> Iterator[None]:
    """optax multiplies integers and floats."""
    with jax.numpy_dtype_promotion("standard"):
        yield


WEIGHTS = {"w": jnp.ones((2, 3)), "b": jnp.ones(3)}
NEED_MORE = {
    "reduce_on_plateau.* missing .*: 'value'": optax.contrib.reduce_on_plateau(),
    "scale_by_zoom_linesearch.* missing .*: 'value', 'grad', and 'value_fn'": optax.lbfgs(),
    "scale_by_polyak.* missing .*: 'value'": optax.polyak_sgd(),
}


@pytest.mark.parametrize("message", NEED_MORE)
def test_an_optimiser_that_needs_the_loss_is_refused(message: str):
    chain = optax.chain(optax.clip_by_global_norm(1.0), NEED_MORE[message])
    with pytest.raises(ValueError, match=message):
        check_optimiser(chain, WEIGHTS)


MISFITS = {
    "a mask of another tree": optax.adamw(0.1, mask={"w": True}),
    "a label without a transformation": optax.multi_transform({"a": optax.sgd(0.1)}, lambda _: "b"),
    "updates of another shape": optax.stateless(lambda g, _: jax.tree.map(jnp.sum, g)),
    "a class instead of an optimiser": optax.sgd,
}


@pytest.mark.parametrize("name", MISFITS)
def test_an_optimiser_that_does_not_fit_is_refused_by_learners_and_trials_alike(name: str):
    task = make_task("6a")
    weights = initialise(jax.random.key(0), task.architecture)
    for refuse in (
        lambda: init_learner(task.architecture, weights, MISFITS[name]),
        lambda: PerSequenceUpdate(task, MISFITS[name]),
        lambda: baselines.training_loop(task, optimiser=MISFITS[name]),
    ):
        with pytest.raises(ValueError, match=r"^optimiser must ") as refused:
            refuse()
        assert "\n" not in str(refused.value)


@pytest.mark.parametrize("name", ["adam", "adamw", "lamb", "lion", "noisy_sgd", "rmsprop", "sgd"])
def test_others_are_accepted(name: str):
    check_optimiser(getattr(optax, name)(0.1), WEIGHTS)


OPTAX = {
    "sgd": optax.sgd,
    "adam": optax.adam,
    "adam_inverse_sqrt": lambda rate: optax.adam(lambda n: rate / jnp.sqrt(1 + n / DECAY_STEPS)),
}


@pytest.mark.parametrize("name", OPTAX)
def test_a_learning_rate_in_the_state_gives_optax_s_updates(name: str):
    gradients, weights = jnp.array([1.0, -2.0, 0.5]), jnp.zeros(3)
    fixed, injected = OPTAX[name](0.3), make_injected_optimiser(name, 0.5)
    state = optax.tree_utils.tree_set(injected.init(weights), learning_rate=jnp.float32(0.3))
    states = [fixed.init(weights), state]
    for scale in (1.0, 0.1, -1.0):
        (one, states[0]), (other, states[1]) = (
            optimiser.update(scale * gradients, state)
            for optimiser, state in zip((fixed, injected), states, strict=True)
        )
        np.testing.assert_allclose(one, other, rtol=1e-6)


def test_the_inverse_square_root_schedule_falls_after_5000_updates():
    """At a constant gradient, Adam's update is the learning rate."""
    optimiser = make_injected_optimiser("adam_inverse_sqrt", 0.2)
    state = optimiser.init(jnp.zeros(()))
    first, _ = optimiser.update(jnp.float32(7.0), state)
    np.testing.assert_allclose(first, -0.2, rtol=1e-5)
    later = {"count": jnp.int32(3 * DECAY_STEPS), "mu": jnp.float32(7), "nu": jnp.float32(49)}
    inner = optax.tree_utils.tree_set(state.inner_state, **later)
    update, _ = optimiser.update(jnp.float32(7.0), state._replace(inner_state=inner))
    np.testing.assert_allclose(update, -0.2 / 2, rtol=1e-3)
