"""`paper` is the paper's conditions; every other recipe says what it changes."""

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
from lstm_jax.network.losses import LOSSES, Loss
from lstm_jax.training.recipes.recipe import (
    CHUNK,
    IN_ROWS,
    SHORT_NAMES,
    make_recipe,
)
from lstm_jax.training.trials.training_loop import TrainingLoop


@pytest.mark.parametrize("row", tasks.row_names())
def test_the_paper_s_recipe_is_plain_sgd_with_the_truncated_gradient(row: str):
    """Δw = -a times the gradient, with the row's own a, network, initial weights and rule."""
    task = tasks.make_task(row)
    loop = TrainingLoop(task)
    assert loop.task is task and loop.update_rule.task is task
    assert loop.update_rule.gradient == "truncated"
    gradient = jnp.array([1.0, -0.5])
    updates, _ = loop.update_rule.optimiser.update(
        gradient, loop.update_rule.optimiser.init(gradient)
    )
    rate = task.hyperparameters.learning_rate
    assert updates.tolist() == jnp.float32([-rate, 0.5 * rate]).tolist()


@pytest.mark.parametrize("name", SHORT_NAMES)
def test_every_recipe_but_the_paper_s_says_what_it_changes(name: str):
    recipe = make_recipe(name)
    assert recipe.name == name and bool(recipe.changes) == (name != "paper")
    assert all(choice.words in recipe.changes for choice in recipe.overrides)


def test_a_chunk_is_the_interval_between_tests_where_the_rule_has_one():
    tested = dataclasses.replace(LATCH, rule=tasks.TestRule(interval=10, size=4))
    assert TrainingLoop(tested).chunk == 10
    assert TrainingLoop(LATCH).chunk == CHUNK


def test_with_sequential_construction_the_error_is_looked_at_more_often():
    growing = dataclasses.replace(LATCH, sequential_construction=True)
    assert TrainingLoop(growing).chunk == growing.construction_interval == 100
    assert TrainingLoop(make_recipe("paper+construction-interval=70").apply(LATCH)).chunk == 70
    with pytest.raises(ValueError, match="grow must be the test interval, 1000, for task 3a-100-3"):
        make_recipe("paper+construction-interval=70").setup(tasks.make_task("3a-100-3"))
    both = make_recipe("paper+construction-interval=70+test-interval=70").loop(
        tasks.make_task("3a-100-3")
    )
    assert both.chunk == 70 and both.task.sequential_construction


@pytest.mark.parametrize("row", tasks.row_names())
@pytest.mark.parametrize("name", ["cross-entropy", "swapped", "linear", "adam"])
def test_a_recipe_changes_nothing_of_a_task_but_what_it_says(row: str, name: str):
    task = tasks.make_task(row)
    adapted = TrainingLoop(make_recipe(name).apply(task)).task
    changed = dataclasses.replace(
        adapted,
        architecture=dataclasses.replace(
            adapted.architecture,
            cell_input=task.architecture.cell_input,
            cell_output=task.architecture.cell_output,
        ),
        hyperparameters=dataclasses.replace(
            adapted.hyperparameters, learning_rate=task.hyperparameters.learning_rate
        ),
    )
    assert changed == task
    rates = {"swapped": {"2c-": 0.005}, "adam": {"2a": 0.03, "": 0.01}}.get(name, {})
    rate = next((r for start, r in rates.items() if row.startswith(start)), None)
    assert adapted.hyperparameters.learning_rate == (rate or task.hyperparameters.learning_rate)
    error = TrainingLoop(make_recipe(name).apply(task)).update_rule.error
    assert error == (Loss() if name == "linear" else LOSSES["cross_entropy"])


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
    task = TrainingLoop(make_recipe(base).apply(paper)).task
    adapted = TrainingLoop(make_recipe(name).apply(paper)).task
    blocks, had = task.architecture.num_blocks, task.architecture.biases
    assert adapted.hyperparameters.input_gate_bias == input_gate_bias[:blocks]
    assert adapted.architecture.biases == (had if biases == "gates" and had != "none" else biases)
    if name == "gate-bias":
        assert adapted.hyperparameters.learning_rate == paper.hyperparameters.learning_rate
    architecture = dataclasses.replace(task.architecture, biases=adapted.architecture.biases)
    assert TrainingLoop(make_recipe(name).apply(paper)).update_rule.error == LOSSES["cross_entropy"]
    hyperparameters = dataclasses.replace(
        task.hyperparameters,
        learning_rate=adapted.hyperparameters.learning_rate,
        input_gate_bias=adapted.hyperparameters.input_gate_bias,
    )
    assert adapted == dataclasses.replace(
        task, architecture=architecture, hyperparameters=hyperparameters
    )


@pytest.mark.parametrize("row", ["2a", "2b"])
def test_end_error_asks_for_the_last_target_alone(row: str):
    """The same sequences; the outputs of all other steps are neither learned nor judged."""
    paper = tasks.make_task(row)
    adapted = TrainingLoop(make_recipe("end-error").apply(paper)).task
    key = jax.random.key(3)
    example, expected = adapted.sample(key, None), paper.sample(key, None)
    np.testing.assert_array_equal(example.inputs, expected.inputs)
    np.testing.assert_array_equal(example.targets, expected.targets[-1])
    for distance, is_right in ((0.24, True), (0.26, False)):
        assert adapted.is_correct(jnp.abs(example.targets - distance), example) == is_right


def test_end_error_leaves_alone_what_has_it_and_refuses_what_cannot():
    task = tasks.make_task("6a")
    at_end, same = (
        TrainingLoop(make_recipe(name).apply(task)).task for name in ("end-error", "cross-entropy")
    )
    assert at_end == same
    with pytest.raises(ValueError, match=r"error-at-end needs .* of one length, got task 1-1"):
        make_recipe("end-error").loop(tasks.make_task("1-1"))


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
    optimiser = make_recipe(name).loop(tasks.make_task("6a")).method.optimiser
    weights = jnp.zeros(2)
    with jax.numpy_dtype_promotion("standard"):  # Adam mixes dtypes, which tests forbid
        state = optimiser.init(weights)
        for n in range(50):
            updates, state = optimiser.update(jnp.array([3.0, -0.2]), state, weights)
            expected = rate_after(n) * np.array([-1.0, 1.0])
            np.testing.assert_allclose(updates, expected, rtol=1e-4)


def test_the_recipes_of_the_full_gradient_say_so():
    full = {name for name in SHORT_NAMES if make_recipe(name).gradient == "full"}
    assert full == {"full-gradient", "adam-full-gradient", "modern"}
    for name in full:
        recipe = make_recipe(name)
        assert "exact gradient" in recipe.changes
        assert recipe.loop(tasks.make_task("6a")).method.gradient == "full"


def test_a_short_name_means_its_list():
    """...and may be followed by more; the order of departures is no matter."""
    task = tasks.make_task("6a")
    spelled = make_recipe(
        "paper+learning-rate=0.01+h=identity+optimiser=adam-inverse-sqrt+g=centred_1+cross-entropy"
    )
    assert spelled.overrides == make_recipe("adam").overrides
    assert spelled.setup(task) == make_recipe("adam").setup(task)
    further = make_recipe("adam+tolerance=0.1")
    assert further.overrides == make_recipe(f"{spelled.name}+tolerance=0.1").overrides


def test_the_modern_recipe_is_what_today_s_libraries_have():
    """...but for blocks and output units, which are the row's own."""
    setup = make_recipe("modern").setup(tasks.make_task("6b"))
    own = tasks.make_task("6b").architecture
    today = modern(own.num_inputs, own.num_cells)
    named = {"blocks": own.blocks, "num_outputs": own.num_outputs, "output": "logistic"}
    assert setup.task.architecture == dataclasses.replace(today, **named, biases="all")
    assert setup.task.hyperparameters.forget_gate_bias == (5.0, 5.0, 5.0)


def test_what_a_short_name_means_in_some_rows_stands_in_its_words():
    for name, rows in IN_ROWS.items():
        changes = make_recipe(name).changes
        assert all(f"for {row}" in changes for row in rows)


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
def test_one_recipe_has_one_name(text: str, name: str):
    """...in which nothing is that a file's name could not hold."""
    recipe = make_recipe(text)
    assert recipe.name == name == make_recipe(name).name
    assert re.fullmatch(r"[\w+=.,-]{1,200}", recipe.name)
    assert recipe == make_recipe(name)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("best", "recipe must begin with one of paper, .*, got 'best'"),
        ("linear-output", "recipe must begin with one of paper, .*, got 'linear-output'"),
        ("paper+best", "departure must be one of linear-output, .*, got 'best'"),
        ("paper+", "departure must be one of linear-output, .*, got ''"),
        ("paper+rate", "departure rate must be a positive number, got ''"),
        ("paper+rate=-1", "departure rate must be a positive number, got '-1'"),
        ("paper+rate=nan", "departure rate must be a positive number, got 'nan'"),
        ("paper+init-range=inf", "departure init-range must be a positive number, got 'inf'"),
        ("paper+linear-output=1", "departure linear-output takes no value, got '1'"),
        ("paper+h=cube", "departure h must be one of logistic, .*, got 'cube'"),
        ("paper+input-gate-bias=-3,x", "must be finite numbers with commas between, got '-3,x'"),
        ("paper+targets=0.9,0.1", "must be two numbers in .* lower first, got '0.9,0.1'"),
        ("paper+extra-biases=gates", "must be of input_gate, .*output, with commas .*got 'gates'"),
        ("paper+training-set=0", "must be a whole number of at least 1, got '0'"),
        ("paper+update=never", "departure update must be one of step, next-first-step, got"),
        (
            "paper+learning-rate=1+learning-rate=2",
            "must decide the rate once, got learning-rate=1 and learning-rate=2",
        ),
        (
            "paper+learning-rate=1+learning-rate-factor=2",
            "must decide the rate once, got learning-rate=1 and learning-rate-factor=2",
        ),
        (
            "adam+learning-rate=1",
            "must decide the rate once, got learning-rate=0.01 and learning-rate=1",
        ),
        (
            "paper+linear-output+cross-entropy",
            "decide the error at net_k once, got linear-output and cross-entropy",
        ),
        ("paper+output-gate-bias=" + ",".join(["-1.25"] * 60), "at most 200 characters"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_one_line(text: str, message: str):
    with pytest.raises(ValueError, match=message) as raised:
        make_recipe(text)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("text", "row", "message"),
    [
        ("output-gate-bias=-1", "2a", "output-gate-bias needs output gates, task 2a has none"),
        (
            "input-gate-bias=-1,-2",
            "6b",
            r"one number or at least 3, .* for task 6b, got 2",
        ),
        ("test-interval=100", "6a", "test-interval needs a rule that tests, task 6a has none"),
        ("training-set=100", "1-1", "training-set needs fresh sequences, task 1-1 has a set"),
        ("init-range=1e39", "6a", "init_range must be positive and a finite number of float32"),
        (
            "learning-rate=1e39",
            "6a",
            "learning_rate must be not negative and a finite number of float32",
        ),
        ("update=step+full-gradient", "6a", "update=step needs the truncated gradient"),
    ],
)
def test_what_a_task_cannot_have_is_refused(text: str, row: str, message: str):
    with pytest.raises(ValueError, match=message):
        make_recipe(f"paper+{text}").loop(tasks.make_task(row))
