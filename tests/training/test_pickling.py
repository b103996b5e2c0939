"""Tasks and recipes travel to worker processes."""

from __future__ import annotations

import pickle

import pytest

from lstm_jax import baselines, make_recipe, make_task, row_names
from lstm_jax.tasks import Task, delayed_xor

RECIPES = (
    "adam",
    "end-error+targets=0.1,0.9",
    "modern",
    "paper+training-set=10+blocks=1,2",
)


def travel(thing):
    return pickle.loads(pickle.dumps(thing))


def assert_travels(task: Task) -> None:
    found = travel(task)
    assert found == task and hash(found) == hash(task)


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
