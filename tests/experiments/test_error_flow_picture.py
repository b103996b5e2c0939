"""The picture of error flow, for random weights and during training."""

from __future__ import annotations

import dataclasses
import pathlib

import jax
import numpy as np
import pytest
from binaries import assert_is_a_picture
from helpers import assert_equal

from experiments import error_flow as picture
from lstm_jax import plots
from lstm_jax.tasks import make_task
from lstm_jax.training.trials.runner import TrialRunner
from lstm_jax.training.trials.training_loop import TrainingLoop


def test_lines_of_random_weights_are_the_papers_argument():
    """1.0 at every lag for the carrousel; below the bound, and soon gone, for small weights."""
    lines = picture.of_random_weights(60, seed=0)
    np.testing.assert_array_equal(lines["LSTM, truncated gradient"], np.ones(60))
    assert not np.array_equal(lines["LSTM, full gradient"], np.ones(60))
    for init_range in picture.INIT_RANGES:
        size = f"|w| < {init_range:g}"
        assert np.all(lines[f"fully recurrent, {size}"] <= lines[f"bound, {size}"])
    assert np.all(lines["fully recurrent, |w| < 0.2"][:10] > 0)
    assert lines["fully recurrent, |w| < 0.2"][29] < 1e-20


@pytest.fixture(scope="module")
def over_training() -> picture.Lines:
    return picture.over_training(2000, seed=0)


def test_training_changes_error_flow_except_on_the_carrousel(over_training: picture.Lines):
    for time in picture.TIMES:
        np.testing.assert_array_equal(over_training[f"LSTM, truncated gradient, {time}"], 1.0)
    for net in ("LSTM, full gradient", "fully recurrent"):
        before, midway, after = (over_training[f"{net}, {time}"] for time in picture.TIMES)
        assert not np.array_equal(before, midway) and not np.array_equal(midway, after)
    assert over_training["fully recurrent, before"][29] < 1e-20


def test_snapshots_are_those_of_a_trial():
    task = dataclasses.replace(make_task(picture.ROW), max_sequences=2000)
    loop = TrainingLoop(task)
    first, midway, last = picture.snapshots(loop, seed=0)
    runner = TrialRunner(loop, [0])
    assert_equal(first, jax.tree.map(lambda a: a[..., 0], runner.state().trials.model))
    runner.run_chunk()
    assert_equal(midway, jax.tree.map(lambda a: a[..., 0], runner.state().trials.model))
    assert_equal(last, runner.run()[0].model)


def test_the_picture_has_a_panel_for_each(tmp_path: pathlib.Path, over_training: picture.Lines):
    path = tmp_path / "error_flow.png"
    lines = picture.of_random_weights(20, seed=0)
    plots.save(picture.draw({"a": lines, "b": over_training}), path)
    assert_is_a_picture(path)
