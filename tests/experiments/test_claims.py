"""Claims beyond the tables: their variants differ as stated, and their files can be drawn."""

from __future__ import annotations

import dataclasses
import json
import pathlib

import jax
import numpy as np
import pytest
from binaries import assert_is_a_picture, command_of
from small_tasks import LATCH, make_runner

from experiments.claims import CLAIMS, base, comparisons, lags
from experiments.claims.base import ClaimOptions
from lstm_jax import plots
from lstm_jax.baselines.chunker import Chunker
from lstm_jax.tasks import make_task, replace_hyperparameters
from lstm_jax.training.trials.runner import TrialRunner
from lstm_jax.training.trials.training_loop import TrainingLoop
from lstm_jax.training.update_rules.base import Vmapped

COMMITTED = pathlib.Path(base.__file__).parents[1] / "results" / "claims"


def committed(claim: str) -> pathlib.Path:
    """Return the path of a claim's result, which exists once the claim has been run."""
    return COMMITTED / f"claim.{claim}.json"


@pytest.mark.parametrize("row", lags.ROWS_AT_100)
def test_longer_sequences_are_longer_and_the_row_s_at_its_length(row: str):
    key = jax.random.key(2)
    found, expected = lags.sample_longer(key, row, 100), make_task(row).sample(key, None)
    jax.tree.map(np.testing.assert_array_equal, found, expected)
    assert lags.sample_longer(key, row, 500).length >= 500


def test_variants_of_gate_biases_differ_in_one_bias_alone():
    loops = iter(comparisons.gates().values())
    for row, gate in comparisons.GATES:
        paper, name = make_task(row), f"{gate}_gate_bias"
        published = getattr(paper.hyperparameters, name)
        for bias in (published, None, tuple(-b for b in published)):
            task = next(loops).task
            assert getattr(task.hyperparameters, name) == bias
            hyperparameters = dataclasses.replace(task.hyperparameters, **{name: published})
            same = {"sample": paper.sample, "is_correct": paper.is_correct}
            assert dataclasses.replace(task, hyperparameters=hyperparameters, **same) == paper


def test_blocks_have_the_sizes_and_biases_of_their_labels():
    for label, loop in comparisons.blocks().items():
        row, size, _, kind = label.split(", ")
        net, given = loop.task.architecture, loop.task.hyperparameters
        assert loop.task.name == row and len({*net.blocks}) == 1
        assert size == f"{net.num_blocks} x {net.blocks[0]} cells"
        assert f"{net.num_weights} weights" in label and given.output_gate_bias is None
        falls = range(net.num_blocks) if kind == "falling biases" else [0] * net.num_blocks
        assert given.input_gate_bias == tuple(-2.0 * (j + 1) for j in falls)


def test_a_comparison_runs_each_variant_as_separate_trials(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(comparisons, "TrialRunner", make_runner)
    slow = replace_hyperparameters(LATCH, learning_rate=2.0)
    variants = {"cut": TrainingLoop(LATCH), "slow": TrainingLoop(slow)}
    claim = comparisons.compare_trials(lambda: variants)
    found = claim.run(ClaimOptions(trials=2, quiet=True))["variants"]
    assert list(found) == list(variants)
    for one, loop in zip(found.values(), variants.values(), strict=True):
        alone = make_runner(loop, range(2)).run()
        assert [trial["sequences"] for trial in one["trials"]] == [r.sequences for r in alone]
        assert [trial["solved"] for trial in one["trials"]] == [r.solved for r in alone]
    assert found["cut"]["trials"] != found["slow"]["trials"]


def test_the_chunker_s_variants_differ_in_noise_alone():
    """At 0 % the stream is 2a's, at 100 % it is 2b's."""
    loops = comparisons.noise()
    assert [label.split()[1] for label in loops] == [f"{x:.1%}" for x in comparisons.NOISE]
    assert {loop.update_rule for loop in loops.values()} == {Vmapped(Chunker(5, 1.0, 2.0))}
    tasks = [loop.task for loop in loops.values()]
    assert len({(task.rule, task.max_sequences) for task in tasks}) == 1
    middle = lambda task: task.sample_batch(jax.random.key(0), 2000).inputs[:, 1:]
    is_fixed = [np.mean(np.asarray(middle(task)) == np.arange(3)[None]) for task in tasks]
    assert is_fixed[0] == 1.0 and abs(is_fixed[-1] - 1 / 3) < 0.03
    assert sorted(is_fixed, reverse=True) == is_fixed


def test_time_constants_are_those_of_the_labels():
    for label, loop in comparisons.time_constants().items():
        lag, _, net = label.partition(", ")
        task = loop.task
        assert task.max_length == int(lag.split()[-1]) + 1
        if net != "LSTM":
            span = int(net.split()[-1])
            np.testing.assert_allclose(1 / (1 - np.array(task.architecture.time_constants)), span)


def test_at_the_trained_lag_a_net_has_its_final_test_s_errors(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(lags, "TESTED_LAGS", (3, 4))
    monkeypatch.setattr(lags, "TrialRunner", make_runner)
    loop = TrainingLoop(comparisons.lag_task(3, 3))
    results = [r for r in make_runner(loop, range(3)).run() if r.solved]
    found = lags.measure_at_lags(loop, ClaimOptions(3))
    assert found["solved"] == len(results) > 0
    assert found["fraction_wrong"][0] == np.mean([r.test_wrong / r.test_size for r in results])


def test_time_constants_for_one_lag_do_not_fit_others(monkeypatch: pytest.MonkeyPatch):
    """The paper's claim (section 2), where the LSTM's carrousel keeps a bit for any time."""
    monkeypatch.setattr(lags, "TESTED_LAGS", (10, 40))
    loops = comparisons.at_lag(40, 40)
    with jax.numpy_dtype_promotion("standard"):  # Adam mixes dtypes, which tests forbid
        lstm, baseline = (
            lags.measure_at_lags(loops[label], ClaimOptions(2))["fraction_wrong"]
            for label in ("LSTM", "time constants of 40")
        )
    assert lstm == [0.0, 0.0]
    assert baseline[0] > 0.5 and baseline[1] < 0.01


def test_adam_trains_nets_of_about_the_lstm_s_size_on_the_lstm_s_task():
    for label, loop in comparisons.adam().items():
        row = label.split(",")[0]
        task, paper = loop.task, make_task(row)
        assert abs(task.architecture.num_weights / paper.architecture.num_weights - 1) < 0.05
        assert (task.name.removesuffix(".bptt"), task.rule, task.first_rule) == (
            row,
            paper.rule,
            paper.first_rule,
        )
        example, expected = (t.sample(jax.random.key(1), None) for t in (task, paper))
        jax.tree.map(np.testing.assert_array_equal, example, expected)


def test_adam_s_first_step_is_its_rate():
    """In every weight that has a gradient, by Adam's definition, whatever the gradient's size."""
    loop = comparisons.adam()["3a-100-3, BPTT by Adam at 0.01"]
    rule = loop.update_rule.rule
    before = rule.init(jax.random.key(0))
    example = loop.task.sample(jax.random.key(1), None)
    with jax.numpy_dtype_promotion("standard"):  # Adam mixes dtypes, which tests forbid
        after, _ = rule.train_step(before, example, 0)
    step = np.abs(after.weights.recurrent - before.weights.recurrent)[:, -1]  # into the output
    np.testing.assert_allclose(step, 0.01, rtol=1e-3)


def test_variants_of_the_tolerance_are_those_of_their_labels():
    loops = comparisons.tolerance()
    for label, loop in loops.items():
        rule, task = loop.update_rule.rule, loop.task
        rate, init_range = task.hyperparameters.learning_rate, task.hyperparameters.init_range
        found = f"p = {task.max_length}, a = {rate:g}, |w| < {init_range:g}"
        assert label == f"{found}, tolerance {rule.tolerance:g}" and rule.task is task
        weights = rule.init(jax.random.key(0)).weights
        largest = max(np.abs(leaf).max() for leaf in jax.tree.leaves(weights))
        assert init_range / 2 < largest < init_range
    assert len(loops) == 4 * 2 * 3


def test_a_solved_net_reaches_the_last_step():
    """RTRL with a tolerance, on task 2a with p = 4; before that, its last error is large."""
    loop = comparisons.with_tolerance("2a-4.rtrl-10", 50_000, 0.2, 0.2)
    found = lags.measure_reach(dataclasses.replace(loop, chunk=500), ClaimOptions(2))
    assert found["solved"] == 2
    assert found["sequences"] == [500 * (i + 1) for i in range(len(found["reach"]))]
    assert found["reach"][-1] == [4, 4, 4]  # least, median, largest
    assert found["last_error"][-1][-1] < 0.25 < found["last_error"][0][0]


def test_the_first_symbol_changes_the_chunker_s_hidden_unit_by_its_weights():
    """C's hidden unit is f(w) of the symbol, from 0."""
    loop = lags.reach_variants()["chunker, |w| < 1, tolerance 0"]
    model = TrialRunner(loop, range(2)).state().trials.model
    found = lags.measure_model(loop, model, 2)
    x, y = jax.nn.sigmoid(model.chunker.hidden_input[-2:])  # the last two symbols
    np.testing.assert_allclose(found["hidden_change"], np.abs(x - y), rtol=1e-5)


@pytest.mark.parametrize("claim", [c for c in CLAIMS if committed(c).exists()])
def test_a_committed_claim_can_be_drawn_again(claim: str, tmp_path: pathlib.Path):
    document = json.loads(committed(claim).read_text())
    plots.save(CLAIMS[claim].draw(document), tmp_path / "a.png")
    assert_is_a_picture(tmp_path / "a.png")


def test_every_trial_of_a_comparison_is_in_its_picture():
    document = json.loads((COMMITTED / "claim.xor.json").read_text())
    (axes,) = CLAIMS["xor"].draw(document).axes
    drawn = sum(len(line.get_xdata()) for line in axes.lines if line.get_marker() in "ox")
    assert drawn == sum(len(found["trials"]) for found in document["variants"].values())


def test_a_claim_goes_on_with_the_variants_that_were_measured(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
):
    """...after an interruption as after an end, if trials and seed are the same."""
    measured, known = [], ["a", "b"]

    def measure(variant: str, options: ClaimOptions) -> dict:
        if variant == "b" and measured == ["a"]:
            measured.append("interrupted")
            raise KeyboardInterrupt
        measured.append(variant)
        return {"solved": len(measured)}

    draw = lambda document: CLAIMS["xor"].draw(json.loads(committed("xor").read_text()))
    claim = base.compare(lambda: {name: name for name in known}, measure, draw)
    monkeypatch.setitem(CLAIMS, "blocks", claim)
    run = command_of("claims").call
    flags = ["--claim=blocks", "--trials=2", f"--out={tmp_path}", "--quiet"]
    with pytest.raises(KeyboardInterrupt):
        run(flags)
    run([*flags, "--resume"])
    assert measured == ["a", "interrupted", "b"]
    known.append("c")
    run([*flags, "--resume"])
    assert measured == ["a", "interrupted", "b", "c"]
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []
    with pytest.raises(ValueError, match="differs in trials: 2, not 3"):
        run([*flags, "--trials=3", "--resume"])
