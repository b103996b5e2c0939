"""From a file of sequences to a network, its predictions and its copies in other formats."""

from __future__ import annotations

import csv
import dataclasses
import json
import pathlib
import signal

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from binaries import assert_is_a_picture, command_of
from helpers import assert_close, assert_equal

import lstm_jax as lstm
from experiments import export
from experiments.own_data import run as own_run
from experiments.own_data.files import read_data
from experiments.own_data.tasks import TASKS, DataOptions, encode, find_task
from lstm_jax.training.host.interrupts import Interrupted

pytest.importorskip("safetensors")


@pytest.fixture(autouse=True)
def as_a_user():
    """JAX's defaults instead of the tests' stricter settings, which optax does not keep."""
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


RNG = np.random.default_rng(0)
LABELS = np.array(["calm", "wild"])[RNG.integers(0, 2, 60)]
LENGTHS = RNG.integers(4, 9, 60)
SMALL = ["--cells=4", "--quiet"]


def write_csv(path: pathlib.Path, columns: dict) -> pathlib.Path:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
    return path


def classes_csv(path: pathlib.Path) -> pathlib.Path:
    """Write sequences of two classes, whose names are not in order, beside a column of text."""
    names = np.repeat([f"s{i}" for i in RNG.permutation(60)], LENGTHS)
    wild = np.repeat(LABELS == "wild", LENGTHS)
    x = RNG.normal(100 + 3 * wild, 1)
    columns = {"sequence": names, "x": x, "note": ["a"] * len(x), "y": RNG.normal(size=len(x))}
    return write_csv(path, columns | {"label": np.repeat(LABELS, LENGTHS)})


def waves_csv(path: pathlib.Path, steps: int = 300) -> pathlib.Path:
    time = np.arange(steps)
    load = 500 + 40 * np.sin(time / 6)
    return write_csv(path, {"load": load, "other": np.cos(time / 6)})


def rows_of(path: pathlib.Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def call(name: str, *arguments: str) -> None:
    command_of(name).call(arguments)


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A folder with a file of sequences, and the network that was trained on it."""
    folder = tmp_path_factory.mktemp("classes")
    path = classes_csv(folder / "d.csv")
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        out = f"--out={folder / 'out'}"
        options = ["--ignore=note", "--epochs=12", "--learning_rate=0.05"]
        call("fit", f"--data={path}", "--task=classify", out, *options, *SMALL)
    return folder


def test_a_classifier_is_trained_and_its_scores_are_those_of_the_test_part(classifier):
    out = classifier / "out"
    document = json.loads((out / "net.json").read_text())
    assert document["scores"]["accuracy"] >= 0.8
    assert document["about"]["classes"] == ["calm", "wild"]
    assert document["about"]["channels"] == ["x", "y"]
    assert_is_a_picture_of_classes(out / "net.png")
    net, parameters, about = own_run.read_network(out / "net.safetensors")
    assert net.output == "softmax" and net.num_outputs == 2
    data = read_data(classifier / "d.csv", ["note"])
    prepared = TASKS["classify"].prepare(data, DataOptions())
    test = prepared.parts[2]
    outputs = own_run.outputs_of(net, parameters, test.inputs, per_step=False)
    right = np.mean([o.argmax() == t for o, t in zip(outputs, test.targets, strict=True)])
    assert right == document["scores"]["accuracy"] and len(outputs) == document["test_sequences"]
    assert {**prepared.about, "task": "classify", "per_step": False} == about


def assert_is_a_picture_of_classes(path: pathlib.Path) -> None:
    assert path.read_bytes()[:4] == b"\x89PNG" and path.stat().st_size > 2000


@pytest.mark.parametrize("suffix", [".csv", ".npz"])
def test_predictions_are_those_of_the_saved_network_for_every_sequence(classifier, suffix):
    out = classifier / f"predicted{suffix}"
    data, net = f"--data={classifier / 'd.csv'}", f"--net={classifier / 'out' / 'net.safetensors'}"
    call("predict", net, data, "--ignore=note", f"--out={out}")
    rows = rows_of(out) if suffix == ".csv" else None
    columns = np.load(out) if rows is None else None
    column = lambda name: columns[name] if rows is None else [row[name] for row in rows]
    assert np.mean(np.array(column("predicted")) == LABELS) > 0.8
    architecture, parameters = lstm.load(classifier / "out" / "net.safetensors")
    _, _, about = own_run.read_network(classifier / "out" / "net.safetensors")
    inputs = encode(read_data(classifier / "d.csv", ["note"]).inputs, about)
    for i in (0, 59):
        expected = lstm.apply(architecture, parameters, inputs[i], at="end")[0]
        found = [float(column(f"P({name})")[i]) for name in ("calm", "wild")]
        np.testing.assert_allclose(found, expected, rtol=1e-5)
        assert int(column("step")[i]) == len(inputs[i]) - 1
    assert list(column("sequence")) == read_data(classifier / "d.csv", ["note"]).names
    with pytest.raises(ValueError, match="exists; --overwrite replaces it"):
        call("predict", net, data, "--ignore=note", f"--out={out}")
    more = write_csv(classifier / "more.csv", {"x": [1.0], "day": [2.0], "y": [3.0]})
    with pytest.raises(ValueError, match=r"needs x, y, got .*; --ignore=day leaves out"):
        call("predict", net, f"--data={more}", f"--out={classifier / 'more.npz'}")


def test_a_fit_that_is_cut_off_goes_on_to_the_same_network(classifier, tmp_path, monkeypatch):
    data = f"--data={classifier / 'd.csv'}"
    options = [data, "--task=classify", "--ignore=note", "--learning_rate=0.05", *SMALL]
    out = tmp_path / "cut"
    batches, epochs = own_run.batches, []

    def cut_off(*arguments, epoch=None, **how):
        epochs.append(epoch)
        if epoch == 5:
            signal.raise_signal(signal.SIGINT)
        return batches(*arguments, epoch=epoch, **how)

    with monkeypatch.context() as patch:
        patch.setattr("experiments.fit.batches", cut_off)
        with pytest.raises(Interrupted, match="interrupted after 5 epochs; --resume continues"):
            call("fit", *options, f"--out={out}", "--epochs=12")
    with pytest.raises(ValueError, match="exists; --overwrite replaces it"):
        call("fit", *options, f"--out={out}", "--epochs=12")
    call("fit", *options, f"--out={out}", "--epochs=12", "--resume")
    whole = classifier / "out"
    assert_equal(lstm.load(out / "net.safetensors")[1], lstm.load(whole / "net.safetensors")[1])
    history = lambda folder: json.loads((folder / "net.json").read_text())["history"]
    assert history(out) == history(whole) and len(history(out)) == 12


def test_a_forecast_is_scored_beside_persistence_and_reaches_beyond_the_series(tmp_path):
    path, out = waves_csv(tmp_path / "d.csv"), tmp_path / "out"
    options = ["--task=forecast", "--window=12", "--horizon=3", "--target=load"]
    more = ["--epochs=25", "--learning_rate=0.03", "--cells=8", "--quiet"]
    call("fit", f"--data={path}", *options, f"--out={out}", *more)
    scores = json.loads((out / "net.json").read_text())["scores"]
    assert scores["rmse"] < 0.5 * scores["persistence_rmse"]
    assert_is_a_picture(out / "net.png")
    net, predicted = f"--net={out / 'net.safetensors'}", tmp_path / "p.csv"
    call("predict", net, f"--data={path}", f"--out={predicted}")
    rows = rows_of(predicted)
    assert [int(row["step"]) for row in rows] == [*range(11, 300)]
    found = np.array([float(row["load"]) for row in rows])
    ahead = 500 + 40 * np.sin((np.arange(11, 300) + 3) / 6)
    assert np.sqrt(np.mean((found - ahead) ** 2)) < 2 * scores["rmse"]


def test_the_test_part_does_not_leak_into_what_is_fitted(tmp_path):
    """Whatever comes after the training part, scaling and training data are the same."""
    options, prepared = DataOptions(window=10, horizon=2), []
    series = read_data(waves_csv(tmp_path / "a.csv"))
    changed = series.inputs[0].copy()
    changed[210:] = 1e6 * RNG.normal(size=changed[210:].shape)
    for inputs in (series.inputs[0], changed):
        data = series._replace(inputs=[inputs])
        prepared.append(TASKS["forecast"].prepare(data, options))
    assert prepared[0].about == prepared[1].about
    assert_equal(prepared[0].parts[0], prepared[1].parts[0])
    assert not np.array_equal(prepared[0].parts[2].inputs[0], prepared[1].parts[2].inputs[0])
    assert [len(part.inputs) for part in prepared[0].parts] == [210 - (10 + 2 - 1), 45, 45]


def test_symbols_are_predicted_from_those_before(tmp_path):
    path, out = write_csv(tmp_path / "d.csv", {"symbol": list("abcd, ") * 40}), tmp_path / "out"
    options = ["--task=next-symbol", "--window=12", "--epochs=40", "--learning_rate=0.05"]
    call("fit", f"--data={path}", *options, f"--out={out}", "--cells=8", "--quiet")
    assert json.loads((out / "net.json").read_text())["scores"]["accuracy"] > 0.85
    call("predict", f"--net={out / 'net.safetensors'}", f"--data={path}", f"--out={tmp_path}/p.csv")
    (row,) = rows_of(tmp_path / "p.csv")
    assert row["predicted"] == "a" and float(row["P(a)"]) > 0.5
    other = write_csv(tmp_path / "e.csv", {"symbol": ["a", "z"]})
    files = f"--net={out}/net.safetensors", f"--data={other}", f"--out={tmp_path}/q.csv"
    with pytest.raises(ValueError, match="symbol 'z' does not occur in the training data"):
        call("predict", *files)


TASK = """
import jax.numpy as jnp
from experiments.own_data.tasks import OwnTask

def absolute_error(net, targets, weights):
    return jnp.sum(jnp.abs(net - targets))

task = OwnTask(loss=absolute_error)
other = 3
"""


@pytest.mark.parametrize("task", ["regress", "my.py:task"])
def test_numbers_are_learned_from_arrays_by_a_task_of_a_file_too(task: str, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pathlib.Path("my.py").write_text(TASK)
    inputs = RNG.normal(size=(80, 6, 1))
    targets = inputs[:, :3].sum(1)
    lengths = np.full(80, 3)
    inputs[:, 3:] = 1e9  # padding
    np.savez("d.npz", inputs=inputs, targets=targets, lengths=lengths)
    options = [f"--task={task}", "--data=d.npz", "--out=out", "--epochs=60", "--patience=60"]
    call("fit", *options, "--learning_rate=0.03", "--cells=6", "--quiet")
    scores = json.loads(pathlib.Path("out/net.json").read_text())["scores"]
    assert scores["rmse"] < 0.5 * targets.std()
    call("predict", "--net=out/net.safetensors", "--data=d.npz", "--out=p.npz")
    found = np.load("p.npz")
    assert np.corrcoef(found["output 0"], targets[:, 0])[0, 1] > 0.9
    with pytest.raises(ValueError, match="must name an OwnTask, got int"):
        find_task("my.py:other")


def test_a_first_epoch_that_is_not_finite_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pathlib.Path("my.py").write_text(TASK.replace("jnp.abs(", "jnp.log(0 * "))
    np.savez("d.npz", inputs=RNG.normal(size=(30, 4, 1)), targets=np.ones((30, 1)))
    options = ["--task=my.py:task", "--data=d.npz", "--out=out", *SMALL]
    with pytest.warns(RuntimeWarning), pytest.raises(ValueError, match="a lower --learning_rate"):
        call("fit", *options)
    assert not [*pathlib.Path("out").iterdir()]


def test_labels_of_every_step_are_learned_per_step(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    inputs = RNG.normal(size=(60, 7, 1))
    labels = (inputs[..., 0] > 0).astype(int)
    np.savez("d.npz", inputs=inputs, labels=labels, lengths=RNG.integers(2, 8, 60))
    options = ["--task=classify", "--data=d.npz", "--out=out", "--epochs=30"]
    call("fit", *options, "--learning_rate=0.05", *SMALL)
    assert json.loads(pathlib.Path("out/net.json").read_text())["scores"]["accuracy"] > 0.85
    call("predict", "--net=out/net.safetensors", "--data=d.npz", "--out=p.npz")
    found, lengths = np.load("p.npz"), np.load("d.npz")["lengths"]
    assert len(found["predicted"]) == lengths.sum()
    true = labels[found["sequence"], found["step"]].astype(str)
    assert np.mean(true == found["predicted"]) > 0.85


# Export ------------------------------------------------------------------------------------------


def test_an_exported_network_takes_any_batch_of_any_length(classifier, tmp_path):
    pytest.importorskip("flatbuffers")
    path = classifier / "out" / "net.safetensors"
    call("export", f"--net={path}", f"--out={tmp_path / 'net.bin'}")
    network = jax.export.deserialize(bytearray((tmp_path / "net.bin").read_bytes()))
    net, parameters = lstm.load(path)
    for shape in ((1, 1, 2), (3, 7, 2)):
        inputs = RNG.normal(size=shape).astype(np.float32)
        expected = jax.vmap(lambda x: lstm.apply(net, parameters, x)[0])(inputs)
        assert_close(network.call(inputs), expected, 1e-6)


def test_a_network_of_symbols_is_exported_for_symbols(tmp_path):
    pytest.importorskip("flatbuffers")
    result = pathlib.Path(export.__file__).parent / "results" / "6a" / "6a.json"
    call("export", f"--net={result}", "--symbols", f"--out={tmp_path / 'net.bin'}")
    network = jax.export.deserialize(bytearray((tmp_path / "net.bin").read_bytes()))
    net, parameters = lstm.load(result)
    symbols = RNG.integers(0, 8, (2, 9)).astype(np.int32)
    expected = jax.vmap(lambda x: lstm.apply(net, parameters, x)[0])(symbols)
    assert_close(network.call(symbols), expected, 1e-6)
    with pytest.raises(ValueError, match=r"torch\.nn\.LSTM has no layer"):
        call("export", f"--net={result}", "--format=torch", f"--out={tmp_path / 'net.pt'}")


def test_weights_for_torch_are_its_layer_and_a_linear_one(classifier, tmp_path):
    """...of which a loop of torch's equations gives the same outputs."""
    import safetensors.numpy

    path = classifier / "out" / "net.safetensors"
    call("export", f"--net={path}", "--format=torch", f"--out={tmp_path / 'net.safetensors'}")
    weights = safetensors.numpy.load_file(tmp_path / "net.safetensors")
    lstm_arrays = {name.removeprefix("lstm."): w for name, w in weights.items() if "lstm" in name}
    _, found = lstm.from_library("torch.nn.LSTM", lstm_arrays)
    net, parameters = lstm.load(path)
    assert_close(found.layer, parameters.layer, 1e-6)
    inputs = jnp.asarray(RNG.normal(size=(5, 2)), jnp.float32)
    activations, _ = lstm.unroll(net, parameters, inputs)
    outputs = activations.cell_output @ weights["output.weight"].T + weights["output.bias"]
    linear = dataclasses.replace(net, output="identity")
    assert_close(outputs, lstm.apply(linear, parameters, inputs)[0], 1e-6)


# Diagnosis ---------------------------------------------------------------------------------------


def test_a_network_of_fit_is_diagnosed_on_its_data(classifier, capsys):
    net = str(classifier / "out" / "net.safetensors")
    with pytest.raises(ValueError, match="needs --data"):
        call("diagnose", net)
    pictures = classifier / "pictures"
    files = [f"--data={classifier / 'd.csv'}", "--ignore=note", f"--pictures={pictures}"]
    call("diagnose", net, *files)
    assert capsys.readouterr().out.startswith("net: ")
    assert_is_a_picture(pictures / "net.network.png")
    with pytest.raises(ValueError, match="exists; --overwrite replaces it"):
        call("diagnose", net, *files)


# Mistakes ----------------------------------------------------------------------------------------

WRONG_CSV = {
    "": "must have a header",
    "a,b\n": "must have a header and a row",
    "a,b\n1\n": "line 2 must have 2 columns, got 1",
    "a,a\n1,2\n": "two columns of one name",
    "a,b\n1,x\n": "column 'b' must hold numbers: .*--ignore=COLUMN leaves it out",
    "label\nx\n": "a column 'symbol' or columns of numbers",
    "a,label\n1,x\n2,x\n": "labels must be of two classes or more, got x",
    "a\n1\n2\n": "classify needs labels",
}


@pytest.mark.parametrize("text", WRONG_CSV)
def test_a_csv_that_does_not_fit_is_one_line_that_names_it(text: str, tmp_path):
    (tmp_path / "d.csv").write_text(text)
    with pytest.raises(ValueError, match=rf"d\.csv: .*{WRONG_CSV[text]}") as error:
        call("fit", f"--data={tmp_path / 'd.csv'}", "--task=classify", f"--out={tmp_path / 'out'}")
    assert "\n" not in str(error.value) and not (tmp_path / "out").exists()


WRONG_NPZ = {
    "inputs' are missing": ({"labels": [1]}, "lacks the array 'inputs'"),
    "unknown": ({"inputs": [[1, 2]], "x": [1]}, "has an array 'x'; it may have inputs"),
    "of objects": ({"inputs": np.array([None])}, "allow_pickle=False|pickle"),
    "a shape": ({"inputs": np.ones((2, 3, 4, 5))}, r"inputs must be \[N, T, I\] floating"),
    "lengths": ({"inputs": np.ones((2, 3, 4)), "lengths": [3, 4]}, r"integers in \[1, 3\]"),
    "labels": (
        {"inputs": np.ones((2, 3, 4)), "labels": [1]},
        "labels must be of 2 sequences, got 1",
    ),
    "steps": ({"inputs": np.ones((2, 3, 4)), "labels": [[1], [2]]}, "labels must be of 3 steps"),
    "constant": (
        {"inputs": np.ones((8, 3, 4)), "labels": [1, 2] * 4},
        "channel 0 is 1.0 throughout",
    ),
    "NaN": ({"inputs": np.full((8, 3, 4), np.nan), "labels": [1, 2] * 4}, "channel 0 holds NaN"),
    "too few": ({"inputs": np.eye(3)[None], "labels": [1]}, "two classes"),
}


@pytest.mark.parametrize("name", WRONG_NPZ)
def test_an_npz_that_does_not_fit_is_one_line_that_names_it(name: str, tmp_path):
    arrays, message = WRONG_NPZ[name]
    np.savez(tmp_path / "d.npz", **arrays)
    with pytest.raises(ValueError, match=rf"d\.npz: .*({message})") as error:
        call("fit", f"--data={tmp_path / 'd.npz'}", "--task=classify", f"--out={tmp_path / 'out'}")
    assert "\n" not in str(error.value) and not (tmp_path / "out").exists()


def test_forecasts_and_symbols_that_do_not_fit_are_refused(tmp_path):
    path, out = waves_csv(tmp_path / "d.csv", 60), f"--out={tmp_path / 'out'}"
    for arguments, message in (
        (["--task=forecast", "--window=60"], "in its first 70 %; a smaller --window fits"),
        (["--task=forecast", "--target=x"], "--target=x is not one of load, other"),
        (["--task=next-symbol"], "next-symbol needs symbols"),
        (["--task=classify", "--ignore=x"], "no column 'x' to ignore, but load, other"),
        (["--task=none"], "--task must be one of classify, forecast, next-symbol, regress or"),
        (["--task=forecast", "--resume", "--overwrite"], "exclude each other"),
    ):
        with pytest.raises((ValueError, FileNotFoundError), match=message):
            call("fit", f"--data={path}", out, *arguments)
