"""The benchmark checks answers before it times them, and writes what it measured."""

import json

import jax.numpy as jnp
import numpy as np
import pytest
from binaries import run_forks
from small_tasks import LATCH

from experiments.benchmark import gradients, online_training
from experiments.benchmark.measure import BenchmarkPlan, Measurement, check_close, check_gradient


def test_a_quick_case_prints_a_table_and_writes_its_file(tmp_path):
    arguments = ["benchmark", "--case=h", "--quick", "--repeats=1", f"--out={tmp_path}"]
    ((status, printed, errors),) = run_forks([arguments])
    assert status == 0, errors
    assert "T = 100" in printed and "answers checked" in printed
    document = json.loads((tmp_path / "benchmark.h.json").read_text())
    assert document["quick"] and document["settings"]
    assert {"versions", "machine", "date", "command"} <= document.keys()
    measurements = document["measurements"]
    assert all(m["compile_seconds"] > 0 and m["run_seconds"] > 0 for m in measurements)


def test_a_measurement_survives_json():
    found = BenchmarkPlan(3).measure("x", jnp.sin, jnp.ones(4), work=4, unit="sines", check="none")
    assert found.rate == 4 / found.run_seconds
    document = json.loads(json.dumps(found.to_json()))
    assert document.pop("rate") == found.rate and Measurement(**document) == found


def test_a_wrong_answer_has_no_time():
    assert "off by" in check_close("sum", [np.ones(3)], [np.ones(3) + 1e-9], 1e-6)
    for wrong in (np.ones(3) + 1e-3, np.array([1.0, 1.0, np.nan])):
        with pytest.raises(AssertionError, match="sum"):
            check_close("sum", [wrong], [np.ones(3)], 1e-6)
    assert "off by" in check_gradient(lambda x: jnp.sum(x * x), jnp.ones(3))


def test_a_stream_s_learners_are_checked_against_the_truncated_gradient():
    measurements = online_training.run_stream(BenchmarkPlan(repeats=1, quick=True))
    assert {m.contender.split(", ")[0] for m in measurements} == {
        "lstm_jax forward alone",
        "lstm_jax learner",
    }
    assert all("both learners against truncated: off by" in m.check for m in measurements)


def test_slopes_are_those_of_powers():
    sizes = [1, 10, 100, 1000]
    assert gradients.slope(sizes, [3.0 * n**1.5 for n in sizes]) == 1.5
    assert gradients.slope(sizes, [7.0] * 4) == 0.0
    assert gradients.slope([1], [1.0]) is None


def test_scaling_compares_the_same_trials_on_more_devices(monkeypatch):
    monkeypatch.setattr(online_training, "make_task", lambda row: LATCH)
    measurements = online_training.run_scaling(BenchmarkPlan(repeats=1, quick=True))
    assert [m.work for m in measurements] == [2 * 20, 2 * 20]
    assert all("updates one by one: off by" in m.check for m in measurements)
    assert "speed to 1 device" in measurements[1].notes
