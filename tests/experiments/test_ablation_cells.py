"""Cells of the ablation study: each is run once, cut off at chance, and its result saved."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import json
import pathlib
import time

import pytest
from small_tasks import LATCH

from experiments.ablations import cells, design
from experiments.ablations.cells import Results
from experiments.ablations.design import Cell

TRAINING_LOOP = "lstm_jax.training.trials.training_loop"


def outcome(cell: Cell, solved: int, mean: float | None = None):
    about = {"recipe": cell.recipe, "seed": cell.seed, "trials": cell.trials}
    return about | {"solved": solved, "mean": mean}


@pytest.fixture
def small_row(monkeypatch: pytest.MonkeyPatch):
    """Make a row of a task that a trial solves in some hundred sequences."""

    def use(**hyperparameters: float) -> Cell:
        task = dataclasses.replace(
            LATCH, hyperparameters=dataclasses.replace(LATCH.hyperparameters, **hyperparameters)
        )
        for module in (cells, design):
            monkeypatch.setattr(module, "make_task", lambda row: task)
        monkeypatch.setattr(f"{TRAINING_LOOP}.CHUNK", 40)
        return Cell("latch", "paper", seed=0, trials=2, budget=600)

    return use


def run(cell: Cell, folder: pathlib.Path):
    return cells.run_once(cell, Results(folder, cell.row), {})


def names_in(folder: pathlib.Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def test_a_killed_cell_goes_on_to_the_same_result(
    small_row, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
):
    cell = small_row()
    expected = run(cell, tmp_path / "whole")
    assert (expected["solved"], expected["cut"]) == (2, False)
    assert expected["mean"] == sum(expected["sequences"]) / 2
    assert expected["errors"][1] < 0.98 * expected["errors"][0]
    monkeypatch.setattr(cells, "CHECKPOINT_SECONDS", 0.0)
    with monkeypatch.context() as killed:
        killed.setattr(cells.TrialRunner, "results", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            run(cell, tmp_path / "killed")
    assert names_in(tmp_path / "killed")
    found = run(cell, tmp_path / "killed")
    assert found | {"seconds": 0} == expected | {"seconds": 0}
    assert names_in(tmp_path / "killed") == ["latch.json"]


def test_a_cell_at_chance_is_cut_off_at_the_published_mean(small_row, tmp_path: pathlib.Path):
    found = run(small_row(learning_rate=1e-6), tmp_path)
    assert (found["solved"], found["cut"], found["num_sequences"]) == (0, True, 200)


def test_processes_that_share_cells_run_each_once(
    small_row, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
):
    planned = [small_row()._replace(seed=seed) for seed in range(6)]
    ran = []

    def run_cell(cell: Cell, checkpoints):
        ran.append(cell)
        time.sleep(0.05)  # so that the others come by
        return outcome(cell, cell.seed)

    def go_through(cells_in_order: list[Cell]) -> None:
        results = Results(tmp_path, "latch")
        for cell in cells_in_order:
            cells.run_once(cell, results, {})

    monkeypatch.setattr(cells, "run_cell", run_cell)
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        list(pool.map(go_through, (planned, planned, planned[::-1])))
    assert sorted(ran) == planned
    assert sorted(c["solved"] for c in Results(tmp_path, "latch").cells()) == [*range(6)]
    assert names_in(tmp_path) == ["latch.json"]


def test_no_result_is_lost_when_many_come_at_once(tmp_path: pathlib.Path):
    shared = Results(tmp_path, "6a")  # made before the others write

    def add(seed: int) -> None:
        results = shared if seed == 0 else Results(tmp_path, "6a")
        cell = Cell("6a", "paper", seed, 8, 0)
        results.add(cell, outcome(cell, 0), {})

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(add, range(40)))
    assert {c["seed"] for c in Results(tmp_path, "6a").cells()} == {*range(40)}
    assert names_in(tmp_path) == ["6a.json"]


def test_a_result_that_came_during_the_wait_for_its_cell_is_not_run_again(
    small_row, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
):
    cell = small_row()
    other = Results(tmp_path, "latch")
    checkpoints = cells.Checkpoints

    def opened_late(*arguments):
        other.add(cell, outcome(cell, 2, 100.0), {})
        return checkpoints(*arguments)

    monkeypatch.setattr(cells, "Checkpoints", opened_late)
    assert run(cell, tmp_path) is None
    assert names_in(tmp_path) == ["latch.json"]


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


def test_a_file_is_read_to_the_last_digit_and_has_a_line_per_cell(tmp_path: pathlib.Path):
    results = Results(tmp_path, "6a")
    planned = [design.make_cell("6a", text) for text in ("paper", "paper+tolerance=0.1")]
    for cell in planned:
        assert cell not in results
        results.add(cell, outcome(cell, 3, 12345.678), {"machine": "m", "command": "c"})
    again = Results(tmp_path, "6a")
    assert all(cell in again for cell in planned)
    assert again.cells() == results.cells()
    assert again.cells()[0]["mean"] == 12345.678
    assert len((tmp_path / "6a.json").read_text().splitlines()) == 6


def test_a_file_with_unknown_overrides_is_refused_in_one_line(tmp_path: pathlib.Path):
    cell = Cell("6a", "paper+slope-plus=0.1", 0, 8, 0)
    document = {"row": "6a", "runs": [], "cells": {cell.key: outcome(cell, 3)}}
    (tmp_path / "6a.json").write_text(json.dumps(document))
    with pytest.raises(ValueError, match=r"6a\.json .*, got 'slope-plus'$") as error:
        Results(tmp_path, "6a").cells()
    assert "\n" not in str(error.value)
