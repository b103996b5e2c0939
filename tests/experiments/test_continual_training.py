"""Streams without end: the grammar, where a stream ends, and what a step learns."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import assert_close, assert_equal, quick_jit

from experiments.claims import continual_reber
from experiments.claims.continual_training import ContinualTraining, Progress
from lstm_jax.network.losses import LOSSES
from lstm_jax.network.outputs import apply
from lstm_jax.tasks import reber

NET = continual_reber.network()
LEARNING = ContinualTraining(NET, continual_reber.hyperparameters())
learn = quick_jit(ContinualTraining.learn, static_argnums=0)


def draw(steps: int, seed: int = 0) -> tuple[list[int], list[set[int]]]:
    """Symbols, and what may follow each, by walking along the grammar."""
    node, symbols, legal = jnp.int32(continual_reber.START), [], []
    for bit in np.random.default_rng(seed).integers(0, 2, steps):
        symbol, node = continual_reber.follow(node, bit)
        symbols.append(int(symbol))
        legal.append({int(continual_reber.follow(node, choice)[0]) for choice in range(2)})
    return symbols, legal


def test_the_stream_is_strings_of_task_1_behind_each_other():
    symbols, legal = draw(300)
    text = "".join(reber.SYMBOLS[symbol] for symbol in symbols)
    ends = [
        i for i in range(len(text)) if legal[i] == {reber.SYMBOLS.index("B")} and text[i] == "E"
    ]
    strings = [text[a + 1 : b + 1] for a, b in zip([-1, *ends], ends, strict=False)]
    assert len(strings) > 15
    for string in strings:
        node: Any = 0
        assert string[0] == "B" and string[1] == string[-2] and string[-1] == "E"
        for symbol in string[2:-2]:
            node = dict(reber.INNER_GRAMMAR[node])[symbol]
        assert node is None


def test_a_prediction_is_right_if_all_that_may_follow_is_above_all_that_may_not():
    node = continual_reber.follow(jnp.int32(continual_reber.START), 0)[1]  # then T or P
    outputs = np.zeros(7, np.float32)
    outputs[[reber.SYMBOLS.index(s) for s in "TP"]] = 0.2, 0.9
    assert continual_reber.is_right(outputs, node)
    for symbol, value in (("B", 0.3), ("T", 0.0)):
        other = outputs.copy()
        other[reber.SYMBOLS.index(symbol)] = value
        assert not continual_reber.is_right(other, node)


@pytest.mark.parametrize("name", ["squared", "cross_entropy"])
def test_a_first_step_learns_by_the_gradient_of_its_error(name: str):
    method = dataclasses.replace(LEARNING, error=LOSSES[name])
    trial = method.init(jax.random.key(0))
    parameters = trial.learner.parameters
    target = jax.nn.one_hot(continual_reber.follow(trial.node, 1)[0], 7)

    def error(parameters: Any) -> jax.Array:
        linear = dataclasses.replace(NET, output="identity")
        net, _ = apply(linear, parameters, trial.symbol[None])
        return LOSSES[name](net, target[None])

    slope = quick_jit(jax.grad(error))(parameters)
    after = learn(method, trial, jnp.array([1]))
    expected = jax.tree.map(lambda w, g: w - continual_reber.RATE * g, parameters, slope)
    assert_close(after.learner.parameters, expected, 1e-6)


def history(method: ContinualTraining, steps: int) -> list[Progress]:
    """After every step."""
    bits = jnp.asarray(np.random.default_rng(1).integers(0, 2, steps))
    found = [method.init(jax.random.key(1))]
    for bit in bits:
        found.append(learn(method, found[-1], bit[None]))
    return found


def test_a_stream_ends_with_its_first_wrong_prediction_and_not_before():
    trials = history(LEARNING, 60)
    for before, after in itertools.pairwise(trials):
        state = after.learner.state.internal_state
        if after.streams > before.streams:
            assert after.right == 0 and not np.any(state)
            assert after.symbol == reber.SYMBOLS.index("B")
        else:
            assert after.right == before.right + 1 and np.any(state)
    assert trials[-1].longest == max(trial.right for trial in trials)
    assert 0 < trials[-1].streams < 60


def test_steps_at_once_are_steps_one_by_one():
    bits = jnp.asarray(np.random.default_rng(1).integers(0, 2, 20))
    start = LEARNING.init(jax.random.key(1))
    assert_close(learn(LEARNING, start, bits), history(LEARNING, 20)[-1], 1e-5)


def test_from_outside_a_reset_comes_with_every_string_s_end():
    method = dataclasses.replace(LEARNING, reset=True)
    trial = method.init(jax.random.key(0))._replace(node=jnp.int32(continual_reber.START))
    after = learn(method, trial, jnp.array([0]))
    assert not np.any(after.learner.state.internal_state)
    assert_equal(after.symbol, jnp.int32(reber.SYMBOLS.index("B")))
    without = learn(LEARNING, trial, jnp.array([0]))
    assert np.any(without.learner.state.internal_state) == (without.streams == 0)
