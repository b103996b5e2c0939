"""Tuning: configurations are recipes, bad ones are stopped, and a run goes on where it was."""

from __future__ import annotations

import functools
import json
import pathlib
import shlex
import sys

import jax
import numpy as np
import pytest
from binaries import assert_is_a_picture, command_of
from lstm_jax.training.recipes.random_search import SearchSpace
from small_tasks import LATCH, make_runner

from experiments.search import plan as plans
from experiments.search import tune
from experiments.search.evaluate import Bench
from experiments.search.plan import Plan
from experiments.search.propose import propose
from lstm_jax.tasks import row_names
from lstm_jax.training.recipes.recipe import make_recipe
from lstm_jax.training.trials.training_loop import TrainingLoop

SPACE = SearchSpace(learning_rate=(1.0, 8.0), init_range=(0.1, 1.0), input_gate_bias=(-2.0, 0.0))
GOOD = {"blocks": "1x1", "learning rate": 4.0, "initial range": 0.2, "input gate bias 1": -1.0}


@pytest.fixture(autouse=True)
def latch(monkeypatch: pytest.MonkeyPatch):
    """Whatever row is named, a task of 240 sequences is learned, 10 a round."""
    for module in (plans, tune, tune.search):
        monkeypatch.setattr(module, "make_task", lambda name: LATCH)
    monkeypatch.setattr(plans, "chunk_of", lambda task: 10)


def make_plan(**changes) -> Plan:
    fields = {"task": "6a", "recipe": "paper", "shapes": ("1x1",), "space": SPACE, "trials": 4}
    return Plan(**(fields | {"seed": 0, "max_sequences": 240, "batch_size": 4} | changes))


@functools.cache
def make_bench(plan: Plan) -> Bench:
    """One a plan: what is compiled is shared."""
    return Bench(plan, jax.devices()[:1])


def test_the_trials_of_a_configuration_are_those_of_its_recipe():
    """...whatever the same program ran before; the cost follows from them."""
    bench = make_bench(make_plan())
    bench.evaluate(GOOD | {"learning rate": 7.0, "initial range": 1.0}, [])
    found = bench.evaluate(GOOD, [])
    expected = make_runner(TrainingLoop(make_recipe(found["recipe"]).apply(LATCH)), range(4)).run()
    solved = [result.sequences for result in expected if result.solved]
    assert found["solved"] == len(solved) > 0
    assert found["sequences"] == pytest.approx(np.mean(solved))
    shares = [min(r.sequences / 240 if r.solved else r.curve[-1, 1], 1) for r in expected]
    assert found["cost"] == pytest.approx(4 - len(solved) + np.mean(shares), rel=0.05)


def test_a_configuration_that_is_worse_than_half_of_the_others_is_stopped():
    """At an eighth of the budget, where the others' errors are known; not where they are few."""
    bench = make_bench(make_plan())
    others = lambda number: [{"errors": [[4, 30, 0.001]]}] * number
    stopped, went_on = (bench.evaluate(GOOD, others(number)) for number in (3, 2))
    assert stopped["cost"] is None and stopped["errors"][-1][:2] == [4, 30]
    assert went_on["cost"] is not None and went_on["errors"][:3] == stopped["errors"]


def test_a_run_that_was_cut_off_goes_on_as_if_it_had_not_been(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    """...a picture is drawn, and the printed command runs the best configuration's trials."""
    monkeypatch.setattr(tune, "Bench", make_bench)
    flags = ["--trials=4", "--learning_rate=1,8", "--init_range=0.1,1", "--input_gate_bias=-2,0"]
    flags += ["--max_sequences=240"]
    run = lambda out, *more: tune.COMMAND.call([*flags, f"--out={tmp_path / out}", *more])
    read = lambda out: json.loads((tmp_path / out / "tune.6a.json").read_text())
    run("whole", "--configurations=13")
    assert_is_a_picture(tmp_path / "whole" / "tune.6a.png")
    command = shlex.split(capsys.readouterr().out.splitlines()[-1])
    run("cut", "--configurations=5", "--quiet")
    run("cut", "--configurations=13", "--resume", "--quiet")
    assert capsys.readouterr().out == ""
    whole, cut = read("whole"), read("cut")
    assert whole["configurations"] == cut["configurations"]
    assert len({c["recipe"] for c in whole["configurations"]}) == 13
    best = min(
        (c for c in whole["configurations"] if c["cost"] is not None), key=lambda c: c["cost"]
    )
    assert command[2] == "experiments.temporal_order"
    told = command_of("temporal_order").parse(command[3:])
    assert (told.recipe, told.trials, told.seed) == (best["recipe"], "4", 0)
    with pytest.raises(ValueError, match="has seed 0, not 1; --overwrite replaces it"):
        run("cut", "--resume", "--seed=1")
    cut["configurations"][3]["values"]["blocks"] = "7x7"
    (tmp_path / "cut" / "tune.6a.json").write_text(json.dumps(cut))
    with pytest.raises(ValueError, match=r"tune\.6a\.json must have .* in configurations\[3\]"):
        run("cut", "--resume")


def test_proposals_lie_in_the_space_and_come_nearer_to_what_is_good():
    """Told that rates near 2 are the best, the estimator proposes rates nearer to 2 than chance."""
    plan = make_plan(shapes=("1x1", "2x1"), space=SearchSpace(learning_rate=(0.1, 10.0)))
    tried = []
    for _ in range(40):
        values = propose(plan, tried)
        assert 0.1 <= values["learning rate"] <= 10 and values["blocks"] in plan.shapes
        distance = abs(np.log(values["learning rate"] / 2))
        tried.append({"values": values, "cost": float(distance), "errors": []})
    early, late = (np.median([t["cost"] for t in part]) for part in (tried[:10], tried[20:]))
    assert late < early / 2


def test_settings_are_a_recipe():
    plan = make_plan(shapes=("1x1", "2x3"))
    biases = {"input gate bias 1": -1.5, "input gate bias 2": -2.0}
    recipe = plan.recipe_of({"blocks": "2x3", "learning rate": 0.5, "initial range": 0.25} | biases)
    assert recipe == "paper+blocks=3,3+input-gate-bias=-1.5,-2+init-range=0.25+learning-rate=0.5"
    assert plans.rounded(0.123456, (0.1, 1.0)) == 0.123
    assert plans.rounded(-1.23456, (-1.2, 0.0)) == -1.2  # what is run is within the bounds
    settings = plan.settings_of({"blocks": "2x3", "learning rate": 0.5} | biases)
    assert settings.input_gate_bias.tolist() == [-1.5, -2.0] and settings.output_gate_bias is None
    assert settings.init_range == np.float32(LATCH.hyperparameters.init_range)


@pytest.mark.parametrize("row", row_names())
def test_every_row_has_a_command_that_runs_it(row: str):
    module, *flags = make_plan(task=row).command(GOOD, 1, "out")[2:]
    assert command_of(module.removeprefix("experiments.")).parse(flags).task == row


def test_without_optuna_a_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(ImportError, match=r"tune needs Optuna: pip install 'lstm_jax\[tune\]'"):
        tune.COMMAND.call([f"--out={tmp_path / 'new'}"])
    assert not [*tmp_path.iterdir()]
