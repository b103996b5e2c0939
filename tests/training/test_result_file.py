"""A result file is whole, valid JSON, and says all there is to say of a row's run."""

from __future__ import annotations

import datetime
import json
import math
import os
import pathlib
import re
from typing import Any

import jax
import numpy as np
import pytest
from small_tasks import COPY, LATCH

from lstm_jax.cell.parameters import Parameters, initialise
from lstm_jax.network.files import network_from_document
from lstm_jax.training.runs import result_file as results
from lstm_jax.training.runs.result_file import make_document, read_json, summarise, thin, write_json
from lstm_jax.training.trials.runner import TrialResult
from lstm_jax.training.update_rules.per_sequence import Model


def make_result(index: int, **changes: Any) -> TrialResult:
    fields: dict[str, Any] = {
        "index": index,
        "solved": True,
        "sequences": 100,
        "finite": True,
        "first_rule_sequences": None,
        "test_wrong": 0,
        "test_size": 64,
        "test_error": 0.125,
        "test_squared_error": 0.03125,
        "curve": np.float32([[50, 0.5, 1.0], [100, 0.25, 0.0]]),
        "model": None,
    }
    return TrialResult(**fields | changes)


SOLVED_LATE = {
    "sequences": 301,
    "test_wrong": 3,
    "test_error": 0.375,
    "test_squared_error": 0.15625,
}
UNSOLVED = {"solved": False, "sequences": 500, "test_wrong": 50, "test_error": 0.5}
NON_FINITE = {
    "solved": False,
    "finite": False,
    "sequences": 2,
    "test_wrong": 64,
    "test_error": math.nan,
    "test_squared_error": math.inf,
    "curve": np.float32([[2, np.nan, 1.0]]),
}
RESULTS = [
    make_result(0, first_rule_sequences=50),
    make_result(1, **SOLVED_LATE, first_rule_sequences=201),
    make_result(2, **UNSOLVED, first_rule_sequences=400),
    make_result(3, **NON_FINITE),
]


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return make_document(
        LATCH,
        RESULTS,
        recipe="paper",
        changes="",
        wall_seconds=1.5,
        seed=7,
        command="python -m x",
    )


def test_the_keys_of_a_document(document: dict[str, Any]):
    """Those promised to every reader of result files, and a few more."""
    promised = """schema_version task recipe architecture weights learning_rate trials published
        summary wall_seconds sequences_per_second seed versions machine date command"""
    more = "title recipe_changes conditions rule max_sequences network"
    assert set(document) == {*promised.split(), *more.split()}
    promised = "index solved sequences test_wrong test_size test_error finite"
    more = "first_rule_sequences test_squared_error curve"
    for trial in document["trials"]:
        assert set(trial) == {*promised.split(), *more.split()}


def test_the_values_of_a_document(document: dict[str, Any]):
    assert (document["task"], document["recipe"], document["seed"]) == ("latch", "paper", 7)
    assert document["weights"] == LATCH.architecture.num_weights
    assert document["architecture"]["num_inputs"] == 4 and document["learning_rate"] == 4.0
    assert document["published"]["mean_sequences"] == 200.0 and document["published"]["trials"] == 3
    assert document["sequences_per_second"] == round((100 + 301 + 500 + 2) / 1.5, 1)
    assert {"python", "jax", "jaxlib", "optax", "numpy", "prng"} == set(document["versions"])
    assert document["machine"]["cores"] == os.cpu_count()
    assert datetime.date.fromisoformat(document["date"])
    first, *_, last = document["trials"]
    assert first["curve"] == [[50, 0.5, 1], [100, 0.25, 0]]
    assert (last["test_error"], last["test_squared_error"]) == (None, None)  # NaN and infinity
    assert last["curve"] == [[2, None, 1]] and last["finite"] is False


def test_a_document_is_json_without_nan_and_comes_back(document: dict[str, Any], tmp_path):
    write_json(tmp_path / "latch.json", document)

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    text = (tmp_path / "latch.json").read_text()
    json.loads(text, parse_constant=refuse)
    as_json = json.loads(json.dumps(document))
    assert read_json(tmp_path / "latch.json") == as_json
    assert text.endswith("}\n") and [p.name for p in tmp_path.iterdir()] == ["latch.json"]


def test_a_summary_by_hand():
    """Means are over the solved trials; the first rule's over all that met it."""
    assert summarise(RESULTS) == {
        "trials": 4,
        "solved": 2,
        "success_rate": 50.0,
        "mean_sequences": 200.5,
        "median_sequences": 200.5,
        "first_mean_sequences": 217.0,
        "test_size": 64,
        "mean_test_wrong": 1.5,
        "max_test_wrong": 3,
        "mean_test_error": 0.25,
        "mean_test_squared_error": 0.09375,
        "non_finite": 1,
    }


def test_a_summary_of_failures_has_no_means():
    summary = summarise(RESULTS[2:])
    nothing = {name for name, value in summary.items() if value is None}
    means = {name for name in summary if "mean" in name or "median" in name or "max" in name}
    assert nothing == means - {"first_mean_sequences"}
    assert (summary["success_rate"], summary["solved"], summary["non_finite"]) == (0.0, 0, 1)


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
        assert thinned[-1, 0] == curve[-1, 0] and set(sizes) <= {
            length // points,
            length // points + 1,
        }
        # No sequence is lost: stretches weighted by their lengths have the curve's mean.
        np.testing.assert_allclose(
            np.average(thinned[:, 1:], axis=0, weights=sizes), curve[:, 1:].mean(0)
        )


# Networks --------------------------------------------------------------------------------------


def network_document(solved: bool, path: pathlib.Path) -> tuple[Parameters, dict[str, Any]]:
    """The weights of trial 3, and the document of trials 2 and 3 as it is read from its file."""
    parameters = jax.device_get(initialise(jax.random.key(1), COPY.architecture))
    found = make_result(3, model=Model(parameters, None, None, None), solved=solved)
    trials = [make_result(2, **UNSOLVED), found]
    about = {"recipe": "paper", "changes": "", "wall_seconds": 1.0, "seed": 0, "command": "x"}
    write_json(path, make_document(COPY, trials, **about))
    return parameters, read_json(path)


def test_the_first_solved_network_comes_back_to_the_last_bit(tmp_path: pathlib.Path):
    parameters, document = network_document(True, tmp_path / "copy.json")
    assert document["network"]["trial"] == 3
    architecture, found = network_from_document(document)
    assert architecture == COPY.architecture
    jax.tree.map(np.testing.assert_array_equal, found, parameters)


def test_weights_that_do_not_fit_are_refused(tmp_path: pathlib.Path):
    _, document = network_document(True, tmp_path / "copy.json")
    weights = document["network"]["parameters"]
    with pytest.raises(ValueError, match=r"parameters\.output\.cell must have shape \(3, 1\)"):
        network_from_document(
            document | {"network": {"parameters": weights | {".output.cell": [[1.0]]}}}
        )
    del weights[".output.cell"]
    with pytest.raises(ValueError, match=r"parameters lack output.cell"):
        network_from_document(document)


def test_a_row_without_a_solved_trial_has_no_network(tmp_path: pathlib.Path):
    _, document = network_document(False, tmp_path / "copy.json")
    with pytest.raises(ValueError, match="the result of copy has no solved trial"):
        network_from_document(document)


# Files -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("call", ["replace", "fsync", "chmod"])
def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(
    call: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
):
    path = tmp_path / "a.json"
    write_json(path, {"schema_version": 1})

    def fail(*arguments: Any) -> None:
        raise OSError("no space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, call, fail)
        with pytest.raises(OSError, match="no space left"):
            write_json(path, {"schema_version": 1, "more": 1})
    assert read_json(path) == {"schema_version": 1}
    assert list(tmp_path.iterdir()) == [path]
    write_json(path, {"schema_version": 1, "more": 1})
    assert read_json(path)["more"] == 1 and path.stat().st_mode & 0o777 == 0o644


def test_what_is_no_json_is_not_written(tmp_path: pathlib.Path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", {"error": math.nan})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is not JSON"),
        (b'{"schema_version": 1', "is not JSON"),
        (b"\xff\xfe\x00", "is not JSON"),
        (b"[1, 2]", "must have schema_version 1, got None"),
        (b"{}", "must have schema_version 1, got None"),
        (b'{"schema_version": 2}', "must have schema_version 1, got 2"),
        (b'{"schema_version": "1"}', "must have schema_version 1, got '1'"),
    ],
)
def test_what_is_no_result_file_is_refused(content: bytes, message: str, tmp_path: pathlib.Path):
    path = tmp_path / "a.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"{re.escape(str(path))} {message}") as error:
        read_json(path)
    assert "\n" not in str(error.value)


def test_the_schema_version_is_that_of_the_committed_files():
    folder = pathlib.Path(__file__).parents[2] / "experiments" / "results"
    for path in folder.glob("[0-9]*/*.json"):
        assert read_json(path)["schema_version"] == results.SCHEMA_VERSION, path
