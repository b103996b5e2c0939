"""A layer of another library and the network made of it compute the same numbers."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import EVERYTHING, assert_close, assert_equal, quick_jit, random_parameters
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from lstm_jax.cell.parameters import check_parameters, initialise
from lstm_jax.cell.records import State
from lstm_jax.cell.step import zero_state
from lstm_jax.network.interop import LAYOUTS, from_library, modern, to_library
from lstm_jax.network.layer import apply
from lstm_jax.network.run import RunOptions

STEPS, INPUTS, CELLS = 4, 3, 4
Arrays = dict
# (arrays, inputs, (c, h)) to the outputs and the final (c, h).
Run = Callable[[Arrays, object, tuple], tuple]


# Their forward passes ---------------------------------------------------------------------------


def run_flax(cell_type: str) -> Run:
    nnx = pytest.importorskip("flax.nnx")

    def run(arrays: Arrays, inputs, start: tuple) -> tuple:
        cell = getattr(nnx, cell_type)(INPUTS, CELLS, dtype=inputs.dtype, rngs=nnx.Rngs(0))
        state = nnx.state(cell, nnx.Param)
        nnx.replace_by_pure_dict(state, arrays)
        nnx.update(cell, state)
        outputs, carry = [], start
        for x_t in inputs:
            carry, y_t = cell(carry, x_t)
            outputs.append(y_t)
        return jnp.stack(outputs), carry

    return run


def run_linen(cell_type: str) -> Run:
    linen = pytest.importorskip("flax.linen")

    def run(arrays: Arrays, inputs, start: tuple) -> tuple:
        cell = getattr(linen, cell_type)(CELLS, dtype=inputs.dtype)
        outputs, carry = [], start
        for x_t in inputs:
            carry, y_t = cell.apply({"params": arrays}, carry, x_t)
            outputs.append(y_t)
        return jnp.stack(outputs), carry

    return run


def run_haiku() -> Run:
    hk = pytest.importorskip("haiku")

    def unroll(inputs, state):
        return hk.dynamic_unroll(hk.LSTM(CELLS), inputs, state)

    layer = hk.without_apply_rng(hk.transform(unroll))

    def run(arrays: Arrays, inputs, start: tuple) -> tuple:
        state = hk.LSTMState(hidden=start[1], cell=start[0])
        outputs, final = layer.apply({"lstm/linear": arrays}, inputs, state)
        return outputs, (final.cell, final.hidden)

    return run


def run_equinox() -> Run:
    equinox = pytest.importorskip("equinox")
    empty = equinox.nn.LSTMCell(INPUTS, CELLS, key=jax.random.key(0))

    def run(arrays: Arrays, inputs, start: tuple) -> tuple:
        names = ("weight_ih", "weight_hh", "bias")
        own = lambda cell: [getattr(cell, name) for name in names]
        cell = equinox.tree_at(own, empty, [arrays[name] for name in names])
        state, outputs = (start[1], start[0]), []
        for x_t in inputs:
            state = cell(x_t, state)
            outputs.append(state[0])
        return jnp.stack(outputs), (state[1], state[0])

    return run


def documented(gates: Callable[[Arrays, object, object], list]) -> Run:
    """c' = f c + i g, h' = o tanh c', as the documents of torch and keras have it."""

    def run(arrays: Arrays, inputs, start: tuple) -> tuple:
        (c, h), outputs = start, []
        for x in inputs:
            i, f, g, o = gates(arrays, x, h)
            sigmoid = lambda net: 1 / (1 + jnp.exp(-net))
            c = sigmoid(f) * c + sigmoid(i) * jnp.tanh(g)
            h = sigmoid(o) * jnp.tanh(c)
            outputs.append(h)
        return jnp.stack(outputs), (c, h)

    return run


def torch_gates(arrays: Arrays, x, h, *, suffix: str = "") -> list:
    """weight_ih is (W_ii|W_if|W_ig|W_io), [4 hidden_size, input_size]; both biases count."""
    rows = lambda name, k: arrays[name + suffix][k * CELLS : (k + 1) * CELLS]
    return [
        rows("weight_ih", k) @ x
        + rows("bias_ih", k)
        + rows("weight_hh", k) @ h
        + rows("bias_hh", k)
        for k in range(4)
    ]


def keras_gates(arrays: Arrays, x, h) -> list:
    """z = x kernel + h recurrent_kernel + bias; z0, z1, z2, z3 = i, f, c, o."""
    z = x @ arrays["kernel"] + h @ arrays["recurrent_kernel"] + arrays["bias"]
    return [z[k * CELLS : (k + 1) * CELLS] for k in range(4)]


RUNS: dict[str, Callable[[], Run]] = {
    "flax.nnx.OptimizedLSTMCell": functools.partial(run_flax, "OptimizedLSTMCell"),
    "flax.nnx.LSTMCell": functools.partial(run_flax, "LSTMCell"),
    "flax.linen.OptimizedLSTMCell": functools.partial(run_linen, "OptimizedLSTMCell"),
    "flax.linen.LSTMCell": functools.partial(run_linen, "LSTMCell"),
    "haiku.LSTM": run_haiku,
    "equinox.LSTMCell": run_equinox,
    "torch.nn.LSTM": lambda: documented(functools.partial(torch_gates, suffix="_l0")),
    "torch.nn.LSTMCell": lambda: documented(torch_gates),
    "keras.LSTM": lambda: documented(keras_gates),
}


def random_arrays(library: str, dtype, seed: int = 0) -> Arrays:
    """Arrays of the library's own names and shapes, which no function here has made."""
    joined = {"kernel": (INPUTS, 4 * CELLS), "recurrent_kernel": (CELLS, 4 * CELLS)}
    rows = (4 * CELLS, INPUTS), (4 * CELLS, CELLS)
    gate = lambda *names: {n: {"kernel": (INPUTS, CELLS)} for n in names}
    linen = gate("ii", "if", "ig", "io") | {
        n: {"kernel": (CELLS, CELLS), "bias": (CELLS,)} for n in ("hi", "hf", "hg", "ho")
    }
    torch = {"weight_ih": rows[0], "weight_hh": rows[1]} | dict.fromkeys(
        ("bias_ih", "bias_hh"), (4 * CELLS,)
    )
    shapes: dict = {
        "flax.nnx.OptimizedLSTMCell": {
            "dense_i": {"kernel": joined["kernel"]},
            "dense_h": {"kernel": joined["recurrent_kernel"], "bias": (4 * CELLS,)},
        },
        "flax.nnx.LSTMCell": gate("ii", "if_", "ig", "io")
        | {n: {"kernel": (CELLS, CELLS), "bias": (CELLS,)} for n in ("hi", "hf", "hg", "ho")},
        "flax.linen.OptimizedLSTMCell": linen,
        "flax.linen.LSTMCell": linen,
        "haiku.LSTM": {"w": (INPUTS + CELLS, 4 * CELLS), "b": (4 * CELLS,)},
        "equinox.LSTMCell": {"weight_ih": rows[0], "weight_hh": rows[1], "bias": (4 * CELLS,)},
        "torch.nn.LSTM": {f"{name}_l0": shape for name, shape in torch.items()},
        "torch.nn.LSTMCell": torch,
        "keras.LSTM": joined | {"bias": (4 * CELLS,)},
    }
    rng = np.random.default_rng(seed)
    draw = lambda shape: rng.uniform(-1, 1, shape).astype(dtype)
    return jax.tree.map(draw, shapes[library], is_leaf=lambda node: type(node) is tuple)


def error(run: Run, arrays: Arrays, inputs, start: tuple) -> tuple:
    """A number that depends on all outputs and the final state, and these."""
    outputs, (c, h) = run(arrays, inputs, start)
    weights = jnp.cos(jnp.arange(outputs.size, dtype=outputs.dtype)).reshape(outputs.shape)
    return (weights * outputs).sum() + (c * c).sum() + h.sum(), (outputs, c, h)


def run_ours(library: str, arrays: Arrays, inputs, start: tuple, gradient) -> tuple:
    net, parameters = from_library(library, arrays)
    state = zero_state(net, inputs.dtype)._replace(internal_state=start[0], cell_output=start[1])
    outputs, final = apply(
        net, parameters, inputs, initial_state=state, options=RunOptions(gradient=gradient)
    )
    return outputs, (final.internal_state, final.cell_output)


@pytest.mark.parametrize("dtype, tolerance", [(np.float32, 1e-5), (np.float64, 1e-10)])
@pytest.mark.parametrize("library", LAYOUTS)
def test_outputs_states_and_full_gradients_equal_the_library_s(
    library: str, dtype, tolerance: float
):
    theirs = RUNS[library]()
    rng = np.random.default_rng(1)
    arrays = random_arrays(library, dtype)
    inputs, *start = (rng.normal(size=s).astype(dtype) for s in ((STEPS, INPUTS), CELLS, CELLS))
    with jax.enable_x64(dtype is np.float64):
        ours: Run = lambda *run: run_ours(library, *run, gradient="full")
        found, expected = (
            quick_jit(jax.value_and_grad(functools.partial(error, run), (0, 1, 2), has_aux=True))(
                arrays, jnp.asarray(inputs), tuple(start)
            )
            for run in (ours, theirs)
        )
        assert_close(found, expected, tolerance)
        assert {leaf.dtype for leaf in jax.tree.leaves(found)} == {np.dtype(dtype)}


def test_a_library_s_layer_has_the_truncated_gradient_too():
    arrays = random_arrays("keras.LSTM", np.float32)
    inputs = np.random.default_rng(1).normal(size=(STEPS, INPUTS)).astype(np.float32)
    start = (np.zeros(CELLS, np.float32),) * 2

    def gradient_of(gradient: str) -> Arrays:
        run: Run = lambda *run: run_ours("keras.LSTM", *run, gradient=gradient)
        return quick_jit(jax.grad(lambda a: error(run, a, jnp.asarray(inputs), start)[0]))(arrays)

    truncated, full = gradient_of("truncated"), gradient_of("full")
    assert_close(truncated, gradient_of("truncated_autodiff"), 1e-5)
    assert np.abs(truncated["kernel"] - full["kernel"]).max() > 0.01


@pytest.mark.parametrize("library", LAYOUTS)
def test_there_and_back_is_the_identity(library: str):
    arrays = random_arrays(library, np.float32)
    for name in {"bias_hh", "bias_hh_l0"} & {*arrays}:  # of two biases, the sum is what counts
        arrays[name] = np.zeros_like(arrays[name])
    net, parameters = from_library(library, arrays)
    check_parameters(net, parameters)
    again = to_library(library, net, parameters)
    assert_close(again, arrays, 1e-6)
    assert_close(from_library(library, again)[1], parameters, 1e-6)


@pytest.mark.parametrize("library", [name for name in LAYOUTS if name != "haiku.LSTM"])
def test_layers_without_biases_stay_so(library: str):
    without = modern(INPUTS, CELLS, biases=False)
    parameters = random_parameters(without)
    arrays = to_library(library, without, jax.tree.map(jnp.float32, parameters))
    net, found = from_library(library, arrays)
    assert net == without
    assert_equal(found.layer, jax.tree.map(np.float32, parameters.layer))


class Tensor:
    """A stand-in for tensors of torch: NumPy reads those outside the graph, on the host."""

    def __init__(self, values: np.ndarray, *places: str):
        self.values, self.places = values, {*places}
        self.dtype = f"torch.{values.dtype}"

    def detach(self) -> Tensor:
        return Tensor(self.values, *self.places - {"graph"})

    def cpu(self) -> Tensor:
        return Tensor(self.values, *self.places - {"gpu"})

    def float(self) -> Tensor:
        return Tensor(self.values.astype(np.float32), *self.places)

    def __array__(self, dtype=None, copy=None) -> np.ndarray:
        if self.places:
            raise RuntimeError("Can't call numpy() on Tensor that requires grad.")
        if self.dtype == "torch.bfloat16":
            raise TypeError("Got unsupported ScalarType BFloat16")
        return np.asarray(self.values, dtype)


DEVICES = jax.devices()
PLACES: dict[str, Callable[[np.ndarray], object]] = {
    "state_dict of torch": Tensor,
    "named_parameters of torch": lambda a: Tensor(a, "graph"),
    "torch on a GPU": lambda a: Tensor(a, "graph", "gpu"),
    "JAX": jnp.asarray,
    "another device": lambda a: jax.device_put(a, DEVICES[1]),
    "two devices": lambda a: jax.device_put(
        a, NamedSharding(Mesh(DEVICES[:2], "x"), PartitionSpec("x"))
    ),
}


@pytest.mark.parametrize("dtype", [np.float16, np.float32, jnp.bfloat16])
@pytest.mark.parametrize("place", PLACES)
def test_arrays_of_any_place_are_the_same_network(place: str, dtype):
    arrays = random_arrays("torch.nn.LSTM", dtype)
    expected = from_library("torch.nn.LSTM", arrays)
    net, parameters = from_library("torch.nn.LSTM", jax.tree.map(PLACES[place], arrays))
    assert net == expected[0]
    assert_equal(parameters, expected[1])
    assert {w.dtype for w in jax.tree.leaves(parameters)} == {np.dtype(dtype)}
    assert_equal(
        to_library("torch.nn.LSTM", net, parameters), to_library("torch.nn.LSTM", *expected)
    )


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "bfloat16"])
@pytest.mark.parametrize("library", LAYOUTS)
def test_what_is_given_back_is_numpy_s(library: str, dtype: str):
    """`torch.from_numpy` takes such arrays, and who writes into one changes no other."""
    with jax.enable_x64(dtype == "float64"):
        net = modern(INPUTS, CELLS)
        parameters = initialise(jax.random.key(0), net, dtype=dtype)
        arrays = jax.tree.leaves(to_library(library, net, parameters))
    for array in arrays:
        assert type(array) is np.ndarray
        assert array.flags.writeable and array.flags.c_contiguous and array.flags.owndata
        assert array.dtype == ("float32" if dtype == "bfloat16" else dtype)


def test_bfloat16_there_and_back_is_exact():
    net = modern(INPUTS, CELLS)
    parameters = initialise(jax.random.key(0), net, dtype="bfloat16")
    _, again = from_library("keras.LSTM", to_library("keras.LSTM", net, parameters))
    assert_equal(again.layer, jax.tree.map(lambda w: w.astype(np.float32), parameters.layer))


def test_any_output_units_may_be_there():
    net = dataclasses.replace(modern(3, 2), num_outputs=5, output="logistic", biases="all")
    parameters = initialise(jax.random.key(0), net)
    found = from_library("haiku.LSTM", to_library("haiku.LSTM", net, parameters))[1]
    assert_close(found.layer, parameters.layer, 1e-6)


TALL = np.ones((8, 2))
WRONG = {
    r"haiku.LSTM must .*'b': \(16,\)}, got {'w': \(7, 16\)}": (
        "haiku.LSTM",
        {"w": np.ones((7, 16))},
    ),
    r"arrays\[1\] of torch.nn.LSTM must .*'weight_ih_l0': .*}, got {'weight_hh_l0': \(8, 2\)}": (
        "torch.nn.LSTM",
        {"weight_ih_l0": TALL, "weight_hh_l0": TALL, "weight_hh_l1": TALL},
    ),
    "library must be one of .*flax.nnx.Opt.*, got 'sonnet'": ("sonnet", {}),
    r"keras.LSTM must have .*'recurrent_kernel': \(2, 8\).* got .*'recurrent_kernel': \(3, 8\)": (
        "keras.LSTM",
        {"kernel": np.ones((3, 8)), "recurrent_kernel": np.ones((3, 8)), "bias": np.ones(8)},
    ),
    r"'bias': \(8,\)}, got .*'bias': \(7,\)": (
        "keras.LSTM",
        {"kernel": np.ones((3, 8)), "recurrent_kernel": np.ones((2, 8)), "bias": np.ones(7)},
    ),
    r"got .*'kernel': \(8,\)": (
        "keras.LSTM",
        {"kernel": np.ones(8), "recurrent_kernel": np.ones((2, 8)), "bias": np.ones(8)},
    ),
}


@pytest.mark.parametrize("library", LAYOUTS)
def test_names_of_another_layout_are_told_by_it(library: str):
    """...and so are those of a layer within a model."""
    arrays, same = random_arrays(library, np.float32), lambda a, b: LAYOUTS[a] == LAYOUTS[b]
    for given in (arrays, {"model": arrays}):
        for other in (other for other in LAYOUTS if not same(other, library)):
            with pytest.raises(ValueError, match=f"arrays of {other} must") as failure:
                from_library(other, given)
            line = str(failure.value)
            nearest = line.rpartition("nearest to those of ")[2]
            assert same(nearest, library) and "\n" not in line


@pytest.mark.parametrize("message", WRONG)
def test_arrays_of_no_layer_are_refused(message: str):
    with pytest.raises(ValueError, match=message):
        from_library(*WRONG[message])


def test_a_network_that_no_library_has_is_refused():
    parameters = random_parameters(EVERYTHING)
    with pytest.raises(ValueError, match="has no layer with the blocks, num_hidden, recurrent"):
        to_library("keras.LSTM", EVERYTHING, parameters)
    net = dataclasses.replace(modern(1, 1), biases="gates")
    with pytest.raises(ValueError, match=r"keras.LSTM needs biases of all units, got 'gates'"):
        to_library("keras.LSTM", net, random_parameters(net))
    net = modern(1, 1, biases=False)
    with pytest.raises(ValueError, match=r"haiku.LSTM needs biases of all units, got 'none'"):
        to_library("haiku.LSTM", net, random_parameters(net))


def test_weights_that_are_no_arrays_of_one_network_are_refused():
    net = modern(1, 1)
    convert = functools.partial(to_library, "keras.LSTM", net)
    parameters = initialise(jax.random.key(0), net)
    with pytest.raises(ValueError, match="parameters must be arrays outside jit and grad"):
        jax.jit(convert)(parameters)
    with pytest.raises(ValueError, match="parameters must be those of one network, without lanes"):
        convert(jax.tree.map(lambda w: np.stack([w, w], axis=-1), parameters))


# Several layers --------------------------------------------------------------------------------


@pytest.mark.parametrize("is_both", [False, True], ids=["one direction", "both directions"])
@pytest.mark.parametrize("library", LAYOUTS)
def test_layers_of_a_library_are_a_stack(library: str, is_both: bool):
    """...whose outputs are those of its layers, converted one by one and run one by one."""
    width = CELLS * (1 + is_both)
    draw = lambda num_inputs, seed: to_library(
        library,
        modern(num_inputs, CELLS),
        initialise(jax.random.key(seed), modern(num_inputs, CELLS), init_range=1.0),
    )
    rows = [(draw(n, seed), draw(n, seed + 9)) for seed, n in enumerate((INPUTS, width))]
    inputs = x = np.random.default_rng(0).normal(size=(STEPS, INPUTS)).astype(np.float32)
    for row in rows:
        nets = [from_library(library, arrays) for arrays in row]
        ahead = apply(*nets[0], x)[0]
        back = apply(*nets[1], x, options=RunOptions(reverse=True))[0]
        x = jnp.concatenate([ahead, back], axis=1) if is_both else ahead
    arrays = rows if is_both else [forward for forward, _ in rows]
    net, parameters = from_library(library, arrays)
    assert_close(apply(net, parameters, inputs)[0], x, 1e-5)
    back = to_library(library, net, parameters)
    assert_equal(from_library(library, back), (net, parameters))
    if library != "torch.nn.LSTM":
        assert jax.tree.structure(back) == jax.tree.structure(arrays)


@pytest.mark.parametrize(("layers", "is_both"), [(2, False), (3, True), (1, True)])
def test_torch_s_layers_have_its_outputs_states_and_gradients(layers: int, is_both: bool):
    torch = pytest.importorskip("torch")
    theirs = torch.nn.LSTM(INPUTS, CELLS, num_layers=layers, bidirectional=is_both)
    x = np.random.default_rng(0).normal(size=(STEPS, INPUTS)).astype(np.float32)
    outputs, (_, c) = theirs(torch.tensor(x)[:, None])
    ((outputs**3).sum() + (c**2).sum()).backward()
    named = dict(theirs.named_parameters())
    arrays = {name: weights.detach().numpy() for name, weights in named.items()}
    net, parameters = from_library("torch.nn.LSTM", arrays)

    def loss(parameters):
        found, states = apply(net, parameters, x, options=RunOptions(gradient="full"))
        states = jax.tree.leaves(states, is_leaf=lambda node: isinstance(node, State))
        return (found**3).sum() + sum((state.internal_state**2).sum() for state in states), found

    gradient, found = jax.grad(loss, has_aux=True)(parameters)
    assert_close(found, outputs[:, 0].detach().numpy(), 1e-6)
    for name, array in to_library("torch.nn.LSTM", net, gradient).items():
        if "bias_hh" not in name:  # two biases are one here
            assert_close(array, named[name].grad.numpy(), 1e-5)


def test_layers_that_make_no_stack_are_refused():
    one = random_arrays("keras.LSTM", np.float32)
    with pytest.raises(ValueError, match=r"num_inputs of layers\[1\] must be 4, got 3"):
        from_library("keras.LSTM", [one, one])
    with pytest.raises(ValueError, match="arrays must be a mapping per layer, or two"):
        from_library("keras.LSTM", [one, (one, one)])
    arrays = random_arrays("torch.nn.LSTM", np.float32)
    arrays |= {f"{name.removesuffix('0')}2": array for name, array in arrays.items()}
    with pytest.raises(ValueError, match=r"arrays\[1\] of torch.nn.LSTM must have shapes"):
        from_library("torch.nn.LSTM", arrays)  # layer 1 is missing
