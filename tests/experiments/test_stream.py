"""Learning from a table as it comes: the same numbers by steps, in one go, and after a break."""

from __future__ import annotations

import io
import itertools
import json
import pathlib

import jax
import numpy as np
import pytest
from binaries import command_of

import lstm_jax as lstm
from experiments import stream
from lstm_jax.training.host.interrupts import Interrupted

pytest.importorskip("safetensors")
ROWS, EVERY = 60, 25


@pytest.fixture(autouse=True)
def as_a_user():
    """JAX's defaults instead of the tests' stricter settings, which optax does not keep."""
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


@pytest.fixture(scope="module")
def table() -> list[str]:
    """A header and rows with gaps, with a column of text."""
    rng = np.random.default_rng(0)
    rows = [f"{np.sin(t / 3) + 5:.4f},{rng.normal():.3f},a" for t in range(ROWS)]
    rows[7], rows[9] = ",0.5,b", "5.5,nan,b"
    return ["load,noise,note\n", *(row + "\n" for row in rows)]


def call(*flags: str) -> None:
    command_of("stream").call(
        ["--target=load", "--ignore=note", "--cells=3", f"--every={EVERY}", "--quiet", *flags]
    )


def state_of(out: pathlib.Path) -> dict[str, np.ndarray]:
    from safetensors.numpy import load_file

    return load_file(out / "stream.state.safetensors")


def assert_same(out: pathlib.Path, other: pathlib.Path) -> None:
    assert (out / "stream.csv").read_bytes() == (other / "stream.csv").read_bytes()
    found, expected = state_of(out), state_of(other)
    assert {*found} == {*expected}
    for name, array in found.items():
        np.testing.assert_array_equal(array, expected[name])


@pytest.fixture(scope="module")
def at_once(table: list[str], tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    out = tmp_path_factory.mktemp("once")
    (out / "d.csv").write_text("".join(table))
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        call(f"--data={out}/d.csv", f"--out={out}")
    return out


def test_errors_are_those_of_the_written_predictions(at_once: pathlib.Path, table: list[str]):
    lines = (at_once / "stream.csv").read_text().splitlines()
    assert lines[0] == "row,load" and [int(line.split(",")[0]) for line in lines[1:]] == [
        *range(2, ROWS + 2)
    ]
    predicted = np.array([float(line.split(",")[1]) for line in lines[1:]])[:-1]
    load = np.array([float(row.split(",")[0] or "nan") for row in table[1:]])
    off = (predicted - load[1:]) ** 2
    history = json.loads((at_once / "stream.json").read_text())["history"]
    assert [rows for rows, *_ in history] == [25, 50, 60]
    for rows, error, _ in history:
        np.testing.assert_allclose(error, np.sqrt(np.nanmean(off[: rows - 1])), rtol=1e-4)


def test_a_pipe_that_goes_on_later_gives_the_same_numbers(
    at_once: pathlib.Path, table: list[str], tmp_path: pathlib.Path, monkeypatch
):
    for part in (table[1:32], table[32:]):
        monkeypatch.setattr("sys.stdin", io.StringIO("".join([table[0], *part])))
        call("--data=-", f"--out={tmp_path}", "--resume")
    assert_same(tmp_path, at_once)


def test_a_signal_at_any_time_loses_nothing(
    at_once: pathlib.Path, tmp_path: pathlib.Path, monkeypatch
):
    learn_row, count = stream.learn_row, itertools.count()

    def interrupted(*arguments):
        if next(count) == 33:
            raise KeyboardInterrupt
        return learn_row(*arguments)

    monkeypatch.setattr(stream, "learn_row", interrupted)
    flags = f"--data={at_once}/d.csv", f"--out={tmp_path}"
    with pytest.raises(Interrupted, match="after 33 rows; --resume continues"):
        call(*flags)
    with (tmp_path / "stream.csv").open("a") as file:
        file.write("half a line that a killed run has left")
    call(*flags, "--resume")
    assert_same(tmp_path, at_once)


def test_the_learner_is_that_of_the_library(table: list[str], at_once: pathlib.Path):
    """Its state is that of the network on the normalised rows, with weights that do not change."""
    flags = [f"--data={at_once}/d.csv", "--target=load", "--ignore=note", "--out=out"]
    values = command_of("stream").parse([*flags, "--cells=3"])
    net = stream.make_architecture("modern", 2, 3, 1, "identity")
    parameters = stream.draw_weights(jax.random.key(values.seed), net)
    moments = lstm.streaming.init_moments((2,))
    normalised = []
    for row in table[1:5]:
        x_t, moments = lstm.streaming.normalise(moments, [float(x) for x in row.split(",")[:2]])
        normalised.append(x_t)
    still = lstm.init_learner(net, parameters, stream.optax.identity())
    state = stream.StreamState(
        still, lstm.streaming.init_moments((2,)), *map(jax.numpy.zeros, (2, 1, 1, 3))
    )
    frozen = stream.optax.set_to_zero()
    for n, row in enumerate(table[1:5]):
        numbers = np.array([float(x) for x in row.split(",")[:2]], np.float32)
        state = stream.learn_row(net, frozen, np.array([0]), state, numbers)._replace(rows=n + 1)
    outputs, _ = lstm.apply(net, parameters, np.stack(normalised))
    mean, scale = moments.mean[0], stream.deviation(moments)[0]
    np.testing.assert_allclose(state.prediction[0], mean + scale * outputs[-1, 0], rtol=1e-5)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must begin with a header"),
        ("a,a\n1,2\n", "of different columns"),
        ("load,b\n1,2\n3\n", "line 3, must have 2 columns, got 1"),
        ("load,b\n1,x\n", "line 2, b, must be a number or empty, got 'x'"),
    ],
)
def test_a_table_that_is_none_is_refused_by_its_line(text: str, message: str, tmp_path):
    (tmp_path / "d.csv").write_text(text)
    flags = [f"--data={tmp_path}/d.csv", f"--out={tmp_path}/out", "--cells=3", "--quiet"]
    with pytest.raises(ValueError, match=message):
        command_of("stream").call(flags)
