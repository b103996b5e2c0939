"""`paper` is the paper's conditions; every other recipe says what it changes."""

from __future__ import annotations

import dataclasses

import jax.numpy as jnp
import optax
import pytest
from small_tasks import LATCH

from lstm_jax import tasks
from lstm_jax.recipes import CHUNK, CONSTRUCTION_CHUNK, RECIPES, Recipe, make_recipe


@pytest.mark.parametrize("row", tasks.row_names())
def test_the_paper_s_recipe_is_plain_sgd_with_the_truncated_gradient(row: str):
    """Δw = -a times the gradient, with the row's own a, network, initial weights and rule."""
    task = tasks.make_task(row)
    learning = make_recipe("paper").learning(task)
    assert learning.task is task and learning.method.task is task
    assert learning.method.gradient == "truncated"
    gradient = jnp.array([1.0, -0.5])
    updates, _ = learning.method.optimiser.update(
        gradient, learning.method.optimiser.init(gradient)
    )
    rate = task.conditions.learning_rate
    assert updates.tolist() == jnp.float32([-rate, 0.5 * rate]).tolist()


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_but_the_paper_s_says_what_it_changes(name: str):
    recipe = make_recipe(name)
    assert recipe.name == name and bool(recipe.changes) == (name != "paper")


def test_a_chunk_is_the_interval_between_tests_where_the_rule_has_one():
    tested = dataclasses.replace(LATCH, rule=tasks.TestRule(interval=10, size=4))
    assert make_recipe("paper").learning(tested).chunk == 10
    assert make_recipe("paper").learning(LATCH).chunk == CHUNK


def test_with_sequential_construction_the_error_is_looked_at_more_often():
    growing = dataclasses.replace(LATCH, sequential_construction=True)
    assert make_recipe("paper").learning(growing).chunk == CONSTRUCTION_CHUNK


@pytest.mark.parametrize("row", tasks.row_names())
@pytest.mark.parametrize("name", ["cross-entropy", "swapped", "linear", "linear-cross-entropy"])
def test_a_recipe_changes_nothing_of_a_task_but_what_it_says(row: str, name: str):
    task = tasks.make_task(row)
    adapted = make_recipe(name).learning(task).task
    changed = dataclasses.replace(
        adapted,
        architecture=dataclasses.replace(
            adapted.architecture,
            cell_input=task.architecture.cell_input,
            cell_output=task.architecture.cell_output,
            output=task.architecture.output,
        ),
        conditions=dataclasses.replace(
            adapted.conditions, learning_rate=task.conditions.learning_rate
        ),
    )
    assert changed == task
    other_rates = {"swapped": "2c-", "linear-cross-entropy": "1-"}
    keeps_rate = name not in other_rates or not row.startswith(other_rates[name])
    assert (adapted.conditions == task.conditions) == keeps_rate
    assert (adapted.architecture.output == "logistic_1") == (name != "linear")


@pytest.mark.parametrize("row", tasks.row_names())
def test_gate_bias_adds_nothing_but_biases_to_the_linear_units(row: str):
    paper = tasks.make_task(row)
    task = make_recipe("linear-cross-entropy").learning(paper).task
    adapted = make_recipe("gate-bias").learning(paper).task
    blocks = task.architecture.num_blocks
    assert adapted.conditions.input_gate_bias == (-2.0,) * blocks
    had_biases = task.architecture.biases != "none"
    assert adapted.architecture.biases == (task.architecture.biases if had_biases else "gates")
    rate = paper.conditions.learning_rate
    assert adapted.conditions.learning_rate == rate
    own = dataclasses.replace(
        task.conditions,
        learning_rate=rate,
        input_gate_bias=adapted.conditions.input_gate_bias,
    )
    assert adapted == dataclasses.replace(task, architecture=adapted.architecture, conditions=own)


def test_a_recipe_may_adapt_the_task_before_the_optimiser_sees_it():
    """Here the rate that the optimiser is made with is that of the adapted task."""

    def adapt(task: tasks.Task) -> tasks.Task:
        conditions = dataclasses.replace(task.conditions, learning_rate=0.25)
        rule = tasks.TestRule(interval=7, size=4)
        return dataclasses.replace(task, conditions=conditions, rule=rule)

    optimiser = lambda task: optax.sgd(task.conditions.learning_rate)
    recipe = Recipe("slow", "a quarter of the rate", optimiser, adapt, gradient="full")
    learning = recipe.learning(LATCH)
    adapted = learning.method.optimiser
    updates, _ = adapted.update(jnp.ones(1), adapted.init(jnp.ones(1)))
    assert updates.tolist() == [-0.25]
    assert (learning.method.gradient, learning.chunk) == ("full", 7)


def test_an_unknown_recipe_is_named():
    names = ", ".join(RECIPES)
    with pytest.raises(ValueError, match=f"recipe must be one of {names}, got 'modern'"):
        make_recipe("modern")
