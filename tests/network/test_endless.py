"""A learner of a stream without end holds at its last step what it held at its first."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers import DESCENDANT, random_parameters
from resources import MEGABYTE, assert_bounded, measure, needs_proc

import lstm_jax as lstm

pytestmark = needs_proc

NET, ADAM = DESCENDANT, optax.adam(0.001)
PARAMETERS = jax.tree.map(np.float32, random_parameters(NET))
CHUNK = 10
RNG = np.random.default_rng(0)
Step = Callable[[lstm.Learner, np.ndarray, np.ndarray], lstm.Learner]


def eager(learner: lstm.Learner, inputs: np.ndarray, targets: np.ndarray) -> lstm.Learner:
    """Learn and update step by step, with gaps and resets."""
    for x_t, target in zip(inputs, targets, strict=True):
        gap, reset = bool(target[0] > 0.1), bool(target[0] > 0.9)
        _, learner = lstm.learn(NET, learner, x_t, target, mask=gap, reset=reset)
        learner = lstm.update(ADAM, learner)
    return learner


def made_anew(learner: lstm.Learner, inputs: np.ndarray, targets: np.ndarray) -> lstm.Learner:
    """Learn with an architecture and a loss that are made at every step."""
    for x_t, target in zip(inputs, targets, strict=True):
        net, loss = lstm.Architecture(**vars(NET)), lstm.Loss(tolerance=0.01)
        _, learner = lstm.learn(net, learner, x_t, target, loss=loss)
    return learner


def in_chunks(learner: lstm.Learner, inputs: np.ndarray, targets: np.ndarray) -> lstm.Learner:
    _, learner = lstm.learn_chunk(NET, learner, inputs, targets)
    return lstm.update(ADAM, learner)


def one_step(learner: lstm.Learner, at: tuple) -> tuple[lstm.Learner, jax.Array]:
    outputs, learner = lstm.learn(NET, learner, *at)
    return lstm.update(ADAM, learner), outputs


@jax.jit
def scanned(learner: lstm.Learner, inputs: jax.Array, targets: jax.Array) -> lstm.Learner:
    return jax.lax.scan(one_step, learner, (inputs, targets))[0]


compiled_step = jax.jit(lambda *at: one_step(at[0], at[1:])[0], donate_argnums=0)


def compiled(learner: lstm.Learner, inputs: np.ndarray, targets: np.ndarray) -> lstm.Learner:
    """Learn and update by one compiled function to which the learner is donated."""
    for at in zip(inputs, targets, strict=True):
        learner = compiled_step(learner, *at)
    return learner


def stream(learn: Step) -> Iterator[lstm.Learner]:
    learner = lstm.init_learner(NET, PARAMETERS, ADAM)
    while True:
        inputs = RNG.normal(size=(CHUNK, NET.num_inputs)).astype(np.float32)
        targets = RNG.random((CHUNK, NET.num_outputs)).astype(np.float32)
        learner = learn(learner, inputs, targets)
        yield learner


@pytest.mark.parametrize("learn", [eager, made_anew, in_chunks, scanned, compiled])
def test_ten_thousand_steps_hold_no_more_than_two_hundred(learn: Step):
    learners = stream(learn)
    assert_bounded(lambda: next(learners), times=1000)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(next(learners)))


def test_an_optimiser_that_is_made_at_every_step_keeps_the_programs_of_the_last():
    _, learner = lstm.learn(NET, lstm.init_learner(NET, PARAMETERS, ADAM), jnp.ones(3))
    held = []
    for _ in range(100):
        learner = lstm.update(optax.adam(0.001), learner)
        held.append(measure())
    assert held[0].executables < held[20].executables
    assert len({resources[:4] for resources in held[50:]}) == 1
    assert held[-1].memory - held[50].memory < 8 * MEGABYTE
