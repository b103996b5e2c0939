"""Cells of the designed experiment: each is run once, cut at chance, and its result kept."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import pathlib
import time
from typing import Any

import pytest
from small_tasks import LATCH

from experiments.ablations import cells, design
from experiments.ablations.cells import Results
from experiments.ablations.design import Cell


def outcome(cell: Cell, solved: int, mean: float | None = None) -> Any:
    own = {"recipe": cell.recipe, "seed": cell.seed, "trials": cell.trials}
    return own | {"solved": solved, "mean": mean}


@pytest.fixture
def small_row(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes a row of a task that a trial solves in some hundred sequences."""

    def use(**hyperparameters: float) -> Cell:
        task = dataclasses.replace(
            LATCH, hyperparameters=dataclasses.replace(LATCH.hyperparameters, **hyperparameters)
        )
        monkeypatch.setattr(cells, "make_task", lambda row: task)
        monkeypatch.setattr("lstm_jax.training.recipes.recipe.CHUNK", 40)
        return Cell("latch", "paper", seed=0, trials=2, budget=600)

    return use


def run(cell: Cell, folder: pathlib.Path) -> Any:
    return cells.settle(cell, Results(folder, cell.row), {})


def test_a_cell_that_learns_runs_to_its_end(small_row: Any, tmp_path: pathlib.Path):
    found = run(small_row(), tmp_path)
    assert (found["solved"], found["cut"]) == (2, False)
    assert found["mean"] == sum(found["sequences"]) / 2
    assert found["errors"][1] < 0.98 * found["errors"][0]


def test_a_cell_that_was_killed_goes_on_to_the_same_result(
    small_row: Any, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
):
    cell = small_row()
    expected = run(cell, tmp_path / "whole")
    monkeypatch.setattr(cells, "CHECKPOINT_SECONDS", 0.0)
    with monkeypatch.context() as killed:
        killed.setattr(cells, "_outcome", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            run(cell, tmp_path / "killed")
    assert [*(tmp_path / "killed").iterdir()]
    found = run(cell, tmp_path / "killed")
    assert found | {"seconds": 0} == expected | {"seconds": 0}
    assert [path.name for path in (tmp_path / "killed").iterdir()] == ["latch.json"]


def test_a_cell_at_chance_is_cut_at_the_published_mean(small_row: Any, tmp_path: pathlib.Path):
    found = run(small_row(learning_rate=1e-6), tmp_path)
    assert (found["solved"], found["cut"], found["num_sequences"]) == (0, True, 200)


def test_of_runs_that_go_through_the_same_cells_one_runs_each(
    small_row: Any, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
):
    planned = [small_row()._replace(seed=seed) for seed in range(6)]
    ran = []

    def run_cell(cell: Cell, kept: Any) -> Any:
        ran.append(cell)
        time.sleep(0.05)  # so that the others come by
        return outcome(cell, cell.seed)

    def go_through(cells_in_order: list[Cell]) -> None:
        results = Results(tmp_path, "latch")
        for cell in cells_in_order:
            cells.settle(cell, results, {})

    monkeypatch.setattr(cells, "run_cell", run_cell)
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        list(pool.map(go_through, (planned, planned, planned[::-1])))
    assert sorted(ran) == planned
    assert sorted(c["solved"] for c in Results(tmp_path, "latch").cells()) == [*range(6)]
    assert [path.name for path in tmp_path.iterdir()] == ["latch.json"]


def test_no_result_is_lost_when_many_come_at_once(tmp_path: pathlib.Path):
    def add(seed: int) -> None:
        cell = Cell("6a", "paper", seed, 8, 0)
        Results(tmp_path, "6a").add(cell, outcome(cell, 0), {})

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(add, range(40)))
    assert {c["seed"] for c in Results(tmp_path, "6a").cells()} == {*range(40)}
    assert [path.name for path in tmp_path.iterdir()] == ["6a.json"]


def test_a_result_that_came_while_its_cell_was_waited_for_is_not_run_again(
    small_row: Any, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
):
    cell = small_row()
    other = Results(tmp_path, "latch")
    checkpoints = cells.Checkpoints

    def opened_late(*arguments: Any) -> Any:
        other.add(cell, outcome(cell, 2, 100.0), {})
        return checkpoints(*arguments)

    monkeypatch.setattr(cells, "Checkpoints", opened_late)
    assert run(cell, tmp_path) is None
    assert [path.name for path in tmp_path.iterdir()] == ["latch.json"]


@pytest.mark.parametrize(
    ("errors", "is_at_chance"),
    [
        ([0.5] * 20, True),
        ([0.5] * 18 + [0.48] * 2, False),
        ([0.5] * 19 + [0.4], False),
        ([0.5, 0.48], False),
        ([0.5, float("nan")], True),
    ],
)
def test_chance_is_a_last_tenth_hardly_below_the_first(errors: list[float], is_at_chance: bool):
    assert cells.is_at_chance(errors) == is_at_chance


def test_what_is_kept_is_read_again_to_the_last_digit(tmp_path: pathlib.Path):
    results = Results(tmp_path, "6a")
    first, second = (design.choice("6a", text) for text in ("paper", "paper+tolerance=0.1"))
    about = {"machine": "m", "command": "c"}
    for cell in (first, second):
        assert cell not in results
        results.add(cell, outcome(cell, 3, 12345.678), about)
    again = Results(tmp_path, "6a")
    assert first in again and second in again
    assert again.cells() == results.cells()
    assert again.cells()[0]["mean"] == 12345.678
    assert len((tmp_path / "6a.json").read_text().splitlines()) == 6  # a line a cell


def test_two_runs_that_share_a_row_lose_nothing_of_each_other(tmp_path: pathlib.Path):
    one, another = Results(tmp_path, "6a"), Results(tmp_path, "6a")
    cells_of_both = [design.choice("6a", text) for text in ("paper", "paper+tolerance=0.1")]
    for results, cell in zip((one, another), cells_of_both, strict=True):
        results.add(cell, outcome(cell, 3, 12_345.0), {"machine": "m", "command": "c"})
    assert all(cell in Results(tmp_path, "6a") for cell in cells_of_both)
