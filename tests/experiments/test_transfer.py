"""Transfer: a task begins with the hidden layer of its sibling's network, and all else is equal."""

from __future__ import annotations

import importlib.metadata
import json
import pathlib

import jax
import numpy as np
import pytest
from binaries import assert_is_a_picture, command_of
from scipy import stats
from small_tasks import LATCH, assert_same_result, make_runner, sgd, take_trial

from experiments.own_data.tasks import Part, Prepared
from experiments.real import page, transfer, trials, vowels
from experiments.real.base import Data
from lstm_jax import make_task, plots, softmax_cross_entropy
from lstm_jax.cell.units import Layer
from lstm_jax.training.fit import Epoch, OnEpoch
from lstm_jax.training.recipes.recipe import make_recipe
from lstm_jax.training.trials.records import RunState

RNG = np.random.default_rng(0)
COUNTS = {
    "unit": "sequences",
    "sibling": [1000, 2000, 3000],
    "scratch": [4000, 8000, 3000],
    "transfer": [1000, 2000, None],
}


def layers(state: RunState) -> list[Layer]:
    return [take_trial(state.trials.model.parameters.layer, i) for i in range(3)]


def test_a_run_with_its_own_layers_is_the_same_run():
    runner, expected = make_runner(sgd(LATCH), range(3)), make_runner(sgd(LATCH), range(3)).run()
    state = runner.state()
    runner.restore(transfer.with_layers(state, layers(state)))
    for one, other in zip(runner.run(), expected, strict=True):
        assert_same_result(one, other)


def test_a_run_with_other_layers_differs_in_nothing_else():
    state, other = (make_runner(sgd(LATCH), range(3), seed=seed).state() for seed in (0, 1))
    changed = transfer.with_layers(state, layers(other))
    jax.tree.map(np.testing.assert_array_equal, layers(changed), layers(other))
    back = transfer.with_layers(changed, layers(state))
    jax.tree.map(np.testing.assert_array_equal, back, state)


def test_a_sibling_s_hidden_layer_fits_the_task():
    for pair in transfer.PAIRS.values():
        transfer.check_alike(*(make_recipe(recipe).apply(make_task(row)) for row, recipe in pair))
    with pytest.raises(ValueError, match=r"^6a and 6b must have like inputs and hidden layers$"):
        transfer.check_alike(make_task("6a"), make_task("6b"))


def test_every_utterance_is_of_one_of_the_groups_of_speakers():
    parts = [
        Part(
            [RNG.normal(size=(2, 1)) for _ in range(n)],
            [np.array(i % 9, np.int32) for i in range(n)],
        )
        for n in (18, 20, 9)
    ]
    prepared = Prepared(parts, 9, False, {})
    data = Data(prepared, 1, softmax_cross_entropy, lambda _: {}, {}, {})
    groups = [vowels.of_speakers(data, speakers).prepared for speakers in transfer.SPEAKERS]
    assert [group.num_outputs for group in groups] == [5, 4]
    for number, part in enumerate(parts):
        found = {}
        for group, speakers in zip(groups, transfer.SPEAKERS, strict=True):
            inputs, targets = group.parts[number]
            assert {target.dtype for target in targets} == {np.dtype(np.int32)}
            found |= {x.tobytes(): y + speakers.start for x, y in zip(inputs, targets, strict=True)}
        assert found == {x.tobytes(): y for x, y in zip(*part, strict=True)}


def test_epochs_are_counted_until_the_first_low_loss():
    scores = [0.9, 0.5, 0.2, 0.6, 0.1]

    def train(seed: int, *, on_epoch: OnEpoch) -> trials.Trained[int]:
        for number, score in enumerate(scores, 1):
            epoch = Epoch(number, len(scores), 0.0, score, score, number, 0.0)
            on_epoch(epoch, trials.FitState(number, (), number, score, number, number, number))
        return trials.Trained(0, 0, 0.0, 0, 0, 0.0)

    assert trials.train_until(0.5, train, 0) == (2, 2)
    assert trials.train_until(0.05, train, 0) == (None, None)


def test_the_ratio_s_interval_is_student_s_of_the_logarithms():
    scratch, factors = RNG.integers(1000, 9000, 8), np.exp(RNG.normal(size=8))
    after = scratch * factors
    found = page.ratio({"scratch": [*scratch, 1000, None], "transfer": [*after, None, 1000]})
    expected = stats.ttest_1samp(np.log(factors), 0).confidence_interval(0.95)
    np.testing.assert_allclose(np.log(found), [np.log(factors).mean(), *expected], rtol=1e-6)


def document(**changes) -> dict:
    about = {"date": "today", "versions": {"jax": "0"}, "machine": {"cpu": "a CPU"}}
    return {"trials": 3, "seed": 0, "pairs": {"a-b": COUNTS}} | about | changes


def test_the_table_counts_the_trials_that_succeeded(tmp_path: pathlib.Path):
    cells = page.transfer_table(document()).splitlines()[2].strip("| ").split(" | ")
    assert cells == ["a-b", "sequences", "3: 2,000", "3: 5,000", "2: 1,500", "0.25 (0.25 to 0.25)"]
    plots.save(page.draw_transfer(document()), tmp_path / "a.png")
    assert_is_a_picture(tmp_path / "a.png")


def test_a_resumed_run_does_what_is_missing(tmp_path: pathlib.Path, monkeypatch):
    done = []

    def run(pair: str, values) -> dict:
        done.append(pair)
        if len(done) == 2:
            raise KeyboardInterrupt
        return {name: COUNTS[name] for name in ("sibling", "scratch", "transfer")}

    monkeypatch.setattr(transfer, "transfer_task", run)
    monkeypatch.setattr(transfer, "configure", lambda: None)
    flags = ["--pairs=3a-3c,6a-6b", f"--out={tmp_path}", "--quiet", "--trials=3"]
    with pytest.raises(KeyboardInterrupt):
        command_of("real.transfer").call(flags)
    with pytest.raises(ValueError, match="of the same seed"):
        command_of("real.transfer").call([*flags, "--seed=1", "--resume"])
    command_of("real.transfer").call([*flags, "--resume"])
    assert done == ["3a-3c", "6a-6b", "6a-6b"]
    found = json.loads((tmp_path / "real.transfer.json").read_text())
    assert found["pairs"] == {"3a-3c": COUNTS, "6a-6b": COUNTS}


def test_a_missing_package_is_noticed_before_the_first_pair(tmp_path: pathlib.Path, monkeypatch):
    def missing(package: str) -> None:
        raise importlib.metadata.PackageNotFoundError(package)

    monkeypatch.setattr(importlib.metadata, "files", missing)
    monkeypatch.setattr(transfer, "configure", lambda: None)
    with pytest.raises(ImportError, match=r"pip install 'lstm_jax\[data\]'"):
        command_of("real.transfer").call([f"--out={tmp_path / 'out'}"])
    assert not [*tmp_path.iterdir()]
