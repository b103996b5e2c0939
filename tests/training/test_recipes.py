"""`paper` is the paper's conditions; every other recipe says what it changes."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from small_tasks import LATCH

from lstm_jax import tasks
from lstm_jax.training.recipes import CHUNK, CONSTRUCTION_CHUNK, RECIPES, Recipe, make_recipe


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
@pytest.mark.parametrize("name", ["cross-entropy", "swapped", "linear", "adam"])
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
    rates = {"swapped": {"2c-": 0.005}, "adam": {"2a": 0.03, "": 0.01}}.get(name, {})
    rate = next((r for start, r in rates.items() if row.startswith(start)), None)
    assert adapted.conditions.learning_rate == (rate or task.conditions.learning_rate)
    assert (adapted.architecture.output == "logistic_1") == (name != "linear")


@pytest.mark.parametrize("row", tasks.row_names())
@pytest.mark.parametrize(
    ("name", "base", "biases", "input_gate_bias"),
    [
        ("gate-bias", "linear", "gates", (-2.0,) * 4),
        ("adam-gate-bias", "adam", "all", (-3.0,) * 4),
        ("adam-swapped", "swapped", "all", (-1.0, -2.0, -3.0, -4.0)),
        ("adam-full-gradient", "swapped", "all", (-1.0, -2.0, -3.0, -4.0)),
    ],
)
def test_a_recipe_of_biases_adds_them_alone_to_another(
    row: str, name: str, base: str, biases: str, input_gate_bias: tuple[float, ...]
):
    paper = tasks.make_task(row)
    task = make_recipe(base).learning(paper).task
    adapted = make_recipe(name).learning(paper).task
    blocks, had = task.architecture.num_blocks, task.architecture.biases
    assert adapted.conditions.input_gate_bias == input_gate_bias[:blocks]
    assert adapted.architecture.biases == (had if biases == "gates" and had != "none" else biases)
    if name == "gate-bias":
        assert adapted.conditions.learning_rate == paper.conditions.learning_rate
    architecture = dataclasses.replace(
        task.architecture, biases=adapted.architecture.biases, output="logistic_1"
    )
    conditions = dataclasses.replace(
        task.conditions,
        learning_rate=adapted.conditions.learning_rate,
        input_gate_bias=adapted.conditions.input_gate_bias,
    )
    assert adapted == dataclasses.replace(task, architecture=architecture, conditions=conditions)


@pytest.mark.parametrize("row", ["2a", "2b"])
def test_end_error_asks_for_the_last_target_alone(row: str):
    """The same sequences; the outputs of all other steps are neither learned nor judged."""
    paper = tasks.make_task(row)
    adapted = make_recipe("end-error").learning(paper).task
    key = jax.random.key(3)
    example, expected = adapted.sample(key, None), paper.sample(key, None)
    np.testing.assert_array_equal(example.inputs, expected.inputs)
    np.testing.assert_array_equal(example.targets, expected.targets[-1])
    for distance, is_right in ((0.24, True), (0.26, False)):
        assert adapted.is_correct(jnp.abs(example.targets - distance), example) == is_right


def test_end_error_leaves_alone_what_has_it_and_refuses_what_cannot():
    task = tasks.make_task("6a")
    at_end, same = (
        make_recipe(name).learning(task).task for name in ("end-error", "cross-entropy")
    )
    assert at_end == same
    with pytest.raises(ValueError, match="end-error needs sequences of one length, got task 1-1"):
        make_recipe("end-error").learning(tasks.make_task("1-1"))


@pytest.mark.parametrize(
    ("name", "rate_after"),
    [
        ("adam", lambda n: 0.01 / math.sqrt(1 + n / 5000)),
        ("adam-gate-bias", lambda n: 0.01 / math.sqrt(1 + n / 5000)),
        ("adam-swapped", lambda n: 0.02),
        ("adam-full-gradient", lambda n: 0.01),
    ],
)
def test_adam_s_steps_are_its_rate(name: str, rate_after: Callable[[int], float]):
    """A gradient that never changes makes every step the rate, by Adam's definition."""
    optimiser = make_recipe(name).learning(tasks.make_task("6a")).method.optimiser
    weights = jnp.zeros(2)
    with jax.numpy_dtype_promotion("standard"):  # Adam mixes dtypes, which tests forbid
        state = optimiser.init(weights)
        for n in range(50):
            updates, state = optimiser.update(jnp.array([3.0, -0.2]), state, weights)
            expected = rate_after(n) * np.array([-1.0, 1.0])
            np.testing.assert_allclose(updates, expected, rtol=1e-4)


def test_the_recipes_of_the_full_gradient_say_so():
    full = {name for name, recipe in RECIPES.items() if recipe.gradient == "full"}
    assert full == {"full-gradient", "adam-full-gradient"}
    assert all("exact gradient" in RECIPES[name].changes for name in full)


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
