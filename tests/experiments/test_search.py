"""The search command: configurations are recipes, both samplers are reproducible and resumable."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import shlex
import subprocess
import sys
from collections.abc import Iterator

import jax
import numpy as np
import pytest
from binaries import assert_is_a_picture, command_of
from small_tasks import LATCH, binary_environment, make_runner, trial_key

from experiments.rows.run import RowOptions
from experiments.search import __main__ as command
from experiments.search import picture, plan, random_sampler, tpe_sampler
from experiments.search.plan import SearchPlan
from experiments.search.random_sampler import RandomSearch
from lstm_jax import plots
from lstm_jax.tasks import make_task, row_names
from lstm_jax.training.recipes.recipe import make_recipe
from lstm_jax.training.runs.checkpoints import locked
from lstm_jax.training.runs.result_file import read_json
from lstm_jax.training.trials.training_loop import INITIAL_WEIGHTS, TrainingLoop
from lstm_jax.training.update_rules.random_search import HYPERPARAMETERS, SearchSpace

ROOT = pathlib.Path(__file__).parents[2]
SPACE = SearchSpace(learning_rate=(1.0, 8.0), init_range=(0.1, 1.0), input_gate_bias=(-2.0, 0.0))
FLAGS = ["--trials=4", "--learning_rate=1,8", "--init_range=0.1,1", "--input_gate_bias=-2,0"]
GOOD = {"blocks": "1x1", "learning rate": 4.0, "initial range": 0.2, "input gate bias 1": -1.0}


@pytest.fixture
def latch(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Train every row on a task of 240 sequences, in chunks of 10."""
    monkeypatch.setattr(plan, "make_task", lambda name: LATCH)
    with monkeypatch.context() as context:
        context.setattr("lstm_jax.training.trials.training_loop.CHUNK", 10)
        context.setattr(jax, "devices", lambda: jax.local_devices()[:1])
        yield


def make_plan(**changes) -> SearchPlan:
    fields = {"task": "6a", "recipe": "paper", "shapes": ("1x1",), "space": SPACE, "trials": 4}
    return SearchPlan(**(fields | {"seed": 0, "max_sequences": 240, "batch_size": 4} | changes))


def call(*flags: str) -> None:
    command.COMMAND.call(flags)


# Plans -------------------------------------------------------------------------------------------


def test_a_configuration_is_a_recipe(latch: None):
    search = make_plan(shapes=("1x1", "2x3"))
    biases = {"input gate bias 1": -1.5, "input gate bias 2": -2.0}
    configuration = {"blocks": "2x3", "learning rate": 0.5} | biases
    recipe = search.recipe_of(configuration | {"initial range": 0.25})
    assert recipe == "paper+blocks=3,3+input-gate-bias=-1.5,-2+init-range=0.25+learning-rate=0.5"
    found = search.loop(configuration).task.hyperparameters
    assert (found.learning_rate, found.input_gate_bias) == (0.5, (-1.5, -2.0))
    assert found.output_gate_bias is None and found.init_range == LATCH.hyperparameters.init_range
    assert plan.block_sizes("4x3") == (3, 3, 3, 3)
    assert make_plan(recipe="paper+input-gate-bias=-3,-6").label() == (
        "search.6a.paper+input-gate-bias=-3_-6"
    )


@pytest.mark.parametrize("row", row_names())
def test_every_row_has_a_command_that_runs_it(row: str):
    given = shlex.split(make_plan(task=row).command(GOOD, pathlib.Path("out")))
    binary, flags = given[2].removeprefix("experiments."), given[3:]
    assert command_of(binary).parse(flags).task == row


@pytest.mark.parametrize(
    ("flags", "searched"),
    [
        ("--task=6a", {"learning_rate", "init_range", "input_gate_bias"}),
        ("--task=6a --recipe=adam", {"init_range", "input_gate_bias"}),
        ("--task=6a --recipe=adam-gate-bias", {"init_range"}),
        ("--task=2a", {"learning_rate", "init_range"}),  # whose gates have no biases
    ],
)
def test_what_the_recipe_sets_or_the_row_lacks_is_not_searched(flags: str, searched: set[str]):
    values = command.COMMAND.parse([*flags.split(), "--out=out"])
    space = vars(plan.make_plan(values).space)
    assert {name for name, bounds in space.items() if bounds} == searched


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--recipe=adam --learning_rate=1,2", "own' with --recipe=adam, which sets the learning r"),
        ("--task=2b --input_gate_bias=-1,0", "own' for 2b, whose input gates have no biases"),
        ("--recipe=paper+blocks=2,2 --blocks=3x1", "must change the blocks once"),
        ("--recipe=paper+blocks=2,3", "must have blocks of one size in a search"),
        ("--recipe=paper+update=step", "needs updates after sequences, got update=step"),
        ("--blocks=", "must be shapes such as 2x2, or 'own', got none"),
        ("--blocks=2x2,0x1", "must be shapes such as 2x2, or 'own', got '0x1'"),
        ("--blocks=2x2,own", "--blocks must be distinct, got 2x2,2x2"),
        ("--learning_rate=own --init_range=own --input_gate_bias=own", "must leave a choice"),
        ("--learning_rate=9,1", "learning_rate must be two positive and finite numbers"),
        ("--learning_rate=a", "--learning_rate must be LOWEST,HIGHEST or 'own', got 'a'"),
        ("--coordinator=auto", "--coordinator needs --sampler=random"),
        ("--resume --overwrite", "exclude each other"),
    ],
)
def test_a_mistake_is_one_line(flags: str, message: str, tmp_path: pathlib.Path):
    with pytest.raises(ValueError, match=message) as error:
        call(*flags.split(), f"--out={tmp_path}")
    assert "\n" not in str(error.value) and not [*tmp_path.iterdir()]


# TPE ---------------------------------------------------------------------------------------------


def test_the_trials_of_a_configuration_are_those_of_its_recipe(latch: None):
    """...whatever the same program ran before; the cost follows from them."""
    tpe_sampler.evaluate(make_plan(), GOOD | {"learning rate": 7.0, "initial range": 1.0}, [])
    found = tpe_sampler.evaluate(make_plan(), GOOD, [])
    expected = make_runner(TrainingLoop(make_recipe(found["recipe"]).apply(LATCH)), range(4)).run()
    solved = [result.sequences for result in expected if result.solved]
    assert found["solved"] == len(solved) > 0
    assert found["sequences"] == pytest.approx(np.mean(solved))
    shares = [min(r.sequences / 240 if r.solved else r.curve[-1, 1], 1) for r in expected]
    assert found["cost"] == pytest.approx(4 - len(solved) + np.mean(shares), rel=0.05)


def test_a_configuration_that_is_worse_than_half_of_the_others_is_pruned(latch: None):
    """...at an eighth of the budget, if the errors of enough others are known there."""
    others = lambda number: [{"errors": [[4, 30, 0.001]]}] * number
    pruned, went_on = (tpe_sampler.evaluate(make_plan(), GOOD, others(number)) for number in (3, 2))
    assert pruned["cost"] is None and pruned["errors"][-1][:2] == [4, 30]
    assert went_on["cost"] is not None and went_on["errors"][:3] == pruned["errors"]


def test_an_interrupted_search_continues_as_if_it_had_not_been(
    latch: None,
    tmp_path: pathlib.Path,
    capsys: pytest.CaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
):
    """...a picture is drawn, and the printed command runs the best configuration's trials."""
    run = lambda out, *more: call(*FLAGS, "--max_sequences=240", f"--out={tmp_path / out}", *more)
    read = lambda out: json.loads((tmp_path / out / "search.6a.json").read_text())
    run("whole", "--configurations=13")
    assert_is_a_picture(tmp_path / "whole" / "search.6a.png")
    again = shlex.split(capsys.readouterr().out.splitlines()[-1])
    run("cut", "--configurations=5", "--quiet")
    run("cut", "--configurations=13", "--resume", "--quiet")
    assert capsys.readouterr().out == ""
    whole, cut = read("whole"), read("cut")
    assert whole["configurations"] == cut["configurations"]
    assert len({c["recipe"] for c in whole["configurations"]}) == 13
    ended = [c for c in whole["configurations"] if c["cost"] is not None]
    assert again[2] == "experiments.temporal_order"
    values = command_of("temporal_order").parse(again[3:])
    best = min(ended, key=lambda c: c["cost"])
    assert (values.recipe, values.trials, values.seed) == (best["recipe"], 4, 0)
    with pytest.raises(ValueError, match="differs in seed: 0, not 1; --overwrite replaces it"):
        run("cut", "--resume", "--seed=1")
    for damage in ({"blocks": "7x7"}, {"learning rate": "a"}, {"x": 1.0}):
        damaged = json.loads(json.dumps(cut))
        damaged["configurations"][3]["values"].update(damage)
        (tmp_path / "cut" / "search.6a.json").write_text(json.dumps(damaged))
        with pytest.raises(ValueError, match=r"6a\.json has a wrong configurations\[3\]") as error:
            run("cut", "--resume")
        assert "\n" not in str(error.value)


def test_of_two_searches_in_one_folder_the_second_is_refused(latch: None, tmp_path: pathlib.Path):
    """...so that neither replaces the other's configurations, and nothing is left behind."""
    flags = [*FLAGS, "--max_sequences=10", "--configurations=1", f"--out={tmp_path}", "--quiet"]
    with locked(tmp_path / "search.6a.running"):
        for more in ([], ["--resume"], ["--overwrite"]):
            with pytest.raises(
                ValueError, match=r"search\.6a\.running is in use by another process"
            ):
                call(*flags, *more)
    call(*flags)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["search.6a.json", "search.6a.png"]


def test_a_search_that_solved_nothing_says_so(
    latch: None, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture
):
    call(*FLAGS, "--max_sequences=10", "--configurations=1", f"--out={tmp_path}")
    printed = capsys.readouterr().out
    assert "no configuration solved a trial" in printed and "again" not in printed


def test_proposals_lie_in_the_space_and_come_nearer_to_what_is_good(latch: None):
    """Where rates near 2 are the best, the estimator proposes rates nearer to 2 than chance."""
    search = make_plan(shapes=("1x1", "2x1"), space=SearchSpace(learning_rate=(0.1, 10.0)))
    tried = []
    for _ in range(40):
        values = tpe_sampler.propose(search, tried)
        assert 0.1 <= values["learning rate"] <= 10 and values["blocks"] in search.shapes
        distance = abs(np.log(values["learning rate"] / 2))
        found = {"values": values, "recipe": "", "cost": float(distance), "errors": []}
        tried.append(found | {"solved": 0, "sequences": None})
    early, late = (np.median([t["cost"] for t in part]) for part in (tried[:10], tried[20:]))
    assert late < early / 2


def test_without_optuna_a_line_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(ImportError, match=r"needs optuna: pip install 'lstm_jax\[search\]'"):
        call(f"--out={tmp_path / 'new'}")
    assert not [*tmp_path.iterdir()]


# Random search -----------------------------------------------------------------------------------


def test_random_search_runs_each_shape(tmp_path: pathlib.Path):
    """...whose hyperparameters depend on seed and index alone; nothing is repeated or replaced."""
    flags = f"--sampler=random --out={tmp_path} --blocks=2x2,3x1 --trials=9 --max_sequences=20"
    flags += " --devices=1 --output_gate_bias=-1,0"

    def run(*more: str) -> subprocess.CompletedProcess[str]:
        line = [sys.executable, "-m", "experiments.search", *flags.split(), *more]
        environment = binary_environment()
        return subprocess.run(line, cwd=ROOT, env=environment, capture_output=True, text=True)

    done = run()
    assert done.returncode == 0, done.stderr
    space = SearchSpace((0.1, 10.0), (0.05, 2.0), (-6.0, 2.0), (-1.0, 0.0))
    for shape, num_blocks in (("2x2", 2), ("3x1", 3)):
        document = read_json(tmp_path / f"search.6a.{shape}.json")
        assert f"6a, blocks {shape}: no trial was solved; the lowest errors:" in done.stdout
        assert document["seed"] == 0 and "--blocks=2x2,3x1" in document["command"]
        for i, row in enumerate(document["trials"]):
            trial = dict(zip(document["columns"], row, strict=True))
            assert (trial["trial"], trial["sequences"], trial["solved"]) == (i, 20, 0)
            assert 0 < trial["error"] < 1 and 0 <= trial["wrong in test"] <= document["test_size"]
            key = jax.random.fold_in(trial_key(i), INITIAL_WEIGHTS)
            key = jax.random.fold_in(key, HYPERPARAMETERS)
            drawn = space.sample(key, make_task("6a").hyperparameters.of_trial(), num_blocks)
            found = [v for name, v in trial.items() if "gate" in name or name[:5] == "learn"]
            expected = [drawn.learning_rate, *drawn.input_gate_bias, *drawn.output_gate_bias]
            np.testing.assert_allclose(found, expected, rtol=1e-5)
        assert_is_a_picture(tmp_path / f"search.6a.{shape}.png")
    found = [line for line in done.stdout.splitlines(True) if not line.startswith("wrote ")]
    assert run("--resume").stdout == "".join(found)
    assert "search.6a.2x2.json exists; --overwrite replaces it" in run().stderr
    assert (
        "differs in space.learning_rate: [0.1, 10.0], not [1.0, 2.0]; --over"
        in run("--resume", "--learning_rate=1,2").stderr
    )


@pytest.fixture
def document(latch: None) -> dict:
    """Search a small task at random; the second trial's numbers became NaN."""
    space = SearchSpace(learning_rate=(0.1, 8.0), input_gate_bias=(-2.0, 0.0))
    search = make_plan(task="latch", space=space, trials=9, max_sequences=200)
    loop, options = search.loop({"blocks": "1x1"}), RowOptions(pathlib.Path(), trials=9)
    row = RandomSearch("latch 1x1", make_recipe("paper"), loop, options, search, "1x1")
    results = make_runner(row.loop, range(9)).run()
    results[1] = dataclasses.replace(results[1], finite=False)
    return json.loads(json.dumps(row.document(results, 1.0)))


def test_the_best_come_first_and_what_is_not_finite_not_at_all(
    document: dict, tmp_path: pathlib.Path
):
    trials = [dict(zip(document["columns"], t, strict=True)) for t in document["trials"]]
    assert trials[1]["error"] is None and document["non_finite"] == 1
    assert 1 < document["solved"] < 7
    lines = random_sampler.best(document).splitlines()
    assert f": {document['solved']} of 9 trials solved; the best:" in lines[0]
    displayed = [trials[int(line.split()[0])] for line in lines[3:]]
    assert len(displayed) == 8 and trials[1] not in displayed
    solved, unsolved = ([t for t in displayed if t["solved"] == is_solved] for is_solved in (1, 0))
    assert displayed == solved + unsolved
    for some, name in ((solved, "sequences"), (unsolved, "error")):
        assert [t[name] for t in some] == sorted(t[name] for t in some)
    plots.save(picture.random_search(document), tmp_path / "a.png")
    assert_is_a_picture(tmp_path / "a.png")
