"""Sweeps: each trial's settings are its own, and its line of the file says what became of it."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import subprocess
import sys
from unittest import mock

import jax
import numpy as np
import pytest
from binaries import assert_is_a_picture
from lstm_jax.training.recipes.random_search import SETTINGS, SearchSpace
from small_tasks import LATCH, binary_environment, make_runner, trial_key

from experiments.search import flags as search
from experiments.search import sweep
from lstm_jax import plots
from lstm_jax.tasks import make_task
from lstm_jax.training.runs.result_file import read_json
from lstm_jax.training.trials.training_loop import INITIAL_WEIGHTS

ROOT = pathlib.Path(__file__).parents[2]


def test_the_binary_sweeps_each_shape(tmp_path: pathlib.Path):
    """Settings depend on seed and index alone; what is done is neither repeated nor replaced."""
    command = [
        sys.executable,
        "-m",
        "experiments.search.sweep",
        f"--out={tmp_path}",
        "--blocks=2x2,3x1",
    ]
    command += ["--trials=9", "--max_sequences=20", "--devices=1", "--output_gate_bias=-1,0"]
    run = lambda *flags: subprocess.run(
        [*command, *flags],
        cwd=ROOT,
        env=binary_environment(),
        capture_output=True,
        text=True,
    )
    done = run()
    assert done.returncode == 0, done.stderr
    space = SearchSpace((0.1, 10.0), (0.05, 2.0), (-6.0, 2.0), (-1.0, 0.0))
    for shape, num_blocks in (("2x2", 2), ("3x1", 3)):
        document = read_json(tmp_path / f"sweep.6a.{shape}.json")
        assert f"6a, blocks {shape}: 0 solved; best:" in done.stdout
        assert document["seed"] == 0 and "--blocks=2x2,3x1" in document["command"]
        for i, row in enumerate(document["trials"]):
            trial = dict(zip(document["columns"], row, strict=True))
            assert (trial["trial"], trial["sequences"], trial["solved"]) == (i, 20, 0)
            assert 0 < trial["error"] < 1 and 0 <= trial["wrong in test"] <= document["test_size"]
            key = jax.random.fold_in(jax.random.fold_in(trial_key(i), INITIAL_WEIGHTS), SETTINGS)
            drawn = space.draw(key, make_task("6a").hyperparameters, num_blocks)
            found = [
                value for name, value in trial.items() if "gate" in name or name[:5] == "learn"
            ]
            expected = [drawn.learning_rate, *drawn.input_gate_bias, *drawn.output_gate_bias]
            np.testing.assert_allclose(found, expected, rtol=1e-5)
        assert_is_a_picture(tmp_path / f"sweep.6a.{shape}.png")
    told = [line for line in done.stdout.splitlines(True) if not line.startswith("wrote ")]
    assert run("--resume").stdout == "".join(told)
    assert "sweep.6a.2x2.json exists; --overwrite replaces it" in run().stderr
    assert "has space {" in run("--resume", "--learning_rate=1,2").stderr


@pytest.fixture(scope="module")
def document() -> dict:
    """Of a sweep of a small task, of which the second trial's numbers became NaN."""
    space = SearchSpace(learning_rate=(0.1, 8.0), input_gate_bias=(-2.0, 0.0))
    options = sweep.Sweep(pathlib.Path(), trials=9, space=space, max_sequences=200)
    with mock.patch.object(sweep, "make_task", lambda name: LATCH):
        trials = make_runner(options.loop("sweep.latch.1x1"), range(9)).run()
        trials[1] = dataclasses.replace(trials[1], finite=False)
        return json.loads(json.dumps(options.document("sweep.latch.1x1", trials, 1.0)))


def test_the_best_come_first_and_what_is_not_finite_not_at_all(document: dict):
    trials = [dict(zip(document["columns"], t, strict=True)) for t in document["trials"]]
    assert trials[1]["error"] is None and document["non_finite"] == 1
    assert 1 < document["solved"] < 7
    displayed = [trials[int(line.split()[0])] for line in sweep.best(document).splitlines()[2:]]
    assert len(displayed) == 8 and trials[1] not in displayed
    solved, unsolved = ([t for t in displayed if t["solved"] == is_solved] for is_solved in (1, 0))
    assert displayed == solved + unsolved
    for some, name in ((solved, "sequences"), (unsolved, "error")):
        assert [t[name] for t in some] == sorted(t[name] for t in some)


def test_a_picture_with_a_trial_that_is_not_finite(document: dict, tmp_path: pathlib.Path):
    plots.save(sweep.pictures.sweep(document), tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes()[:4] == b"\x89PNG"


def test_shapes():
    for blocks in ((2, 2), (1,), (4, 4, 4)):
        assert search.blocks_of(search.shape_of(blocks)) == blocks
