"""Every example runs, does what it says, and fits on a page."""

from __future__ import annotations

import pathlib
import subprocess
import sys
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import assert_close

import lstm_jax
from experiments.examples import (
    export,
    maze,
    own_cell,
    own_data,
    own_task,
    own_training_loop,
    sharded,
    stream,
    two_layers,
)


@pytest.fixture(autouse=True)
def as_a_user() -> Iterator[None]:
    """JAX's defaults instead of the tests' stricter settings."""
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


FOLDER = pathlib.Path(export.__file__).parent
INPUTS = np.random.default_rng(0).normal(size=(7, 3)).astype(np.float32)
TARGETS = np.full((7, 1), 0.9, np.float32)


def test_an_example_is_a_page_with_its_command():
    for path in FOLDER.glob("*.py"):
        text, name = path.read_text(), path.stem.replace("__init__", "NAME")
        assert len(text.splitlines()) <= (80 if name == "own_data" else 60)
        assert f"python -m experiments.examples.{name}" in text


def test_padded_batches_are_learned():
    losses = own_training_loop.main()
    assert losses[0] > 0.05 and max(losses[-20:]) < 0.02


def test_own_data_are_classified():
    assert own_data.main() >= 0.9


def test_a_maze_is_learned():
    assert maze.main() > 0.95


def test_a_stream_is_learned():
    errors = stream.main()
    assert errors[:1000].mean() > 0.4 and errors[-1000:].mean() < 0.15


def test_two_devices_train_as_one_does():
    results = sharded.main()
    parameters, losses = results.pop("neither")
    assert losses[-1] < 0.5 * losses[0]
    for name, found in results.items():
        assert_close(found, (parameters, losses), 1e-4)
        split = tuple(found[0].layer.cell.input.sharding.spec)
        assert split == ((None, "devices") if name == "weights" else (None, None))


def test_the_upper_layer_s_error_reaches_the_lower_one():
    truncated, full, numerical = two_layers.main()
    assert abs(full - numerical) < 1e-4 * abs(full)
    assert truncated != full and abs(truncated) > 0.1 * abs(full)


def test_a_new_task_is_solved_by_the_lstm_and_not_with_one_step_of_memory():
    solved = {n: [trial.solved for trial in trials] for n, trials in own_task.main().items()}
    assert solved == {"LSTM": [True] * 5, "Elman's procedure": [False] * 5}


def test_a_cell_of_one_s_own_solves_the_task():
    assert [trial.solved for trial in own_cell.main()] == [True] * 5


def test_the_cell_of_one_s_own_is_a_gated_recurrent_unit():
    """...of the first paper, whose reset gate acts before the product."""
    rng = np.random.default_rng(0)
    shapes = {"gates": (8, 8), "candidate": (8, 4)}
    weights = {name: rng.normal(size=shape) for name, shape in shapes.items()}
    h, x = rng.normal(size=4), rng.normal(size=4)
    f = lambda net: 1 / (1 + np.exp(-net))
    z, r = np.split(f(np.append(x, h) @ weights["gates"]), 2)
    candidate = np.tanh(np.append(x, r * h) @ weights["candidate"])
    assert_close(own_cell.gru(weights, h, x), (1 - z) * candidate + z * h, 1e-5)


READER = """
import importlib.abc, pathlib, sys

class Blocker(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "lstm_jax":
            raise ImportError("lstm_jax is not installed here")

sys.meta_path.insert(0, Blocker())
import numpy
import jax.export
network = jax.export.deserialize(bytearray(pathlib.Path("network.bin").read_bytes()))
for steps in (1, 7):
    outputs = network.call(numpy.load("inputs.npy")[:steps])
    numpy.save(f"outputs.{steps}.npy", outputs)
assert "lstm_jax" not in sys.modules
"""


def test_an_exported_network_computes_the_same_without_the_library(tmp_path: pathlib.Path):
    pytest.importorskip("flatbuffers")
    export.main(str(tmp_path / "network.bin"))
    np.save(tmp_path / "inputs.npy", INPUTS)
    done = subprocess.run(
        [sys.executable, "-c", READER], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    for steps in (1, 7):
        expected = export.network(jnp.asarray(INPUTS[:steps]))
        assert_close(np.load(tmp_path / f"outputs.{steps}.npy"), expected, 1e-6)


def expected_gradient(parameters, net) -> tuple[object, list]:
    """The library's loss, and its gradient array by array."""

    def loss(parameters) -> jax.Array:
        return lstm_jax.half_squared_error(
            lstm_jax.apply(net, parameters, INPUTS)[0], jnp.asarray(TARGETS)
        )

    value, gradient = jax.value_and_grad(loss)(parameters)
    return value, jax.tree.leaves(gradient)


def assert_learns(example) -> None:
    losses = example.main()
    assert losses[-1] < 0.7 * losses[0]


def test_an_equinox_module_has_the_truncated_gradient():
    pytest.importorskip("equinox")
    from experiments.examples import in_equinox

    model = in_equinox.LSTM(in_equinox.NET, key=jax.random.key(3))
    value, gradient = in_equinox.loss(model, INPUTS, TARGETS)
    found = (value, jax.tree.leaves(gradient))
    assert_close(found, expected_gradient(model.parameters, in_equinox.NET), 1e-5)
    assert_learns(in_equinox)


def test_a_flax_module_has_the_truncated_gradient():
    pytest.importorskip("flax")
    from flax import nnx

    from experiments.examples import in_flax

    model = in_flax.LSTM(in_flax.NET, rngs=nnx.Rngs(3))
    parameters = lstm_jax.initialise(nnx.Rngs(3).params(), in_flax.NET)
    value, gradient = in_flax.loss(model, INPUTS, TARGETS)
    expected_value, expected = expected_gradient(parameters, in_flax.NET)
    assert_close(value, expected_value, 1e-5)
    in_order = lambda leaves: np.sort(np.concatenate([np.ravel(leaf) for leaf in leaves]))
    assert_close(in_order(jax.tree.leaves(gradient)), in_order(expected), 1e-5)
    assert_learns(in_flax)


def test_a_haiku_module_has_the_truncated_gradient():
    pytest.importorskip("haiku")
    from experiments.examples import in_haiku

    weights = in_haiku.MODEL.init(jax.random.key(3), INPUTS)
    value, gradient = in_haiku.loss(weights, INPUTS, TARGETS)
    template = lstm_jax.initialise(jax.random.key(0), in_haiku.NET)
    leaves, structure = jax.tree_util.tree_flatten_with_path(template)
    keys = [jax.tree_util.keystr(path, simple=True, separator="_") for path, _ in leaves]
    parameters = jax.tree.unflatten(structure, [weights["lstm"][key] for key in keys])
    found = (value, [gradient["lstm"][key] for key in keys])
    assert_close(found, expected_gradient(parameters, in_haiku.NET), 1e-5)
    assert_learns(in_haiku)
