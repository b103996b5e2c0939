"""Functions of one sequence that are given a batch say that `jax.vmap` lifts them, and it does."""

from __future__ import annotations

from collections.abc import Callable

import jax
import numpy as np
import optax
import pytest
from helpers import DESCENDANT, random_parameters

import lstm_jax as lstm

NET = DESCENDANT
PARAMETERS = jax.tree.map(np.float32, random_parameters(NET))
LEARNER = lstm.init_learner(NET, PARAMETERS, optax.sgd(0.1))
STATE = lstm.zero_state(NET)
ADDITIVE = lstm.AdditiveAttention(*(np.ones(shape, np.float32) for shape in ((2, 3), (2, 3), 3)))
DOT_PRODUCT = lstm.DotProductAttention(None, None)
INPUTS, TARGETS, FLAGS = np.ones((4, 3), np.float32), np.ones((4, 2), np.float32), np.ones(4, bool)
SYMBOLS, LENGTH = np.zeros(4, int), np.int32(3)
QUERY = TARGETS[0]
Steps = lstm.Steps

# One array or pytree, and the function of it that a batch is given to.
CALLS: dict[str, tuple[object, Callable]] = {
    "apply": (INPUTS, lambda x: lstm.apply(NET, PARAMETERS, x)),
    "apply, symbols": (SYMBOLS, lambda x: lstm.apply(NET, PARAMETERS, x)),
    "mask": (FLAGS, lambda m: lstm.apply(NET, PARAMETERS, INPUTS, steps=Steps(mask=m))),
    "length": (LENGTH, lambda n: lstm.apply(NET, PARAMETERS, INPUTS, steps=Steps(length=n))),
    "reset": (FLAGS, lambda r: lstm.apply(NET, PARAMETERS, INPUTS, steps=Steps(reset=r))),
    "state": (STATE, lambda s: lstm.apply(NET, PARAMETERS, INPUTS, initial_state=s)),
    "unroll": (INPUTS, lambda x: lstm.unroll(NET, PARAMETERS, x)),
    "bidirectional": (INPUTS, lambda x: lstm.bidirectional(NET, PARAMETERS, PARAMETERS, x)),
    "step": (INPUTS[0], lambda x: lstm.step(NET, PARAMETERS, STATE, x)),
    "step, symbol": (SYMBOLS[0], lambda x: lstm.step(NET, PARAMETERS, STATE, x)),
    "step, state": (STATE, lambda s: lstm.step(NET, PARAMETERS, s, INPUTS[0])),
    "learn": (INPUTS[0], lambda x: lstm.learn(NET, LEARNER, x)),
    "learn, target": (TARGETS[0], lambda t: lstm.learn(NET, LEARNER, INPUTS[0], t)),
    "learn, weight": (
        np.float32(1),
        lambda w: lstm.learn(NET, LEARNER, INPUTS[0], TARGETS[0], weight=w),
    ),
    "learn, mask": (np.True_, lambda m: lstm.learn(NET, LEARNER, INPUTS[0], mask=m)),
    "learn, learner": (LEARNER, lambda one: lstm.learn(NET, one, INPUTS[0])),
    "learn_chunk": (INPUTS, lambda x: lstm.learn_chunk(NET, LEARNER, x)),
    "learn_chunk, targets": (TARGETS, lambda t: lstm.learn_chunk(NET, LEARNER, INPUTS, t)),
    "learn_chunk, learner": (LEARNER, lambda one: lstm.learn_chunk(NET, one, INPUTS)),
    "apply, parameters": (PARAMETERS, lambda p: lstm.apply(NET, p, INPUTS)),
    "start_sequence": (LEARNER, lambda one: lstm.start_sequence(NET, one)),
    "online_gradient": (INPUTS, lambda x: lstm.online_gradient(NET, PARAMETERS, x, TARGETS)),
    "attention, query": (QUERY, lambda q: lstm.dot_product_attention(DOT_PRODUCT, q, TARGETS)),
    "attention, outputs": (TARGETS, lambda y: lstm.additive_attention(ADDITIVE, QUERY, y)),
    "initialise": (jax.random.key(0), lambda key: lstm.initialise(key, NET)),
}


@pytest.mark.parametrize("name", CALLS)
def test_a_batch_is_told_of_vmap(name: str):
    one, call = CALLS[name]
    batch = jax.tree.map(lambda leaf: jax.numpy.stack([leaf] * 6), one)
    with pytest.raises(ValueError, match=r"for a batch.*lift the function by jax\.vmap"):
        call(batch)
    found = jax.vmap(call)(batch)
    assert {len(leaf) for leaf in jax.tree.leaves(found)} == {6}
