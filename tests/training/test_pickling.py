"""Tasks, recipes and training loops travel to worker processes; what cannot says why."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import multiprocessing
import pickle

import numpy as np
import optax
import pytest

from lstm_jax import (
    PerSequenceUpdate,
    TrainingLoop,
    TrialRunner,
    baselines,
    make_recipe,
    make_task,
    row_names,
)
from lstm_jax.tasks import Task, delayed_xor

RECIPES = ("adam", "end-error+targets=0.1,0.9", "modern", "paper+training-set=10+blocks=1,2")


def travel(thing: object) -> object:
    return pickle.loads(pickle.dumps(thing))


def assert_travels(thing: Task | TrainingLoop) -> None:
    found = travel(thing)
    assert found == thing and hash(found) == hash(thing)


@pytest.mark.parametrize("row", row_names())
def test_a_row_s_task_is_the_same_whenever_it_is_made(row: str):
    assert make_task(row) == make_task(row)
    assert_travels(make_task(row))


@pytest.mark.parametrize("row", baselines.row_names())
def test_a_baseline_s_task_travels(row: str):
    assert_travels(baselines.make_baseline_task(row))


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_travels_and_so_does_what_it_makes(recipe: str):
    assert travel(make_recipe(recipe)) == make_recipe(recipe)
    assert_travels(make_recipe(recipe).apply(make_task("2b")))


def test_further_tasks_travel():
    assert_travels(delayed_xor.make(10, 100))


@pytest.mark.parametrize("recipe", ["paper", "adam", "modern", "paper+update=step"])
def test_a_training_loop_travels(recipe: str):
    assert_travels(TrainingLoop(make_recipe(recipe).apply(make_task("6a"))))


@pytest.mark.parametrize("row", baselines.row_names())
def test_a_baseline_s_training_loop_travels(row: str):
    assert_travels(baselines.make_training_loop(row))


def test_a_loop_trains_alike_in_a_worker_process():
    loop = TrainingLoop(delayed_xor.make(10, 40), chunk=20)
    (expected,) = TrialRunner(loop, range(1)).run()
    with concurrent.futures.ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        found = pool.submit(final_curve, loop).result()
    np.testing.assert_array_equal(found, expected.curve)


def final_curve(loop: TrainingLoop) -> np.ndarray:
    """Run a trial in the worker."""
    return TrialRunner(loop, range(1)).run()[0].curve


def test_what_cannot_travel_says_why():
    task = make_task("6a")
    own = dataclasses.replace(task, is_correct=lambda outputs, example: outputs[0] > 0)
    with pytest.raises(TypeError, match=r"Task.is_correct cannot be pickled .*: define it with"):
        pickle.dumps(own)
    rule = PerSequenceUpdate(task, optax.sgd(0.5, momentum=0.9))
    with pytest.raises(TypeError, match=r"PerSequenceUpdate.optimiser cannot .*: name it in `Hyp"):
        pickle.dumps(TrainingLoop(task, rule))
