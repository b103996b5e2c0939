"""Every gradient and learner on a mesh of devices, whatever the type of its axes."""

from __future__ import annotations

import functools
from collections.abc import Callable

import jax
import numpy as np
import optax
import pytest
from helpers import DESCENDANT, assert_close, make_problem, quick_jit
from jax.sharding import AxisType, NamedSharding, PartitionSpec

import lstm_jax as lstm

NET, SGD = DESCENDANT, optax.sgd(0.1)
PROBLEM = make_problem(NET, steps=20)
PARAMETERS = jax.tree.map(np.float32, PROBLEM.parameters)
VECTORS = PROBLEM.inputs.reshape(4, 5, -1).astype(np.float32)
SYMBOLS = np.random.default_rng(0).integers(0, 3, (4, 5))
TARGETS = PROBLEM.targets.reshape(4, 5, -1).astype(np.float32)
AXES = {"explicit": AxisType.Explicit, "auto": AxisType.Auto}


def gradient(of: str, parameters, inputs, targets):
    """The gradient of a batch."""

    def loss(parameters) -> jax.Array:
        one = lambda x, t: lstm.half_squared_error(
            lstm.apply(NET, parameters, x, options=lstm.RunOptions(gradient=of))[0], t
        )
        return jax.vmap(one)(inputs, targets).sum()

    return jax.grad(loss)(parameters)


def online(parameters, inputs, targets):
    return jax.vmap(lambda x, t: lstm.online_gradient(NET, parameters, x, t)[1])(inputs, targets)


def learned(parameters, inputs, targets):
    """Learners after one step, an update, and a chunk."""

    def one(inputs, targets) -> lstm.Learner:
        learner = lstm.init_learner(NET, parameters, SGD)
        learner = lstm.learn(NET, learner, inputs[0], targets[0], mask=True, reset=True)[1]
        learner = lstm.update(SGD, learner)
        return lstm.learn_chunk(NET, learner, inputs, targets)[1]

    return jax.vmap(one)(inputs, targets)


GRADIENTS: dict[str, Callable] = {
    of: functools.partial(gradient, of) for of in ("truncated", "truncated_autodiff", "full")
} | {"online": online, "learner": learned}


@functools.cache
def on_one_device(name: str) -> list:
    """The results for vectors and for symbols."""
    return [quick_jit(GRADIENTS[name])(PARAMETERS, x, TARGETS) for x in (VECTORS, SYMBOLS)]


@pytest.mark.parametrize("sharded", ["batch", "weights"])
@pytest.mark.parametrize("axes", AXES)
@pytest.mark.parametrize("name", GRADIENTS)
def test_the_numbers_are_those_of_one_device(name: str, axes: str, sharded: str):
    call = quick_jit(GRADIENTS[name])
    mesh = jax.make_mesh((2,), ("devices",), axis_types=(AXES[axes],))

    def put(array, *, is_split: bool, axis: int):
        is_split = is_split and array.shape[axis] % 2 == 0
        spec = ["devices" if is_split and i == axis % array.ndim else None
                for i in range(array.ndim)]  # fmt: skip
        return jax.device_put(array, NamedSharding(mesh, PartitionSpec(*spec)))

    for inputs, expected in zip((VECTORS, SYMBOLS), on_one_device(name), strict=True):
        with jax.set_mesh(mesh):
            batch = [put(a, is_split=sharded == "batch", axis=0) for a in (inputs, TARGETS)]
            split = functools.partial(put, is_split=sharded == "weights", axis=-1)
            found = call(jax.tree.map(split, PARAMETERS), *batch)
        assert_close(found, expected, 1e-5)


def test_a_learner_stays_where_its_weights_are():
    """Big weights are never gathered between steps, and eager calls work too."""
    mesh = jax.make_mesh((2,), ("devices",), axis_types=(AxisType.Explicit,))
    with jax.set_mesh(mesh):
        wide = NamedSharding(mesh, PartitionSpec(None, "devices"))
        parameters = jax.tree.map(
            lambda w: jax.device_put(w, wide) if w.ndim == 2 and w.shape[1] % 2 == 0 else w,
            PARAMETERS,
        )
        start = lstm.init_learner(NET, parameters, SGD)
        learner = lstm.learn(NET, start, VECTORS[0, 0], TARGETS[0, 0])[1]
        learner = lstm.update(SGD, lstm.learn_chunk(NET, learner, VECTORS[0], TARGETS[0])[1])
    assert learner.parameters.layer.input_gate.input.sharding.spec == wide.spec
    assert learner.gradient.layer.input_gate.input.sharding.spec == wide.spec
