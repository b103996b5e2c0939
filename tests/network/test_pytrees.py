"""Public pytrees pass `jit` and `jax.export`; descriptions are static wherever they are given."""

from __future__ import annotations

import jax
import numpy as np
import optax
import pytest
from helpers import DESCENDANT, assert_equal, random_parameters
from jax import export

import lstm_jax as lstm

NET = DESCENDANT
PARAMETERS = jax.tree.map(np.float32, random_parameters(NET))
INPUTS = np.ones((4, 3), np.float32)
ADAM = optax.adam(0.1)
LEARNER = lstm.init_learner(NET, PARAMETERS, ADAM)
ACTIVATIONS, STATE = lstm.unroll(NET, PARAMETERS, INPUTS)
VECTOR, MATRIX = np.ones(2, np.float32), np.ones((2, 2), np.float32)

PYTREES = (
    ACTIVATIONS,
    lstm.AdditiveAttention(MATRIX, MATRIX, VECTOR),
    lstm.Attention(VECTOR, VECTOR),
    lstm.DotProductAttention(None, MATRIX),
    lstm.Example(INPUTS, VECTOR, VECTOR, np.int32(4)),
    PARAMETERS.layer,
    LEARNER,
    PARAMETERS.output,
    PARAMETERS,
    STATE,
    lstm.Steps(mask=np.ones(4, bool), reset=np.zeros(4, bool)),
    PARAMETERS.layer.cell,
    lstm.StackParameters((PARAMETERS.layer,), None, PARAMETERS.output),
)
STATIC = (
    NET,
    lstm.make_stack(3, ((2,), (1,)), 1, bidirectional=True, dropout=0.5),
    lstm.Loss(cross_entropy=0.1, tolerance=0.3),
    lstm.RunOptions(gradient="full", reverse=True),
)
# Named tuples of functions or texts, and records that stay on the host.
WITHOUT_ARRAYS = {"Activation", "Finding", "Epoch", "FitResult", "FitState"}


def test_every_public_named_tuple_is_tried():
    classes = [c for c in vars(lstm).values() if isinstance(c, type) and issubclass(c, tuple)]
    assert {c.__name__ for c in classes} - WITHOUT_ARRAYS == {type(p).__name__ for p in PYTREES}


def exported(function, *arguments):
    """Return the results of a function that was written and read."""
    pytest.importorskip("flatbuffers")
    written = export.export(jax.jit(function))(*arguments).serialize()
    return export.deserialize(written).call(*arguments)


@pytest.mark.parametrize("pytree", PYTREES, ids=lambda pytree: type(pytree).__name__)
def test_functions_of_public_pytrees_are_exported(pytree):
    found = exported(lambda tree: jax.tree.map(lambda leaf: leaf, tree), pytree)
    assert type(found) is type(pytree)
    assert_equal(found, pytree)


@pytest.mark.parametrize("value", STATIC, ids=lambda value: type(value).__name__)
def test_descriptions_are_static_under_jit_and_export(value):
    assert jax.tree.leaves(value) == []
    assert jax.jit(lambda value: value)(value) == value
    assert exported(lambda value, x: (value, x), value, VECTOR)[0] == value


def test_whole_steps_are_compiled_and_exported_without_static_arguments():
    def step(net, loss, learner, x_t):
        outputs, learner = lstm.learn(net, learner, x_t, VECTOR, loss=loss)
        return outputs, lstm.update(ADAM, learner)

    arguments = (NET, lstm.Loss(), LEARNER, INPUTS[0])
    expected = jax.jit(step)(*arguments)
    assert_equal(exported(step, *arguments), expected)
    run = jax.jit(lstm.apply)
    assert_equal(run(NET, PARAMETERS, INPUTS), lstm.apply(NET, PARAMETERS, INPUTS))
    outputs = run(NET, PARAMETERS, INPUTS, options=lstm.RunOptions(reverse=True))
    assert outputs[0].shape == (4, 2)
