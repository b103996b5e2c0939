"""Containers and dtypes of arguments keep their meaning or are refused, in every function."""

from __future__ import annotations

import array
import subprocess
import sys
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers import DESCENDANT, assert_equal, random_parameters

import lstm_jax as lstm

scipy_sparse = pytest.importorskip("scipy.sparse")
NET = DESCENDANT
PARAMETERS = jax.tree.map(np.float32, random_parameters(NET))
LEARNER = lstm.init_learner(NET, PARAMETERS, optax.sgd(0.1))
STATE = lstm.zero_state(NET)
KEY = jax.random.key(0)
INPUTS, TARGETS, ONES = (np.ones(shape, np.float32) for shape in ((4, 3), (4, 2), 4))
FLAGS = np.ones(4, bool)
WEIGHTS = lstm.AdditiveAttention(*(np.ones(shape, np.float32) for shape in ((2, 3), (2, 3), 3)))
KERAS = {"kernel": np.ones((2, 4)), "recurrent_kernel": np.ones((1, 4))}


class Table:
    """A stand-in for data frames and tensors: NumPy asks it for its values."""

    def __init__(self, values: np.ndarray):
        self.values = values

    def __array__(self, dtype=None, copy=None) -> np.ndarray:
        return np.asarray(self.values, dtype)


class Tracked:
    """A stand-in for tensors that NumPy may not read."""

    def __array__(self, dtype=None, copy=None) -> np.ndarray:
        raise RuntimeError("Can't call numpy() on Tensor that requires grad.\nUse detach().")


# Each makes of an array what must be refused.
REFUSED: dict[str, Callable] = {
    "masked array": lambda a: np.ma.masked_array(a, np.ones(a.shape, bool)),
    "list of masked arrays": lambda a: [np.ma.masked_array(row, True) for row in a],
    "masked entry": lambda a: [np.ma.masked, *a.tolist()[1:]],
    "None": lambda a: [None, *a.tolist()[1:]],
    "None in an array": lambda a: np.array([None] * a.size, object).reshape(a.shape),
    "object array": lambda a: a.astype(object),
    "object table": lambda a: Table(a.astype(object)),
    "ragged": lambda a: [*a.tolist()[1:], [1.0] * 5],
    "text": lambda a: a.astype(str),
    "list of texts": lambda a: a.astype(str).tolist(),
    "bytes": lambda a: bytes(len(a)),
    "bytearray": lambda a: bytearray(len(a)),
    "bytes array": lambda a: a.astype("S"),
    "sparse": lambda a: scipy_sparse.csr_matrix(a.reshape(len(a), -1)),
    "dates": lambda a: a.astype("datetime64[s]"),
    "durations": lambda a: a.astype("timedelta64[s]"),
    "structured": lambda a: a.astype([("x", "f4")]),
    "set": lambda a: {1.0, 2.0},
    "generator": lambda a: (row for row in a),
    "tracked tensor": lambda a: Tracked(),
}
# Each makes of an array what means the same.
ACCEPTED: dict[str, Callable] = {
    "list": lambda a: a.tolist(),
    "tuple": lambda a: tuple(a.tolist()),
    "list of arrays": list,
    "list of jax arrays": lambda a: list(map(jnp.asarray, a)),
    "table": Table,
    "array of JAX": jnp.asarray,
    "not contiguous": lambda a: np.repeat(a, 2, axis=0)[::2],
    "other byte order": lambda a: a.astype(a.dtype.newbyteorder()),
}


def steps(**fields) -> jax.Array:
    return lstm.apply(NET, PARAMETERS, INPUTS, steps=lstm.Steps(**fields))[0]


# The argument, a good array for it, and the function of it.
ARRAYS: dict[str, tuple[str, np.ndarray, Callable]] = {
    "apply": ("inputs", INPUTS, lambda a: lstm.apply(NET, PARAMETERS, a)),
    "apply, mask": ("mask", FLAGS, lambda a: steps(mask=a)),
    "apply, reset": ("reset", FLAGS, lambda a: steps(reset=a)),
    "unroll": ("inputs", INPUTS, lambda a: lstm.unroll(NET, PARAMETERS, a)),
    "bidirectional": (
        "inputs",
        INPUTS,
        lambda a: lstm.bidirectional(NET, PARAMETERS, PARAMETERS, a),
    ),
    "step": ("x_t", INPUTS[0], lambda a: lstm.step(NET, PARAMETERS, STATE, a)),
    "output_units": (
        "inputs",
        INPUTS[0],
        lambda a: lstm.output_units(NET, PARAMETERS.output, STATE, a),
    ),
    "learn": ("x_t", INPUTS[0], lambda a: lstm.learn(NET, LEARNER, a)),
    "learn, target": ("target", TARGETS[0], lambda a: lstm.learn(NET, LEARNER, INPUTS[0], a)),
    "learn_chunk": ("inputs", INPUTS, lambda a: lstm.learn_chunk(NET, LEARNER, a)),
    "learn_chunk, targets": (
        "targets",
        TARGETS,
        lambda a: lstm.learn_chunk(NET, LEARNER, INPUTS, a),
    ),
    "learn_chunk, weights": (
        "weights",
        ONES,
        lambda a: lstm.learn_chunk(NET, LEARNER, INPUTS, TARGETS, weights=a),
    ),
    "online_gradient": (
        "inputs",
        INPUTS,
        lambda a: lstm.online_gradient(NET, PARAMETERS, a, TARGETS),
    ),
    "online_gradient, targets": (
        "targets",
        TARGETS,
        lambda a: lstm.online_gradient(NET, PARAMETERS, INPUTS, a),
    ),
    "half_squared_error": ("outputs", TARGETS, lambda a: lstm.half_squared_error(a, TARGETS)),
    "half_squared_error, targets": (
        "targets",
        TARGETS,
        lambda a: lstm.half_squared_error(TARGETS, a),
    ),
    "cross_entropy": ("net", TARGETS, lambda a: lstm.cross_entropy(a, TARGETS)),
    "cross_entropy, weights": ("weights", ONES, lambda a: lstm.cross_entropy(TARGETS, TARGETS, a)),
    "Loss": ("targets", TARGETS, lambda a: lstm.Loss()(TARGETS, a)),
    "additive_attention": (
        "outputs",
        TARGETS,
        lambda a: lstm.additive_attention(WEIGHTS, TARGETS[0], a),
    ),
    "additive_attention, weights": (
        "parameters.query",
        WEIGHTS.query,
        lambda a: lstm.additive_attention(WEIGHTS._replace(query=a), TARGETS[0], TARGETS),
    ),
    "dot_product_attention": (
        "query",
        TARGETS[0],
        lambda a: lstm.dot_product_attention(lstm.DotProductAttention(None, None), a, TARGETS),
    ),
    "pad_sequences": ("sequences[0]", INPUTS, lambda a: lstm.pad_sequences([a])),
    "initialise": (
        "input_gate_bias",
        TARGETS[0],
        lambda a: lstm.initialise(KEY, NET, input_gate_bias=a),
    ),
    "from_library": (
        "kernel",
        KERAS["kernel"],
        lambda a: lstm.from_library("keras.LSTM", KERAS | {"kernel": a})[1],
    ),
    "diagnose": ("inputs", INPUTS[None], lambda a: lstm.diagnose(NET, PARAMETERS, a)),
}


@pytest.mark.parametrize("name", ARRAYS)
def test_a_container_whose_meaning_would_be_lost_is_refused(name: str):
    argument, good, call = ARRAYS[name]
    for container, make in REFUSED.items():
        with pytest.raises(ValueError) as failure:
            call(make(good))
            pytest.fail(f"{container} was accepted")
        line = str(failure.value)
        assert argument in line and "\n" not in line, (container, line)


@pytest.mark.parametrize("name", ARRAYS)
def test_a_container_of_the_same_meaning_gives_the_same(name: str):
    _, good, call = ARRAYS[name]
    expected = call(good)
    for container, make in ACCEPTED.items():
        found = call(make(good))
        if name == "diagnose":
            assert found == expected, container
        else:
            assert_equal(found, expected)


FIELDS: dict[str, tuple[str, np.ndarray, Callable]] = {
    "parameters": (
        "parameters.output.bias",
        PARAMETERS.output.bias,
        lambda a: lstm.check_parameters(
            NET, PARAMETERS._replace(output=PARAMETERS.output._replace(bias=a))
        ),
    ),
    "initial state": (
        "initial_state.hidden",
        np.ones(2, np.float32),
        lambda a: lstm.apply(NET, PARAMETERS, INPUTS, initial_state=STATE._replace(hidden=a)),
    ),
    "output weights": (
        "weights.bias",
        PARAMETERS.output.bias,
        lambda a: lstm.output_units(NET, PARAMETERS.output._replace(bias=a), STATE, INPUTS[0]),
    ),
    "state of output units": (
        "hidden.hidden",
        np.ones(2, np.float32),
        lambda a: lstm.output_units(NET, PARAMETERS.output, STATE._replace(hidden=a), INPUTS[0]),
    ),
}


@pytest.mark.parametrize("name", FIELDS)
def test_what_stands_in_a_pytree_is_an_array(name: str):
    argument, good, call = FIELDS[name]
    call(good)
    for make in (REFUSED["masked array"], REFUSED["object array"], Table, REFUSED["set"]):
        with pytest.raises(ValueError, match=argument.replace(".", r"\.")):
            call(make(good))


def test_buffers_and_ranges_are_sequences_of_numbers():
    assert_equal(lstm.pad_sequences([array.array("d", [1, 2])])[0], np.float32([[1, 2]]))
    expected = lstm.apply(NET, PARAMETERS, [0, 1, 2])
    assert_equal(lstm.apply(NET, PARAMETERS, range(3)), expected)


# Dtypes ------------------------------------------------------------------------------------------

DOT_PRODUCT = lstm.DotProductAttention(np.array([[2, 0], [0, 1]]), None)
PAIRS: dict[str, Callable] = {
    "half_squared_error": lambda a, b: lstm.half_squared_error([a, a], [b, b], np.ones(2, int)),
    "cross_entropy": lambda a, b: lstm.cross_entropy([a, a], [b, b], np.ones(2, int)),
    "Loss": lambda a, b: lstm.LOSSES["squared_and_cross_entropy"]([a, a], [b, b], [True, True]),
    "attention": lambda a, b: lstm.dot_product_attention(DOT_PRODUCT, a, [b, b])[0],
}
WHOLE, PART = np.array([0, 1]), np.array([0.3, 0.9], np.float32)


@pytest.mark.parametrize("strict", ["standard", "strict"])
@pytest.mark.parametrize("name", PAIRS)
def test_integers_meet_floating_numbers_in_floating_arithmetic(name: str, strict: str):
    call = PAIRS[name]
    with jax.numpy_dtype_promotion(strict):
        for one, other in ((WHOLE, PART), (PART, WHOLE), (WHOLE, WHOLE), (WHOLE == 1, PART)):
            assert_equal(call(one, other), call(np.float32(one), np.float32(other)))


@pytest.mark.parametrize("name", PAIRS)
def test_the_wider_type_is_kept(name: str):
    call = PAIRS[name]
    low = PART.astype(jnp.bfloat16)
    assert_equal(call(low, PART), call(low.astype(np.float32), PART))
    assert_equal(call(PART, low), call(PART, low.astype(np.float32)))
    with jax.enable_x64(True):
        assert call(PART, PART.astype(np.float64)).dtype == np.float64
    with pytest.raises(ValueError, match="real numbers"):
        call(PART.astype(complex), PART)


def test_the_loss_of_the_issue():
    assert lstm.half_squared_error([0, 1], [0.3, 0.9]) == pytest.approx(0.05)


@pytest.mark.parametrize("dtype", [int, bool, np.float16, np.float64])
def test_learners_and_runs_convert_to_the_dtype_of_the_parameters(dtype):
    ones = lambda array: np.ones_like(array, dtype)
    start = lambda: lstm.learn(NET, LEARNER, INPUTS[0], ones(TARGETS[0]), weight=ones(ONES)[0])
    assert_equal(start(), lstm.learn(NET, LEARNER, INPUTS[0], TARGETS[0]))
    chunk = lstm.learn_chunk(NET, LEARNER, INPUTS, ones(TARGETS), weights=ones(ONES))
    assert_equal(chunk, lstm.learn_chunk(NET, LEARNER, INPUTS, TARGETS))
    if np.issubdtype(dtype, np.floating):
        assert_equal(lstm.apply(NET, PARAMETERS, ones(INPUTS)), lstm.apply(NET, PARAMETERS, INPUTS))


# Host helpers ------------------------------------------------------------------------------------

FORKED = """
import multiprocessing, jax, numpy as np
import lstm_jax as lstm
jax.jit(lambda x: x @ x)(np.ones((50, 50), np.float32)).block_until_ready()

def work(_):
    return lstm.pad_sequences([np.ones((3, 2)), [[0.5, 0.5]]], steps=4)

with multiprocessing.get_context("fork").Pool(2) as pool:
    for batch, lengths in pool.map_async(work, range(4)).get(60):
        assert type(batch) is type(lengths) is np.ndarray
        assert batch.shape == (2, 4, 2) and batch.dtype == np.float32
        assert lengths.tolist() == [3, 1]
"""


def test_batches_are_padded_in_forked_workers():
    done = subprocess.run([sys.executable, "-c", FORKED], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_host_helpers_and_the_import_start_no_device():
    code = """
import lstm_jax as lstm
lstm.pad_sequences([[1, 2], [3]]), lstm.Architecture(2, (1,), 1), lstm.Loss(), lstm.Steps()
from jax._src import xla_bridge
assert not xla_bridge.backends_are_initialized()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
