"""A result file is complete, valid JSON, from which everything about a run can be read."""

from __future__ import annotations

import datetime
import json
import math
import os
import pathlib
import re

import jax
import numpy as np
import pytest
from small_tasks import COPY, LATCH

from lstm_jax.cell.parameters import initialise
from lstm_jax.network.files import network_from_document
from lstm_jax.training.runs.result_file import (
    complete,
    make_document,
    pack_curve,
    read_json,
    read_result,
    summarise,
    thin,
    unpack_curve,
    write_json,
)
from lstm_jax.training.trials.runner import TrialResult
from lstm_jax.training.update_rules.per_sequence import Model

FIELDS: dict = {
    "index": 0,
    "solved": True,
    "sequences": 100,
    "finite": True,
    "first_rule_sequences": 50,
    "test_wrong": 0,
    "test_size": 64,
    "test_error": 0.125,
    "test_squared_error": 0.03125,
    "curve": np.float32([[50, 0.5, 1.0], [100, 0.25, 0.0]]),
    "model": None,
}
LATE = {"index": 1, "sequences": 301, "test_wrong": 3, "first_rule_sequences": 201}
LATE |= {"test_error": 0.375, "test_squared_error": 0.15625}
UNSOLVED = {"index": 2, "solved": False, "sequences": 500, "first_rule_sequences": 400}
NON_FINITE = UNSOLVED | {"index": 3, "finite": False, "first_rule_sequences": None}
NON_FINITE |= {"test_error": math.nan, "test_squared_error": math.inf}
NON_FINITE |= {"curve": np.float32([[2, np.nan, 1.0]])}
RESULTS = [TrialResult(**FIELDS | fields) for fields in ({}, LATE, UNSOLVED, NON_FINITE)]
ABOUT = {"recipe": "paper", "changes": "", "wall_seconds": 1.5, "seed": 7, "command": "x"}


@pytest.fixture
def written(tmp_path: pathlib.Path) -> pathlib.Path:
    """The result file of four trials."""
    write_json(tmp_path / "latch.json", make_document(LATCH, RESULTS, **ABOUT))
    return tmp_path / "latch.json"


def test_a_file_contains_nothing_that_follows_from_the_rest(written: pathlib.Path):
    document = json.loads(written.read_text())
    fields = """schema_version task title published recipe changes architecture hyperparameters rule
        max_sequences test_size trials network wall_seconds seed versions machine date command
        commit"""
    assert list(document) == fields.split()
    fields = """index sequences test_wrong solved finite first_rule_sequences test_error
        test_squared_error curve"""
    assert all(list(trial) == fields.split() for trial in document["trials"])


def test_the_values_of_a_file(written: pathlib.Path):
    document = read_result(written)
    assert (document["task"], document["recipe"], document["seed"]) == ("latch", "paper", 7)
    assert document["architecture"]["num_inputs"] == 4
    hyperparameters = document["hyperparameters"]
    assert (hyperparameters["learning_rate"], hyperparameters["loss"]["squared"]) == (4.0, 1.0)
    assert document["published"]["mean_sequences"] == 200.0 and document["test_size"] == 64
    assert {"python", "jax", "jaxlib", "optax", "numpy", "prng"} == set(document["versions"])
    assert document["machine"]["cores"] == os.cpu_count()
    assert datetime.date.fromisoformat(document["date"])
    first, *_, last = document["trials"]
    assert first["curve"] == [[50, 0.5, 1], [100, 0.25, 0]]
    assert (last["test_error"], last["test_squared_error"]) == (None, None)  # NaN and infinity
    assert last["curve"] == [[2, None, 1]] and last["finite"] is False


def test_a_file_is_one_line_of_json_without_nan(written: pathlib.Path):
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    text = written.read_text()
    json.loads(text, parse_constant=refuse)
    assert (
        text.endswith("}\n") and text.count("\n") == 1 and [*written.parent.iterdir()] == [written]
    )


def test_a_summary_by_hand(written: pathlib.Path):
    """Means are over the solved trials; the first rule's over all that met it."""
    assert read_result(written)["summary"] == {
        "trials": 4,
        "solved": 2,
        "success_rate": 50.0,
        "median_sequences": 200.5,
        "first_mean_sequences": 217.0,
        "max_test_wrong": 3,
        "mean_sequences": 200.5,
        "mean_test_wrong": 1.5,
        "mean_test_error": 0.25,
        "mean_test_squared_error": 0.09375,
    }


def test_a_summary_of_failures_has_no_means():
    summary = summarise(complete(make_document(LATCH, RESULTS[2:], **ABOUT))["trials"])
    counts = {"trials": 2, "solved": 0, "success_rate": 0.0, "first_mean_sequences": 400.0}
    assert summary == dict.fromkeys(summary) | counts


def test_thin_keeps_short_curves_and_averages_long_ones():
    rng = np.random.default_rng(0)
    for length, points in ((0, 5), (1, 5), (5, 5), (6, 5), (250, 100), (99, 100)):
        curve = np.column_stack([np.arange(1, length + 1) * 1000, rng.random((length, 2))])
        thinned = thin(curve, points)
        assert len(thinned) == min(length, points)
        if length <= points:
            np.testing.assert_array_equal(thinned, curve)
            continue
        sizes = np.diff(thinned[:, 0], prepend=0) / 1000
        assert thinned[-1, 0] == curve[-1, 0]
        assert set(sizes) <= {length // points, length // points + 1}
        # No sequence is lost: segments weighted by their lengths have the curve's mean.
        mean = np.average(thinned[:, 1:], axis=0, weights=sizes)
        np.testing.assert_allclose(mean, curve[:, 1:].mean(0))


def test_a_packed_curve_is_short_and_has_its_points():
    points = [[1000 * (i + 1), 0.123456 / (i + 1), 0.5] for i in range(99)] + [[99_001, 0.0, 0.0]]
    packed = pack_curve(points)
    assert packed["sequences"] == [[1000, 99], [1, 1]]
    found = unpack_curve(packed)
    assert [p[0] for p in found] == [p[0] for p in points]
    np.testing.assert_allclose(found, points, rtol=5e-4)
    assert unpack_curve(pack_curve([])) == []


@pytest.mark.parametrize(
    "column",
    [
        {"sequences": [[1000, 3]]},
        {"sequences": [[1000, 10**15]]},
        {"sequences": [1000, 2000]},
        {"sequences": [[-1, 2]]},
        {"error": [0.5]},
        {"wrong": [0.5, "none"]},
        {"wrong": None},
    ],
)
def test_columns_that_are_not_a_curve_are_refused(column: dict):
    packed = {"sequences": [[1000, 2]], "error": [0.5, 0.25], "wrong": [1, 0]} | column
    with pytest.raises(ValueError, match=r"a\.json must have"):
        unpack_curve(packed, "a.json")


# Networks --------------------------------------------------------------------------------------


def test_the_first_solved_network_comes_back_to_the_last_bit(tmp_path: pathlib.Path):
    parameters = jax.device_get(initialise(jax.random.key(1), COPY.architecture))
    solved = TrialResult(**FIELDS | {"index": 3, "model": Model(parameters, None, None, None)})
    write_json(tmp_path / "a.json", make_document(COPY, [RESULTS[2], solved], **ABOUT))
    document = read_result(tmp_path / "a.json")
    assert document["network"]["trial"] == 3
    architecture, found = network_from_document(document)
    assert architecture == COPY.architecture
    jax.tree.map(np.testing.assert_array_equal, found, parameters)

    weights = document["network"]["parameters"]
    weights[".output.cell"] = [[1.0]]
    with pytest.raises(ValueError, match=r"parameters\.output\.cell must have shape \(3, 1\)"):
        network_from_document(document)
    del weights[".output.cell"]
    with pytest.raises(ValueError, match=r"parameters lack output.cell"):
        network_from_document(document)


def test_a_row_without_a_solved_trial_keeps_its_first_finite_network():
    """...because that is where `diagnose` is needed; without the LSTM's there is none."""
    networks = [jax.device_get(initialise(jax.random.key(n), COPY.architecture)) for n in range(3)]
    models = [Model(parameters, None, None, None) for parameters in networks]
    fields = ({"finite": False}, {}, {})
    results = [
        TrialResult(**FIELDS | UNSOLVED | changes | {"index": i, "model": model})
        for i, (changes, model) in enumerate(zip(fields, models, strict=True))
    ]
    document = make_document(COPY, results, **ABOUT)
    assert document["network"]["trial"] == 1
    jax.tree.map(np.testing.assert_array_equal, network_from_document(document)[1], networks[1])
    with pytest.raises(ValueError, match="the result of copy has no network"):
        network_from_document(make_document(COPY, RESULTS[2:], **ABOUT))


# Files -----------------------------------------------------------------------------------------


def test_what_json_has_no_word_for_is_not_written(tmp_path: pathlib.Path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", {"error": math.nan})
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is not JSON"),
        (b'{"schema_version": 2', "is not JSON"),
        (b"\xff\xfe\x00", "is not JSON"),
        (b"[" * 100_000, "is not JSON: it nests too deeply"),
        (b"[1, 2]", "must hold a JSON object, got list"),
        (b"{}", "must have schema_version 2, got None"),
        (b'{"schema_version": "2"}', "must have schema_version 2, got '2'"),
        (b'{"schema_version": 1}', "must have schema_version 2, got 1: an older format"),
    ],
)
def test_other_files_are_refused_in_one_line(content: bytes, message: str, tmp_path: pathlib.Path):
    path = tmp_path / "a.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"{re.escape(str(path))} {message}") as error:
        read_json(path)
    assert "\n" not in str(error.value)
