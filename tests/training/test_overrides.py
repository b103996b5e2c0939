"""Every override changes the gradient, the start or the updates of a trial as it says.

Gradients are compared with the NumPy oracle's. They are read off one update with the learning rate
2^20, so large that the new weights are the gradient and little else.
"""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers import assert_close, assert_equal
from small_tasks import COPY, LATCH, make_runner, oracle_gradient, take_trial, training_key

from lstm_jax.cell.parameters import initialise
from lstm_jax.cell.records import Parameters
from lstm_jax.network.losses import Loss
from lstm_jax.tasks import Example, Task, make_task, replace_hyperparameters
from lstm_jax.training.recipes import overrides
from lstm_jax.training.recipes.recipe import make_recipe
from lstm_jax.training.trials.training_loop import TrainingLoop
from lstm_jax.training.update_rules.per_sequence import Model, PerSequenceUpdate
from lstm_jax.training.update_rules.per_sequence import draw_weights as draw_weights_of
from lstm_jax.training.update_rules.per_step import PerStepUpdate

RATE = 2.0**20
TASKS = pytest.mark.parametrize("task", [LATCH, COPY], ids=lambda task: task.name)


def override(task: Task, text: str) -> Task:
    return make_recipe(f"paper+{text}").apply(task)


def draw_weights(task: Task, seed: int = 0) -> Parameters:
    return draw_weights_of(jax.random.key(seed), task.architecture, task.hyperparameters)


def draw(task: Task, num_trials: int = 3) -> tuple[list[Example], list[Parameters]]:
    """A training sequence and initial weights for each of some trials."""
    trials = range(num_trials)
    examples = [task.sample(training_key(trial, 0), None) for trial in trials]
    return examples, [draw_weights(task, trial) for trial in trials]


def in_float64(tree):
    """Floating arrays in double precision; integers in JAX's default type."""
    wide = lambda a: jnp.asarray(a, float if jnp.issubdtype(a.dtype, jnp.floating) else int)
    return jax.tree.map(wide, tree)


def gradients(
    task: Task, examples: list[Example], weights: list[Parameters], previous=None
) -> list[Parameters]:
    """The gradient by which the task's update rule changes each trial's weights, in float64."""
    rule = PerSequenceUpdate(task, optax.sgd(RATE))
    stack = lambda trees: jax.tree.map(lambda *a: jnp.stack(a, -1), *trees)
    with jax.enable_x64(True):
        now, batch = in_float64(stack(weights)), in_float64(stack(examples))
        before = None if previous is None else in_float64(stack(previous))
        running = jnp.ones(len(weights), bool)
        model = Model(now, rule.optimiser.init(now), running, jnp.zeros(len(weights)), before)
        new, _ = jax.jit(rule.train_step)(model, batch, 0, running)
        change = jax.tree.map(lambda a, b: (b - a) / RATE, new.parameters, now)
        return [take_trial(change, trial) for trial in range(len(weights))]


def start_trial(rule: PerStepUpdate, seed: int) -> Model:
    """The untrained model of one trial."""
    return take_trial(rule.init(jax.random.key_data(jax.random.key(seed))[:, None]), 0)


def test_every_override_says_what_it_changes():
    for spec in overrides.OVERRIDES.values():
        assert spec.description and ("{" in spec.description) == (spec.parse is not None)


@TASKS
@pytest.mark.parametrize(
    ("text", "loss"),
    [
        ("linear-output", {}),
        ("cross-entropy", {"squared": 0.0, "cross_entropy": 1.0}),
        ("derivative-offset=0.1+tolerance=0.45", {"cross_entropy": 0.1, "tolerance": 0.45}),
        ("g=centred_1+h=identity+recurrent=none+biases=gates", {}),
        ("recurrent=cells+initial-activation=0.5+biases=gates", {}),
        ("forget-gates+peepholes+forget-gate-bias=1", {}),
        ("biases=all+input-gate-bias=-3,-6+init-range-factor=8", {}),
        ("targets=0.1,0.9", {}),
    ],
)
def test_gradients_equal_the_oracle(task: Task, text: str, loss: dict[str, float]):
    task = override(task, text)
    examples, weights = draw(task)
    for trial, found in enumerate(gradients(task, examples, weights)):
        expected = oracle_gradient(task, weights[trial], examples[trial], **loss)
        assert_close(found, expected, 1e-7)  # 2^20 times a small gradient, next to the weights


@TASKS
def test_updates_after_the_next_first_step_equal_the_oracle(task: Task):
    """The first step uses the weights before the last update; the gradient is by both."""
    examples, weights = draw(task)
    before = [jax.tree.map(lambda w: w[..., ::-1] - 0.1, tree) for tree in weights]
    delayed = override(task, "update=next-first-step")
    for trial, found in enumerate(gradients(delayed, examples, weights, before)):
        expected = oracle_gradient(task, weights[trial], examples[trial], before[trial])
        assert_close(found, expected, 1e-7)


def test_a_delayed_update_saves_the_weights_before_the_last_update():
    loop = TrainingLoop(override(LATCH, "update=next-first-step"), chunk=1)
    runner = make_runner(loop, range(2))
    before = runner.state().trials.model
    assert_equal(before.previous, before.parameters)
    runner.run_chunk()
    after = runner.state().trials.model
    assert_equal(after.previous, before.parameters)
    assert np.any(after.parameters.output.bias != before.parameters.output.bias)


@pytest.mark.parametrize("loss", [Loss(), Loss(cross_entropy=0.1, tolerance=0.2)])
@TASKS
def test_updates_after_every_step_are_the_sequence_s_to_first_order(task: Task, loss: Loss):
    """With the loss at the end there is one update, by the sequence's gradient."""
    rate = 1e-6
    rule = PerStepUpdate(replace_hyperparameters(task, loss=loss), optax.sgd(rate))
    examples, weights = draw(task)
    with jax.enable_x64(True):
        train_trial = jax.jit(rule.train_trial)
        for example, parameters in zip(examples, weights, strict=True):
            parameters, example = in_float64((parameters, example))
            model = Model(parameters, rule.optimiser.init(parameters), np.True_, np.float32(0))
            new, outputs = train_trial(model, example)
            change = jax.tree.map(lambda a, b: (a - b) / rate, parameters, new.parameters)
            tolerance = 1e-5 if task.error_at == "end" else 1e-4
            expected = oracle_gradient(task, parameters, example, **vars(loss))
            assert_close(change, expected, tolerance)
            assert_close(outputs, PerSequenceUpdate.outputs(rule, model, example), tolerance)


def test_the_first_of_several_step_updates_is_by_the_gradient_of_the_first_step():
    rate = 0.3
    rule = PerStepUpdate(COPY, optax.sgd(rate))
    train_trial, model = jax.jit(rule.train_trial), start_trial(rule, 5)
    example = COPY.sample(training_key(5, 0), None)
    one, two = (example._replace(length=jnp.int32(length)) for length in (1, 2))
    after_one, after_two = (train_trial(model, some)[0].parameters for some in (one, two))
    gradient = oracle_gradient(COPY, model.parameters, one)
    expected = jax.tree.map(lambda w, g: w - rate * g, model.parameters, gradient)
    assert_close(after_one, expected, 1e-6)
    assert np.all(np.abs(after_two.output.bias - after_one.output.bias) > 1e-4)


def test_step_updates_do_not_change_blocks_that_have_not_been_added():
    task = dataclasses.replace(COPY, sequential_construction=True)
    rule = PerStepUpdate(task, optax.sgd(0.5))
    model = start_trial(rule, 1)
    new, _ = jax.jit(rule.train_trial)(model, task.sample(training_key(0, 0), None))
    before, after = model.parameters, new.parameters
    assert_equal(after.layer, before.layer._replace(hidden=after.layer.hidden))
    assert_equal(after.output.cell, before.output.cell)
    assert np.any(after.output.bias != before.output.bias)


# The start -------------------------------------------------------------------------------------


def test_given_gate_biases_are_set_or_added():
    task = make_task("3a-100-3")
    init_range = task.hyperparameters.init_range
    random = initialise(jax.random.key(2), task.architecture, init_range=init_range).layer
    given = draw_weights(task, 2).layer
    added = draw_weights(override(task, "add-gate-bias"), 2).layer
    for gate, bias in (("input_gate", (-1, -3, -5)), ("output_gate", (-2, -4, -6))):
        drawn = getattr(random, gate).bias
        np.testing.assert_array_equal(getattr(given, gate).bias, bias)
        np.testing.assert_allclose(getattr(added, gate).bias, drawn + np.float32(bias), rtol=1e-6)
        assert np.any(drawn != 0)
    assert_equal(added.cell, given.cell)


def test_forget_gates_have_the_given_biases():
    task = override(make_task("2c-50-50"), "forget-gates+forget-gate-bias=5")
    assert task.architecture.biases == "gates" and task.architecture.forget_gates
    np.testing.assert_array_equal(draw_weights(task).layer.forget_gate.bias, [5.0, 5.0])
    added = draw_weights(override(task, "add-gate-bias")).layer.forget_gate.bias
    assert np.all(added != 5) and np.all(np.abs(added - 5) <= 0.2)
    with pytest.raises(ValueError, match="forget-gate-bias needs forget gates, task 6a has none"):
        override(make_task("6a"), "forget-gate-bias=5")


@pytest.mark.parametrize(
    ("row", "text", "fields"),
    [
        ("6a", "learning-rate=0.25", {"learning_rate": 0.25}),
        ("6a", "learning-rate-factor=3", {"learning_rate": 1.5}),
        ("6a", "init-range=0.7", {"init_range": 0.7}),
        ("6a", "init-range-factor=8", {"init_range": 0.8}),
        ("6a", "input-gate-bias=-3,-6,-9", {"input_gate_bias": (-3.0, -6.0)}),
        ("6b", "input-gate-bias=-3,-6,-9", {"input_gate_bias": (-3.0, -6.0, -9.0)}),
        ("6b", "input-gate-bias=-2", {"input_gate_bias": (-2.0, -2.0, -2.0)}),
        ("3a-100-3", "output-gate-bias=random", {"output_gate_bias": None}),
        ("6a", "optimiser=adam-inverse-sqrt", {"optimiser": "adam_inverse_sqrt"}),
        ("6a", "full-gradient", {"gradient": "full"}),
        ("6a", "update=step", {"update_after": "step"}),
    ],
)
def test_hyperparameters_are_set_or_multiplied(row: str, text: str, fields: dict):
    """A gate bias is for all blocks, or one per block, of which as many as there are count."""
    task = make_task(row)
    assert override(task, text) == replace_hyperparameters(task, **fields)


def test_added_blocks_have_the_last_block_s_gate_biases():
    task = make_task("6a")
    for sizes, biases in (((2, 1, 3), (-2.0, -4.0, -4.0)), ((4,), (-2.0,))):
        found = override(task, f"blocks={','.join(map(str, sizes))}")
        assert found.architecture == dataclasses.replace(task.architecture, blocks=sizes)
        assert found.hyperparameters == dataclasses.replace(
            task.hyperparameters, input_gate_bias=biases
        )
    both = override(task, "blocks=1,1,1+input-gate-bias=-1,-2,-3")
    assert both.hyperparameters.input_gate_bias == (-1.0, -2.0, -3.0)


@pytest.mark.parametrize(
    ("row", "text", "num_biases"),
    [
        ("1-2", "extra-biases=output", 7),
        ("1-2", "extra-biases=cell,output", 13),
        ("6a", "extra-biases=output", 0),
        ("2c-50-50", "input-gate-bias=-3", 4),
        ("6a", "input-gate-bias=-3", 0),
    ],
)
def test_biases_are_added_to_units_without_one(row: str, text: str, num_biases: int):
    task = make_task(row)
    added = override(task, text).architecture.num_weights - task.architecture.num_weights
    assert added == num_biases


# Sequences and rules ---------------------------------------------------------------------------


def test_the_interval_of_both_rules_and_the_chunk_are_set():
    paper = make_task("3a-100-3")
    loop = TrainingLoop(override(paper, "test-interval=250"))
    rules = [dataclasses.replace(rule, interval=250) for rule in (paper.rule, paper.first_rule)]
    assert ([loop.task.rule, loop.task.first_rule], loop.chunk) == (rules, 250)


def test_rescaled_targets_are_also_those_of_the_criterion():
    task = override(make_task("6a"), "targets=0.1,0.9")
    example, unscaled = (t.sample(jax.random.key(0), None) for t in (task, make_task("6a")))
    np.testing.assert_allclose(example.targets, 0.1 + 0.8 * unscaled.targets, rtol=1e-6)
    np.testing.assert_array_equal(example.true_targets, example.targets)
    assert task.is_correct(example.targets, example)


def test_a_fixed_training_set_is_per_trial_and_tests_are_fresh():
    task = override(make_task("6a"), "training-set=5")
    sets = [task.prepare(jax.random.key(0), trial) for trial in (0, 1)]
    assert np.any(sets[0].inputs != sets[1].inputs)
    sample = jax.vmap(task.sample, in_axes=(0, None))
    drawn = sample(jax.random.split(jax.random.key(1), 200), sets[0])
    known, found = ({row.tobytes() for row in np.asarray(s.inputs)} for s in (sets[0], drawn))
    assert found == known and len(known) == 5
    fresh = task.sample_test(jax.random.key(2), sets[0])
    assert_equal(fresh, make_task("6a").sample(jax.random.key(2), None))


def test_a_trial_with_a_training_set_of_one_sequence_is_soon_solved():
    task = dataclasses.replace(LATCH, rule=dataclasses.replace(LATCH.rule, window=10))
    (result,) = make_runner(TrainingLoop(override(task, "training-set=1")), [0]).run()
    assert result.solved and result.sequences < 100
