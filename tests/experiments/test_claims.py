"""Claims beyond the tables: their variants differ in what they say, and their files are whole."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import subprocess
import sys

import jax
import numpy as np
import pytest
from binaries import assert_is_a_picture, document_of
from small_tasks import LATCH, binary_environment, make_runner

from experiments.claims import (
    CLAIMS,
    adam,
    base,
    gates,
    length,
    noise,
    other_lags,
    reach,
    time_constants,
    tolerance,
)
from experiments.rows import figures as pictures
from lstm_jax import plots
from lstm_jax.baselines.chunker import Chunker
from lstm_jax.tasks import make_task
from lstm_jax.tasks.lag import make as lag_task
from lstm_jax.training.recipes.recipe import make_recipe
from lstm_jax.training.trials.runner import TrialRunner
from lstm_jax.training.trials.training_loop import TrainingLoop
from lstm_jax.training.update_rules.base import Vmapped

ROOT = pathlib.Path(__file__).parents[2]


@pytest.mark.parametrize("row", length.ROWS_AT_100)
def test_a_longer_sequence_at_the_row_s_own_length_is_the_row_s(row: str):
    key = jax.random.key(2)
    found, expected = length.sample_longer(key, row, 100), make_task(row).sample(key, None)
    jax.tree.map(np.testing.assert_array_equal, found, expected)


@pytest.mark.parametrize("row", length.ROWS_AT_100)
def test_longer_sequences_are_longer(row: str):
    assert length.sample_longer(jax.random.key(2), row, 500).length >= 500


def test_variants_of_gate_biases_differ_in_one_bias_alone():
    for row, kind in gates.BIASES:
        paper, name = make_task(row), f"{kind}_gate_bias"
        own = getattr(paper.hyperparameters, name)
        task = gates.with_bias(row, kind, None).task
        assert getattr(task.hyperparameters, name) is None
        hyperparameters = dataclasses.replace(task.hyperparameters, **{name: own})
        assert dataclasses.replace(task, hyperparameters=hyperparameters) == dataclasses.replace(
            paper, sample=task.sample, is_correct=task.is_correct
        )
    biases = [loop.task.hyperparameters for loop in gates.variants().values()]
    assert [of.input_gate_bias for of in biases[:3]] == [(-2.0, -4.0), None, (2.0, 4.0)]


def test_a_comparison_runs_each_variant_as_its_own_trials_would(monkeypatch: pytest.MonkeyPatch):
    """The numbers are those of the same trials run by themselves, under the variant's label."""
    monkeypatch.setattr(base, "TrialRunner", make_runner)
    variants = {"cut": base.by_descent(LATCH), "whole": base.by_descent(LATCH, "full")}
    documents = base.compare(variants, base.Settings(trials=2, quiet=True))["variants"]
    assert [document["recipe"] for document in documents] == list(variants)
    for document, loop in zip(documents, variants.values(), strict=True):
        alone = document_of(LATCH, make_runner(loop, range(2)).run())
        assert document["trials"] == alone["trials"]
    assert documents[0]["trials"] != documents[1]["trials"]


def test_the_paper_s_descent_is_its_recipe_s():
    """To the last bit, as far as 100 sequences take it."""
    task = dataclasses.replace(LATCH, max_sequences=100)
    ours, recipe_s = (
        TrialRunner(loop, range(2)).run() for loop in (base.by_descent(task), TrainingLoop(task))
    )
    for a, b in zip(ours, recipe_s, strict=True):
        jax.tree.map(np.testing.assert_array_equal, a.model, b.model)


def test_the_chunker_s_variants_differ_in_noise_alone():
    """At 0 % the stream is 2a's, at 100 % it is 2b's."""
    loops = noise.variants()
    assert [label.split()[1] for label in loops] == [f"{x:.1%}" for x in noise.NOISE]
    methods = {loop.update_rule for loop in loops.values()}
    assert methods == {Vmapped(Chunker(5, 1.0, 2.0))}
    tasks = [loop.task for loop in loops.values()]
    for task in tasks:
        assert (task.rule, task.max_sequences) == (tasks[0].rule, tasks[0].max_sequences)
    middle = lambda task: task.sample_batch(jax.random.key(0), 2000).inputs[:, 1:]
    is_fixed = [np.mean(np.asarray(middle(task)) == np.arange(3)[None]) for task in tasks]
    assert is_fixed[0] == 1.0 and abs(is_fixed[-1] - 1 / 3) < 0.03
    assert sorted(is_fixed, reverse=True) == is_fixed


def test_time_constants_are_those_of_the_labels():
    for label, loop in time_constants.variants().items():
        lag, _, kind = label.partition(", ")
        longest = int(lag.split()[-1])
        task = loop.task
        assert task.max_length == longest + 1
        if kind != "LSTM":
            span = int(kind.split()[-1])
            np.testing.assert_allclose(1 / (1 - np.array(task.architecture.time_constants)), span)


def test_at_its_own_lag_a_net_errs_as_in_its_trial_s_own_test(monkeypatch: pytest.MonkeyPatch):
    """The test is the trial's final one, and the state goes over to it whole."""
    monkeypatch.setattr(other_lags, "TESTED_LAGS", (3, 4))
    monkeypatch.setattr(other_lags, "TrialRunner", make_runner)
    loop = make_recipe("paper").loop(lag_task(3, 3))
    results = [r for r in make_runner(loop, range(3)).run() if r.solved]
    found = other_lags.wrong_at_other_lags(loop, base.Settings(3))
    assert found["solved"] == len(results) > 0
    assert found["fraction_wrong"][0] == np.mean([r.test_wrong / r.test_size for r in results])


def test_time_constants_made_for_one_lag_do_not_fit_others(monkeypatch: pytest.MonkeyPatch):
    """The paper's claim (section 2), where the LSTM's carrousel keeps a bit for any time."""
    monkeypatch.setattr(other_lags, "TESTED_LAGS", (10, 40))
    loops = time_constants.at_lag(40, 40)
    with jax.numpy_dtype_promotion("standard"):  # Adam mixes dtypes, which tests forbid
        lstm, baseline = (
            other_lags.wrong_at_other_lags(loops[label], base.Settings(2))["fraction_wrong"]
            for label in ("LSTM", "time constants of 40")
        )
    assert lstm == [0.0, 0.0]
    assert baseline[0] > 0.5 and baseline[1] < 0.01


def test_adam_trains_nets_of_about_the_lstm_s_size_on_the_lstm_s_task():
    loops = adam.variants()
    for label, loop in loops.items():
        row = label.split(",")[0]
        own, paper = loop.task, make_task(row)
        assert abs(own.architecture.num_weights / paper.architecture.num_weights - 1) < 0.05
        assert (own.name, own.rule, own.first_rule) == (row, paper.rule, paper.first_rule)
        example, expected = (task.sample(jax.random.key(1), None) for task in (own, paper))
        jax.tree.map(np.testing.assert_array_equal, example, expected)


def test_adam_s_first_step_is_its_rate():
    """In every weight that has a gradient, by Adam's definition, whatever the gradient's size."""
    loop = adam.variants()["3a-100-3, BPTT by Adam at 0.01"]
    method = loop.update_rule.rule
    before = method.init(jax.random.key(0))
    example = loop.task.sample(jax.random.key(1), None)
    with jax.numpy_dtype_promotion("standard"):  # Adam mixes dtypes, which tests forbid
        after, _ = method.train_step(before, example, 0)
    step = np.abs(after.weights.recurrent - before.weights.recurrent)[:, -1]  # into the output
    np.testing.assert_allclose(step, 0.01, rtol=1e-3)


def test_the_tolerances_variants_are_what_their_labels_say():
    loops = tolerance.variants()
    for label, loop in loops.items():
        method, task = loop.update_rule.rule, loop.task
        rate, init_range = task.hyperparameters.learning_rate, task.hyperparameters.init_range
        found = f"p = {task.max_length}, a = {rate:g}, |w| < {init_range:g}"
        assert label == f"{found}, tolerance {method.tolerance:g}"
        assert method.task is task
        weights = method.init(jax.random.key(0)).weights
        largest = max(np.abs(leaf).max() for leaf in jax.tree.leaves(weights))
        assert init_range / 2 < largest < init_range
    assert len(loops) == 4 * 2 * 3


def test_what_is_solved_reaches_to_the_end():
    """RTRL with a tolerance, on task 2a with p = 4; before that, its last error is large."""
    loop = tolerance.changed("2a-4.rtrl-10", 50_000, 0.2, 0.2)
    loop = dataclasses.replace(loop, chunk=500)
    found = reach.reach(loop, base.Settings(2))
    assert found["solved"] == 2
    assert found["sequences"] == [500 * (i + 1) for i in range(len(found["reach"]))]
    assert found["reach"][-1] == [4, 4]
    assert np.max(found["last_error"][-1]) < 0.25 < np.min(found["last_error"][0])


def test_what_c_is_told_is_in_its_weights_from_the_first_symbols():
    """Its hidden unit is f(w) of them, from 0."""
    loop = reach.variants()["chunker, |w| < 1, tolerance 0"]
    model = TrialRunner(loop, range(2)).state().trials.model
    found = reach._look(loop, model, 2)
    of_both = jax.nn.sigmoid(model.chunker.hidden_input[-2:])  # x and y are the last symbols
    np.testing.assert_allclose(found["told"], np.abs(of_both[0] - of_both[1]), rtol=1e-5)
    np.testing.assert_allclose(found["c_hidden"], of_both.min(0), rtol=1e-5)


COMMITTED = ROOT / "experiments" / "results" / "claims"


@pytest.mark.parametrize("claim", CLAIMS)
def test_a_committed_claim_can_be_drawn_again(claim: str, tmp_path: pathlib.Path):
    document = json.loads((COMMITTED / f"claim.{claim}.json").read_text())
    plots.save(CLAIMS[claim].draw(document), tmp_path / "a.png")
    assert_is_a_picture(tmp_path / "a.png")


def test_every_point_of_a_comparison_is_in_its_picture():
    document = json.loads((COMMITTED / "claim.xor.json").read_text())
    (axes,) = pictures.sequences_to_success(document["variants"]).axes
    drawn = sum(len(line.get_xdata()) for line in axes.lines if line.get_marker() in "ox")
    assert drawn == sum(len(variant["trials"]) for variant in document["variants"])


def test_the_binary_refuses_to_replace_a_file(tmp_path: pathlib.Path):
    (tmp_path / "claim.length.json").write_text("mine")
    done = subprocess.run(
        [sys.executable, "-m", "experiments.claims", "--claim=length", f"--out={tmp_path}"],
        cwd=ROOT,
        env=binary_environment(),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2 and "--overwrite replaces it" in done.stderr
    assert done.stderr.count("\n") == 1 and (tmp_path / "claim.length.json").read_text() == "mine"
