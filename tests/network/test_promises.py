"""Refusals and guarantees of all entry points: derivatives, symbols, streams, buffers, export."""

from __future__ import annotations

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers import (
    DESCENDANT,
    EVERYTHING,
    assert_close,
    assert_equal,
    make_problem,
    quick_jit,
    random_parameters,
)
from jax import export
from jax.sharding import Mesh, PartitionSpec

from lstm_jax.cell.architecture import Architecture
from lstm_jax.cell.parameters import initialise
from lstm_jax.cell.scan import Steps
from lstm_jax.cell.step import zero_state
from lstm_jax.network.chunkwise import learn_chunk
from lstm_jax.network.layer import apply, bidirectional, output_units, step, unroll
from lstm_jax.network.losses import half_squared_error
from lstm_jax.network.online import (
    Learner,
    init_learner,
    learn,
    online_gradient,
    start_sequence,
    update,
)
from lstm_jax.network.run import RunOptions

pytestmark = pytest.mark.usefixtures("float64")

PROBLEM = make_problem(EVERYTHING, steps=5)
PARAMETERS, INPUTS, TARGETS = PROBLEM.parameters, PROBLEM.inputs, PROBLEM.targets
SGD = optax.sgd(0.1)


@functools.cache
def learner() -> Learner:
    """A learner in double precision, cached as values even if first made inside `jit`."""
    with jax.ensure_compile_time_eval():
        return init_learner(EVERYTHING, PARAMETERS, SGD)


def squares(tree):
    return sum((leaf**2).sum() for leaf in jax.tree.leaves(tree))


# Undefined derivatives raise --------------------------------------------------------


def error(parameters, **options) -> jax.Array:
    return half_squared_error(apply(EVERYTHING, parameters, INPUTS, **options)[0], TARGETS)


def gradient_of_chunk(parameters):
    start = learner()._replace(parameters=parameters)
    return learn_chunk(EVERYTHING, start, INPUTS, TARGETS)[1].gradient


def states(parameters):
    return squares(apply(EVERYTHING, parameters, INPUTS, at="end")[1])


SECOND_DERIVATIVES: dict[str, Callable] = {
    "jacrev of grad": jax.jacrev(jax.grad(error)),
    "grad of grad": jax.grad(lambda p: squares(jax.grad(error)(p))),
    "grad of grad in scan": jax.grad(
        lambda p: jax.lax.scan(
            lambda total, _: (total + squares(jax.grad(error)(p)), None), 0.0, length=2
        )[0]
    ),
    "grad of grad in vmap": jax.grad(
        lambda p: squares(jax.vmap(lambda a: jax.grad(lambda p: a * error(p))(p))(jnp.ones(2)))
    ),
    "of states alone": jax.grad(lambda p: squares(jax.grad(states)(p))),
    "of the last output": jax.grad(
        lambda p: squares(jax.grad(lambda p: apply(EVERYTHING, p, INPUTS, at="end")[0].sum())(p))
    ),
    "of learning steps": jax.grad(lambda p: squares(gradient_of_chunk(p))),
    "with lanes": lambda p: jax.grad(
        lambda lanes: squares(
            jax.grad(lambda w: apply(EVERYTHING, w, INPUTS[..., None])[0].sum())(lanes)
        )
    )(jax.tree.map(lambda w: w[..., None], p)),
}


@pytest.mark.parametrize("name", SECOND_DERIVATIVES)
def test_second_derivatives_through_the_truncated_gradient_refuse(name: str):
    message = 'gradient="truncated" has no second derivatives.*"truncated_autodiff".*"full"'
    with pytest.raises(TypeError, match=message):
        SECOND_DERIVATIVES[name](PARAMETERS)


def test_second_derivatives_of_the_full_gradient_are_right():
    gradient = jax.grad(functools.partial(error, options=RunOptions("full")))
    along = lambda t: jax.tree.map(lambda w: w * (1 + t), PARAMETERS)
    squared = lambda t: squares(gradient(along(t)))
    expected = (quick_jit(squared)(1e-6) - quick_jit(squared)(-1e-6)) / 2e-6
    np.testing.assert_allclose(quick_jit(jax.grad(squared))(0.0), expected, rtol=1e-6)


def test_the_online_gradient_has_the_derivative_of_its_own_sums():
    # It is a plain function of the weights: finite differences say what its derivative is.
    along = lambda t: jax.tree.map(lambda w: w * (1 + t), PARAMETERS)
    squared = lambda t: squares(online_gradient(EVERYTHING, along(t), INPUTS, TARGETS)[1])
    expected = (quick_jit(squared)(1e-6) - quick_jit(squared)(-1e-6)) / 2e-6
    np.testing.assert_allclose(quick_jit(jax.grad(squared))(0.0), expected, rtol=1e-6)


# Symbols outside their range --------------------------------------------------------------------

READERS: dict[str, Callable] = {
    "apply": lambda symbols: apply(EVERYTHING, PARAMETERS, symbols),
    "apply, full": lambda symbols: apply(
        EVERYTHING, PARAMETERS, symbols, options=RunOptions(gradient="full")
    ),
    "unroll": lambda symbols: unroll(EVERYTHING, PARAMETERS, symbols),
    "at the end": lambda symbols: apply(EVERYTHING, PARAMETERS, symbols, at="end"),
    "step": lambda symbols: step(EVERYTHING, PARAMETERS, zero_state(EVERYTHING, float), symbols[0]),
    "learn": lambda symbols: learn(EVERYTHING, learner(), symbols[0], TARGETS[0]),
    "learn_chunk": lambda symbols: learn_chunk(
        EVERYTHING, learner(), symbols, TARGETS[: len(symbols)]
    ),
    "online_gradient": lambda symbols: online_gradient(
        EVERYTHING, PARAMETERS, symbols, TARGETS[: len(symbols)]
    ),
    "bidirectional": lambda symbols: bidirectional(EVERYTHING, PARAMETERS, PARAMETERS, symbols),
    "gradient": lambda symbols: jax.grad(
        lambda p: half_squared_error(
            apply(EVERYTHING, p, symbols)[0], jnp.asarray(TARGETS[: len(symbols)])
        )
    )(PARAMETERS),
}


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("symbol", [-1, 3])
def test_known_symbols_outside_their_range_are_named(name: str, symbol: int):
    with pytest.raises(ValueError, match=rf"must hold integers in \[0, 3\), got {symbol}(\n|$)"):
        READERS[name](np.array([symbol, 1, 2]))


@pytest.mark.parametrize("name", READERS)
def test_unknown_symbols_outside_their_range_are_no_input_everywhere(name: str):
    symbols = np.array([3, 1, -1, 0])
    vectors = np.eye(4)[symbols][:, :3] * (symbols >= 0)[:, None]
    assert_close(jax.jit(READERS[name])(symbols), READERS[name](vectors), 1e-12)


OUTSIDE = {
    "int8": [-1, 3, -128],
    "uint8": [255, 3, 128],
    "int32": [-(2**31), 3, 2**31 - 1],
    "uint32": [2**32 - 1, 3, 2**31 + 1],
    "int64": [2**32 + 1, -(2**63), 2**32],
    "uint64": [2**63 + 1, 2**64 - 1, 2**32 + 1],
}


@pytest.mark.parametrize("dtype", OUTSIDE)
@pytest.mark.parametrize("name", READERS)
def test_no_integer_wraps_into_the_range(name: str, dtype: str):
    call = quick_jit(READERS[name])
    assert_equal(call(np.array(OUTSIDE[dtype], dtype)), call(np.full(3, -1, np.int32)))


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
def test_small_integers_stand_for_inputs_of_a_large_network(dtype: str):
    net = Architecture(300, (1,), 1, input_to_output=True)
    parameters = random_parameters(net)
    start = init_learner(net, parameters, SGD)
    symbols = np.array([100, 7], dtype)
    for call in (
        lambda x: apply(net, parameters, x),
        lambda x: output_units(net, parameters.output, unroll(net, parameters, x)[0], x),
        lambda x: learn(net, start, x[0], [1.0]),
        lambda x: online_gradient(net, parameters, x, [[1.0], [1.0]]),
    ):
        assert_equal(quick_jit(call)(symbols), quick_jit(call)(symbols.astype(np.int32)))


@pytest.mark.parametrize("inputs", [35, 3])
def test_unknown_symbols_are_no_input_in_lanes_either(inputs: int):
    net = Architecture(inputs, (1,), 1)
    lanes = jax.tree.map(lambda w: w[..., None], random_parameters(net))
    symbols = np.array([[inputs], [0], [-1]], np.int32)

    def gradient(inputs):
        return jax.grad(lambda p: apply(net, p, inputs)[0].sum())(lanes)

    vectors = np.where(np.arange(inputs)[None, :, None] == symbols[:, None], 1.0, 0.0)
    assert_close(jax.jit(gradient)(symbols), gradient(vectors), 1e-12)


@pytest.mark.parametrize("dtype", [np.uint8, np.int64])
@pytest.mark.parametrize("inputs", [3, 40])
def test_symbols_may_be_of_any_integer_dtype(dtype, inputs: int):
    net = Architecture(inputs, (2,), 1)
    lanes = jax.tree.map(lambda w: w[..., None], random_parameters(net))
    gradient = jax.grad(lambda p, x: apply(net, p, x)[0].sum())
    symbols = np.array([[0], [2], [1]])
    assert_equal(gradient(lanes, symbols.astype(dtype)), gradient(lanes, symbols.astype(np.int32)))


def test_array_likes_are_converted():
    expected = apply(EVERYTHING, PARAMETERS, INPUTS)
    assert_equal(apply(EVERYTHING, PARAMETERS, INPUTS.tolist()), expected)
    symbols = [0, 1, 2]
    assert_equal(
        apply(EVERYTHING, PARAMETERS, symbols, steps=Steps(mask=[True, False, True])),
        apply(
            EVERYTHING,
            PARAMETERS,
            np.array(symbols),
            steps=Steps(mask=np.array([True, False, True])),
        ),
    )


# Gaps and resets of a stream ----------------------------------------------------------


@pytest.mark.parametrize("net", [EVERYTHING, DESCENDANT], ids=["1997", "descendant"])
def test_a_gap_in_a_stream_touches_nothing(net: Architecture):
    """Be it NaN: the learner is that of the stream without the gap."""
    problem = make_problem(net, steps=7)
    mask = np.array([True, False, True, True, False, False, True])
    inputs, targets = problem.inputs.copy(), problem.targets.copy()
    inputs[~mask] = targets[~mask] = np.nan
    start = init_learner(net, problem.parameters, SGD)
    clean = (problem.inputs[mask], problem.targets[mask])
    expected = learn_chunk(net, start, *clean)[1]
    assert_close(
        learn_chunk(net, start, inputs, targets, steps=Steps(mask=mask))[1], expected, 1e-12
    )
    take, learner = quick_jit(learn, static_argnums=0), start
    for x_t, target, is_real in zip(inputs, targets, mask, strict=True):
        y, learner = take(net, learner, x_t, target, mask=is_real)
        assert is_real or not np.any(y)
    assert_close(learner, expected, 1e-12)


@pytest.mark.parametrize("net", [EVERYTHING, DESCENDANT], ids=["1997", "descendant"])
def test_a_reset_acts_before_the_step_for_each_stream_by_itself(net: Architecture):
    problem = make_problem(net, steps=6)
    resets = np.array([[False, True, False, False, False, False], [False] * 4 + [True, False]])
    start = init_learner(net, problem.parameters, SGD)
    both = jax.vmap(lambda reset: learn_chunk(net, start, problem.inputs, problem.targets,
                                              steps=Steps(reset=reset))[1])  # fmt: skip
    found = quick_jit(both)(resets)
    take = quick_jit(learn, static_argnums=0)
    for stream, reset in enumerate(resets):
        learner = by_flag = start
        for t, is_reset in enumerate(reset):
            if is_reset:
                learner = start_sequence(net, learner)
            _, learner = take(net, learner, problem.inputs[t], problem.targets[t])
            _, by_flag = take(net, by_flag, problem.inputs[t], problem.targets[t], reset=is_reset)
        assert_close(jax.tree.map(lambda leaf, i=stream: leaf[i], found), learner, 1e-12)
        assert_close(by_flag, learner, 1e-14)


# Buffers and padding -----------------------------------------------------------------------------


@pytest.mark.parametrize("optimiser", [optax.sgd(0.1), optax.lion(0.1), optax.sgd(0.1, 0.9)])
def test_a_learner_owns_its_buffers(optimiser):
    """It may be donated, and the parameters that it was made from live on."""
    parameters = initialise(jax.random.key(0), EVERYTHING, dtype=np.float64)

    @functools.partial(jax.jit, donate_argnums=0)
    def take(learner):
        learner = learn(EVERYTHING, learner, INPUTS[0], TARGETS[0])[1]
        return update(optimiser, learner)

    learner = init_learner(EVERYTHING, parameters, optimiser)
    buffers = [leaf.unsafe_buffer_pointer() for leaf in jax.tree.leaves(learner)]
    assert len(set(buffers)) == len(buffers)
    take(take(learner))
    assert np.isfinite(np.asarray(parameters.output.cell)).all()
    jax.jit(lambda state: state, donate_argnums=0)(zero_state(EVERYTHING))


def test_a_padded_sequence_has_a_finite_gradient_whatever_its_units():
    """After a sequence's length the state does not run on to infinity."""
    net = Architecture(1, (2,), 1, cell_input="identity", cell_output="identity")
    parameters = jax.tree.map(lambda w: 30 * w, random_parameters(net))
    inputs = np.ones((300, 1))

    def gradient(**padding):
        return jax.grad(lambda p: apply(net, p, inputs, steps=Steps(**padding))[0].sum())(
            parameters
        )

    found = gradient(length=3)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(found))
    assert_close(found, gradient(mask=np.arange(300) < 3), 1e-12)


def test_a_traced_length_is_clipped():
    run = jax.jit(lambda length: apply(EVERYTHING, PARAMETERS, INPUTS, steps=Steps(length=length)))
    assert_equal(run(9), run(5))
    assert_equal(run(-2), run(0))


# Other transformations ---------------------------------------------------------------------------


def test_online_gradients_inside_shard_map():
    mesh, split = Mesh(np.array(jax.devices()), ("devices",)), PartitionSpec("devices")
    inputs, targets = np.stack([INPUTS, INPUTS[::-1]]), np.stack([TARGETS, TARGETS[::-1]])
    by_devices = jax.shard_map(
        lambda p, x, t: jax.vmap(lambda x, t: online_gradient(EVERYTHING, p, x, t)[1])(x, t),
        mesh=mesh,
        in_specs=(PartitionSpec(), split, split),
        out_specs=split,
    )
    found = by_devices(PARAMETERS, inputs, targets)
    for i in range(2):
        expected = online_gradient(EVERYTHING, PARAMETERS, inputs[i], targets[i])[1]
        assert_close(jax.tree.map(lambda leaf, i=i: leaf[i], found), expected, 1e-12)


EXPORTED: dict[str, Callable] = {
    "outputs": lambda p, x: apply(EVERYTHING, p, x)[0],
    "last output": lambda p, x: apply(EVERYTHING, p, x, at="end")[0],
    "activations": lambda p, x: unroll(EVERYTHING, p, x),
    "gradient": lambda p, x: jax.grad(lambda p: apply(EVERYTHING, p, x)[0].sum())(p),
}


@pytest.mark.parametrize("name", EXPORTED)
def test_a_function_of_parameters_is_exported_for_sequences_of_any_length(name: str):
    pytest.importorskip("flatbuffers")
    (steps,) = export.symbolic_shape("T")
    shapes = jax.tree.map(lambda w: jax.ShapeDtypeStruct(w.shape, w.dtype), PARAMETERS)
    inputs = jax.ShapeDtypeStruct((steps, 3), np.float64)
    exported = export.export(jax.jit(EXPORTED[name]))(shapes, inputs)
    again = export.deserialize(exported.serialize())
    for steps in (1, 4):
        expected = EXPORTED[name](PARAMETERS, INPUTS[:steps])
        assert_close(again.call(PARAMETERS, INPUTS[:steps]), expected, 1e-12)
