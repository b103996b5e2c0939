"""Networks survive files to the last bit; a bad file is named in one line."""

from __future__ import annotations

import dataclasses
import json
import pathlib
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy
from helpers import DESCENDANT, EVERYTHING, assert_equal, random_parameters
from safetensors import safe_open

import lstm_jax
from lstm_jax.cell.architecture import Architecture
from lstm_jax.cell.records import Parameters
from lstm_jax.network.files import DTYPES

SMALLEST = Architecture(1, (1,), 1, input_gates=False, output_gates=False, biases="none")
FAMILY = {
    "of 1997": EVERYTHING,
    "descendant": DESCENDANT,
    "smallest": SMALLEST,
    "biases by type": dataclasses.replace(DESCENDANT, biases=("forget_gate", "output")),
}
RESULT_FILE = pathlib.Path(__file__).parents[2] / "experiments/results/6a/6a.json"


def weights_of(net: Architecture, dtype=jnp.float32) -> Parameters:
    return jax.tree.map(lambda w: jnp.asarray(w, dtype), random_parameters(net))


def contents(path: pathlib.Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    with safe_open(path, framework="numpy") as file:
        return file.get_tensors(), file.metadata()


def saved(path: pathlib.Path, net: Architecture = DESCENDANT) -> pathlib.Path:
    lstm_jax.save(path, net, weights_of(net))
    return path


@pytest.mark.parametrize(
    ("name", "dtype"), [(name, "float32") for name in FAMILY] + [("of 1997", d) for d in DTYPES]
)
def test_a_network_comes_back_to_the_last_bit(name: str, dtype: str, tmp_path: pathlib.Path):
    path, net = tmp_path / "net.safetensors", FAMILY[name]
    with jax.enable_x64(dtype == "float64"):
        parameters = weights_of(net, dtype)
        lstm_jax.save(path, net, parameters)
        architecture, found = lstm_jax.load(path)
    assert architecture == net and hash(architecture) == hash(net)
    assert {leaf.dtype.name for leaf in jax.tree.leaves(found)} == {dtype}
    assert_equal(found, parameters)


def test_many_networks_side_by_side_come_back(tmp_path: pathlib.Path):
    lanes = jax.tree.map(lambda w: jnp.stack([w, 2 * w], -1), weights_of(EVERYTHING))
    lstm_jax.save(tmp_path / "nets", EVERYTHING, lanes)
    assert_equal(lstm_jax.load(tmp_path / "nets")[1], lanes)


def test_the_network_of_a_result_file_is_loaded():
    document = json.loads(RESULT_FILE.read_text())
    architecture, parameters = lstm_jax.load(RESULT_FILE)
    assert dataclasses.asdict(architecture)["blocks"] == tuple(document["architecture"]["blocks"])
    weights = document["network"]["parameters"][".layer.cell.input"]
    assert_equal(parameters.layer.cell.input, np.float32(weights))


def test_a_result_file_without_a_network_is_named(tmp_path: pathlib.Path):
    path = tmp_path / "6a.json"
    path.write_text(json.dumps({"task": "6a", "network": None}))
    with pytest.raises(ValueError, match=r"6a.json does not hold a network: .*no network"):
        lstm_jax.load(path)


def test_the_file_is_one_that_others_read(tmp_path: pathlib.Path):
    arrays, metadata = contents(saved(tmp_path / "net", EVERYTHING))
    expected = weights_of(EVERYTHING)
    np.testing.assert_array_equal(arrays["layer.input_gate.bias"], expected.layer.input_gate.bias)
    np.testing.assert_array_equal(arrays["output.cell"], expected.output.cell)
    assert Architecture(**json.loads(metadata["architecture"])) == EVERYTHING


def test_another_dtype_is_had_by_asking(tmp_path: pathlib.Path):
    with jax.enable_x64(True):
        parameters = weights_of(EVERYTHING, "float64")
        lstm_jax.save(tmp_path / "net", EVERYTHING, parameters)
    with pytest.raises(
        ValueError, match=r"net does not .*holds float64: enable jax_enable_x64, or"
    ):
        lstm_jax.load(tmp_path / "net")
    _, found = lstm_jax.load(tmp_path / "net", dtype="float32")
    assert_equal(found, jax.tree.map(lambda w: np.float32(w), parameters))


def test_what_is_no_network_is_not_saved(tmp_path: pathlib.Path):
    parameters = weights_of(EVERYTHING)
    spoilt = parameters.output._replace(cell=parameters.output.cell.at[0, 0].set(jnp.nan))
    for wrong in (parameters._replace(output=spoilt), weights_of(DESCENDANT)):
        with pytest.raises(ValueError, match="parameters"):
            lstm_jax.save(tmp_path / "net", EVERYTHING, wrong)
    assert not list(tmp_path.iterdir())


def test_a_file_or_folder_that_is_not_there_is_named(tmp_path: pathlib.Path):
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(FileNotFoundError, match=f"an existing file, got {path}"):
            lstm_jax.load(path)
    with pytest.raises(FileNotFoundError, match=r"in an existing folder, got .*/none/net"):
        saved(tmp_path / "none" / "net")


# What may have become of a file: its bytes to others.
DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda content: b"",
    "half": lambda content: content[: len(content) // 2],
    "one byte short": lambda content: content[:-1],
    "a bit of a weight": lambda content: content[:-1] + bytes([content[-1] ^ 1]),
    "the header": lambda content: content.replace(b"forget_gates", b"forget_gatez"),
    "a size": lambda content: content.replace(b'num_outputs\\": 2', b'num_outputs\\": 3'),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_a_damaged_file_gives_one_line_that_names_it(name: str, tmp_path: pathlib.Path):
    path = saved(tmp_path / "net")
    content = path.read_bytes()
    path.write_bytes(DAMAGE[name](content))
    assert path.read_bytes() != content
    with pytest.raises(ValueError, match=r"net does not hold a network") as caught:
        lstm_jax.load(path)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400


Change = Callable[[dict[str, np.ndarray], dict[str, str]], object]
# What others may have written: changes of arrays and header, and what is said of them.
FOREIGN: dict[str, tuple[Change, str]] = {
    "no header": (lambda arrays, header: header.clear(), "format must be .* got None"),
    "no architecture": (
        lambda arrays, header: header.pop("architecture"),
        "architecture must have the fields of Architecture",
    ),
    "not JSON": (lambda arrays, header: header.update(architecture="{"), "Expecting"),
    "deep": (lambda arrays, header: header.update(architecture="[" * 10**5), "recursion"),
    "a lack": (lambda arrays, header: arrays.pop("output.cell"), "lack output.cell"),
    "a surplus": (lambda arrays, header: arrays.update(more=np.zeros(1)), "have unknown more"),
    "a shape": (
        lambda arrays, header: arrays.update({"output.cell": np.zeros((3, 4), np.float32)}),
        r"output\.cell must have shape \(3, 2\), got \(3, 4\)",
    ),
    "NaN": (lambda arrays, header: arrays["output.cell"].fill(np.nan), "must be finite"),
    "integers": (
        lambda arrays, header: arrays.update({"output.cell": np.zeros((3, 2), np.int32)}),
        "must have a floating dtype",
    ),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_a_foreign_file_gives_one_line_that_names_it(name: str, tmp_path: pathlib.Path):
    change, told = FOREIGN[name]
    arrays, header = contents(saved(tmp_path / "net"))
    del header["sha256"]  # without which others may write files, if they fit
    change(arrays, header)
    safetensors.numpy.save_file(arrays, tmp_path / "other", header)
    with pytest.raises(ValueError, match=f"other does not hold a network: .*{told}") as caught:
        lstm_jax.load(tmp_path / "other")
    assert "\n" not in str(caught.value)


def test_a_file_that_others_wrote_is_read_if_it_fits(tmp_path: pathlib.Path):
    arrays, header = contents(saved(tmp_path / "net"))
    del header["sha256"]
    safetensors.numpy.save_file({k: 2 * v for k, v in arrays.items()}, tmp_path / "other", header)
    expected = jax.tree.map(lambda w: 2 * w, weights_of(DESCENDANT))
    assert_equal(lstm_jax.load(tmp_path / "other")[1], expected)
