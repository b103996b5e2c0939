"""The recipe `paper` changes nothing; every other recipe describes what it changes."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_tasks import LATCH

from lstm_jax import tasks
from lstm_jax.network.interop import modern
from lstm_jax.network.losses import LOSSES
from lstm_jax.tasks import replace_architecture, replace_hyperparameters
from lstm_jax.training.recipes.recipe import NAMED, NAMED_IN_ROWS, make_recipe
from lstm_jax.training.trials.training_loop import CHUNK, TrainingLoop, make_update_rule


@pytest.mark.parametrize("row", tasks.row_names())
def test_the_paper_s_recipe_is_plain_sgd_with_the_truncated_gradient(row: str):
    """The update is -a times the gradient, with the row's learning rate, network and rule."""
    task = tasks.make_task(row)
    assert make_recipe("paper").apply(task) is task
    rule = make_update_rule(task)
    assert rule.task is task and task.hyperparameters.gradient == "truncated"
    gradient = jnp.array([1.0, -0.5])
    updates, _ = rule.optimiser.update(gradient, rule.optimiser.init(gradient))
    rate = task.hyperparameters.learning_rate
    assert updates.tolist() == jnp.float32([-rate, 0.5 * rate]).tolist()


@pytest.mark.parametrize("name", NAMED)
def test_every_other_recipe_describes_what_it_changes(name: str):
    recipe = make_recipe(name)
    assert recipe.name == name and bool(recipe.changes) == (name != "paper")
    assert all(override.description in recipe.changes for override in recipe.overrides)
    assert all(f" {row}," in f"{recipe.changes}," for row in NAMED_IN_ROWS.get(name, {}))
    is_full = make_recipe(name).apply(LATCH).hyperparameters.gradient == "full"
    assert is_full == ("exact gradient" in recipe.changes)
    assert is_full == (name in {"full-gradient", "adam-full-gradient", "modern"})


def test_a_chunk_is_the_interval_of_the_rule_or_of_the_construction():
    assert TrainingLoop(LATCH).chunk == CHUNK
    tested = dataclasses.replace(LATCH, rule=tasks.TestRule(interval=10, size=4))
    assert TrainingLoop(tested).chunk == 10
    constructed = dataclasses.replace(LATCH, sequential_construction=True)
    assert TrainingLoop(constructed).chunk == constructed.construction_interval == 100


@pytest.mark.parametrize(
    ("name", "loss", "g", "h", "rates"),
    [
        ("cross-entropy", "cross_entropy", None, None, {}),
        ("swapped", "cross_entropy", "centred_1", "centred_2", {"2c-": 0.005}),
        ("linear", "squared", "centred_1", "identity", {}),
        ("adam", "cross_entropy", "centred_1", "identity", {"2a": 0.03, "": 0.01}),
    ],
)
def test_a_recipe_changes_nothing_else_of_a_task(
    name: str, loss: str, g: str | None, h: str | None, rates: dict[str, float]
):
    """Rates are those of rows whose names begin so."""
    for row in tasks.row_names():
        task = tasks.make_task(row)
        rate = next((r for start, r in rates.items() if row.startswith(start)), None)
        expected = replace_architecture(
            task,
            cell_input=g or task.architecture.cell_input,
            cell_output=h or task.architecture.cell_output,
        )
        expected = replace_hyperparameters(
            expected,
            loss=LOSSES[loss],
            learning_rate=rate or task.hyperparameters.learning_rate,
            optimiser="adam_inverse_sqrt" if name == "adam" else "sgd",
        )
        assert make_recipe(name).apply(task) == expected


@pytest.mark.parametrize(
    ("name", "base", "biases", "values", "fields"),
    [
        ("gate-bias", "linear+cross-entropy", "gates", [-2.0] * 4, {}),
        ("adam-gate-bias", "adam", "all", [-3.0] * 4, {}),
        (
            "adam-swapped",
            "swapped",
            "all",
            [-1.0, -2.0, -3.0, -4.0],
            {"optimiser": "adam", "learning_rate": 0.02},
        ),
        (
            "adam-full-gradient",
            "swapped",
            "all",
            [-1.0, -2.0, -3.0, -4.0],
            {"optimiser": "adam", "learning_rate": 0.01, "gradient": "full"},
        ),
    ],
)
def test_a_recipe_of_biases_adds_them_to_another_recipe(
    name: str, base: str, biases: str, values: list[float], fields: dict
):
    for row in tasks.row_names():
        paper = tasks.make_task(row)
        task = make_recipe(base).apply(paper)
        had, num_blocks = task.architecture.biases, task.architecture.num_blocks
        are_there = biases == "gates" and had != "none"
        expected = replace_architecture(task, biases=had if are_there else biases)
        expected = replace_hyperparameters(expected, input_gate_bias=values[:num_blocks], **fields)
        assert make_recipe(name).apply(paper) == expected


@pytest.mark.parametrize("row", ["2a", "2b"])
def test_end_error_removes_all_targets_but_the_last(row: str):
    """The sequences are the same; the outputs of other steps have no loss and are not judged."""
    paper = tasks.make_task(row)
    task = make_recipe("end-error").apply(paper)
    example, expected = (t.sample(jax.random.key(3), None) for t in (task, paper))
    np.testing.assert_array_equal(example.inputs, expected.inputs)
    np.testing.assert_array_equal(example.targets, expected.targets[-1])
    for distance, is_correct in ((0.24, True), (0.26, False)):
        assert task.is_correct(jnp.abs(example.targets - distance), example) == is_correct


def test_end_error_changes_nothing_where_the_error_is_at_the_end():
    task = tasks.make_task("6a")
    assert make_recipe("end-error").apply(task) == make_recipe("cross-entropy").apply(task)


@pytest.mark.parametrize(
    ("name", "rate_after"),
    [
        ("adam", lambda n: 0.01 / math.sqrt(1 + n / 5000)),
        ("adam-gate-bias", lambda n: 0.01 / math.sqrt(1 + n / 5000)),
        ("adam-swapped", lambda n: 0.02),
        ("adam-full-gradient", lambda n: 0.01),
    ],
)
@jax.numpy_dtype_promotion("standard")  # as Adam needs it
def test_the_steps_of_adam_are_its_learning_rate(name: str, rate_after: Callable[[int], float]):
    """For a constant gradient, every step of Adam is the learning rate, by its definition."""
    optimiser = make_update_rule(make_recipe(name).apply(tasks.make_task("6a"))).optimiser
    weights = jnp.zeros(2)
    state = optimiser.init(weights)
    for n in range(50):
        updates, state = optimiser.update(jnp.array([3.0, -0.2]), state, weights)
        np.testing.assert_allclose(updates, rate_after(n) * np.array([-1.0, 1.0]), rtol=1e-4)


def test_a_named_set_is_its_overrides_in_any_order():
    task = tasks.make_task("6a")
    spelled = make_recipe(
        "paper+learning-rate=0.01+h=identity+optimiser=adam-inverse-sqrt+g=centred_1+cross-entropy"
    )
    assert spelled.overrides == make_recipe("adam").overrides
    assert spelled.apply(task) == make_recipe("adam").apply(task)
    further = make_recipe("adam+tolerance=0.1")
    assert further.overrides == make_recipe(f"{spelled.name}+tolerance=0.1").overrides


def test_the_modern_recipe_is_the_cell_of_current_libraries():
    """The blocks and the output units are still those of the row."""
    task = tasks.make_task("6b")
    found, paper = make_recipe("modern").apply(task), task.architecture
    library = modern(paper.num_inputs, paper.num_cells)
    row = {"blocks": paper.blocks, "num_outputs": paper.num_outputs, "output": "logistic"}
    assert found.architecture == dataclasses.replace(library, **row, biases="all")
    assert found.hyperparameters.forget_gate_bias == (5.0, 5.0, 5.0)


def test_rows_with_the_same_change_are_named_together():
    *_, change = make_recipe("swapped").changes.split("; ")
    assert change.startswith("a = 0.005 for 2c-50-50, 2c-100-100, ")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("paper+h=identity+linear-output", "paper+linear-output+h=identity"),
        ("paper+input-gate-bias=-3.00,-6", "paper+input-gate-bias=-3,-6"),
        ("paper+init-range=1e-1", "paper+init-range=0.1"),
        ("paper+learning-rate=1e-7", "paper+learning-rate=1e-07"),
        ("paper+extra-biases=output,cell", "paper+extra-biases=cell,output"),
        ("paper+targets=.1,.9", "paper+targets=0.1,0.9"),
    ],
)
def test_equal_recipes_have_one_name_that_is_valid_in_file_names(text: str, name: str):
    recipe = make_recipe(text)
    assert recipe.name == name and recipe == make_recipe(name)
    assert re.fullmatch(r"[\w+=.,-]{1,200}", recipe.name)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("best", "recipe must begin with one of paper, .*, got 'best'"),
        ("linear-output", "recipe must begin with one of paper, .*, got 'linear-output'"),
        ("paper+best", "override must be one of linear-output, .*, got 'best'"),
        ("paper+", "override must be one of linear-output, .*, got ''"),
        ("paper+learning-rate", "override learning-rate must be a positive number, got ''"),
        ("paper+learning-rate=-1", "override learning-rate must be a positive number, got '-1'"),
        ("paper+learning-rate=nan", "override learning-rate must be a positive number, got 'nan'"),
        ("paper+init-range=inf", "override init-range must be a positive number, got 'inf'"),
        ("paper+linear-output=1", "override linear-output takes no value, got '1'"),
        ("paper+h=cube", "override h must be one of logistic, .*, got 'cube'"),
        ("paper+input-gate-bias=-3,x", "must be random, or finite numbers, .*, got '-3,x'"),
        ("paper+targets=0.9,0.1", "must be two numbers in .* lower first, got '0.9,0.1'"),
        ("paper+extra-biases=gates", "must be of input_gate, .*, comma-separated, got 'gates'"),
        ("paper+training-set=0", "must be an integer of at least 1, got '0'"),
        ("paper+update=never", "override update must be one of step, next-first-step, got"),
        (
            "paper+learning-rate=1+learning-rate=2",
            "must change the learning rate once, got learning-rate=1 and learning-rate=2",
        ),
        (
            "adam+learning-rate-factor=2",
            "change the learning rate once, got learning-rate=0.01 and learning-rate-factor=2",
        ),
        (
            "paper+linear-output+cross-entropy",
            "change the error at net_k once, got linear-output and cross-entropy",
        ),
        ("paper+output-gate-bias=" + ",".join(["-1.25"] * 60), "at most 200 characters"),
    ],
)
def test_recipes_that_do_not_exist_are_refused_in_one_line(text: str, message: str):
    with pytest.raises(ValueError, match=message) as raised:
        make_recipe(text)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("text", "row", "message"),
    [
        ("output-gate-bias=-1", "2a", "output-gate-bias needs output gates, task 2a has none"),
        ("input-gate-bias=-1,-2", "6b", r"one number or at least 3, .* for task 6b, got 2"),
        ("error-at-end", "1-1", "error-at-end needs .* of one length, got task 1-1"),
        ("test-interval=100", "6a", "test-interval needs a rule that tests, task 6a has none"),
        ("training-set=100", "1-1", "training-set needs fresh sequences, task 1-1 has a set"),
        ("init-range=1e39", "6a", "init_range must be .* finite number of float32"),
        ("learning-rate=1e39", "6a", "learning_rate must be .* finite number of float32"),
        ("update=step+full-gradient", "6a", 'update_after="step" needs gradient="truncated"'),
    ],
)
def test_overrides_that_a_task_cannot_have_are_refused(text: str, row: str, message: str):
    with pytest.raises(ValueError, match=message):
        TrainingLoop(make_recipe(f"paper+{text}").apply(tasks.make_task(row)))
