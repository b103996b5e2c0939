"""Every departure changes the gradient, the start or the updates of a trial as it says.

Gradients are those of the NumPy oracle, by the trainer's own step with a = 2^20: an update so large
that the weights then hold the gradient and little else.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import oracle
import pytest
from helpers import assert_close, assert_equal, from_oracle, to_oracle
from lstm_jax.training.recipes.setup import Setup
from small_tasks import COPY, LATCH, lane, training_key

from lstm_jax.cell.parameters import Parameters, initialise
from lstm_jax.network.losses import Loss
from lstm_jax.tasks import Example, Task, make_task
from lstm_jax.training.recipes.recipe import make_recipe
from lstm_jax.training.recipes.recipe import make_update_rule as method_of
from lstm_jax.training.trials.runner import TrialRunner
from lstm_jax.training.trials.training_loop import TrainingLoop
from lstm_jax.training.update_rules.per_sequence import Model, PerSequenceUpdate, draw_weights
from lstm_jax.training.update_rules.per_step import PerStepUpdate

RATE = 2.0**20
ROUNDING = 2e-6  # float32
TASKS = pytest.mark.parametrize("task", [LATCH, COPY], ids=lambda task: task.name)


def setup_of(text: str, task: Task) -> Setup:
    """The task and how it is learned by `paper` with departures."""
    return make_recipe(f"paper+{text}").setup(task)


def oracle_gradient(
    task: Task,
    parameters: Parameters,
    example: Example,
    first: Parameters | None = None,
    **error: Any,
) -> Parameters:
    """The gradient of a task's own error for one sequence, in float64."""
    inputs, steps = np.asarray(example.inputs), task.max_length
    if inputs.ndim == 1:
        inputs = np.eye(task.architecture.num_inputs)[inputs]
    is_real = np.arange(steps) < int(example.length)
    targets, weights = np.asarray(example.targets), is_real
    if task.error_at == "end":
        targets = np.broadcast_to(targets, (steps, task.architecture.num_outputs))
        weights = np.arange(steps) == int(example.length) - 1
    net, net_weights = to_oracle(task.architecture, parameters)
    first_weights = None if first is None else to_oracle(task.architecture, first)[1]
    arguments = (inputs.astype(np.float64), targets, weights.astype(float), None, is_real)
    return from_oracle(
        oracle.gradient(
            net, net_weights, *arguments, error=oracle.Loss(**error), first=first_weights
        )
    )


def update_of(
    setup: Setup, examples: list[Example], weights: list[Parameters], before: Any = None
) -> list[Parameters]:
    """The gradient by which the setup's method changes each trial's weights, in float64.

    Args:
      setup: of the method.
      examples: a sequence a trial.
      weights: of the trials.
      before: the weights of before the last update, if they matter.
    """
    method = dataclasses.replace(method_of(setup), optimiser=optax.sgd(RATE))
    assert isinstance(method, PerSequenceUpdate)
    side_by_side = lambda trees: jax.tree.map(lambda *a: jnp.stack(a, -1), *trees)
    with jax.enable_x64(True):
        lanes = jnp.ones(len(weights), bool)
        now, previous = (
            None if trees is None else jax.tree.map(jnp.float64, side_by_side(trees))
            for trees in (weights, before)
        )
        state = method.optimiser.init(now)
        model = Model(now, state, lanes, jnp.zeros(len(weights)), previous)
        new, _ = jax.jit(method.train_step)(model, wide(side_by_side(examples)), 0, lanes)
        change = jax.tree.map(lambda a, b: (b - a) / RATE, new.parameters, now)
        return [lane(change, trial) for trial in range(len(weights))]


def wide(example: Example) -> Example:
    """With a length of the default dtype, which is another in double precision."""
    return example._replace(length=jnp.asarray(example.length, int))


def draw(task: Task, num_trials: int = 3) -> tuple[list[Example], list[Parameters]]:
    """A training sequence and initial weights for each of some trials."""
    trials = range(num_trials)
    examples = [task.sample(training_key(trial, 0), None) for trial in trials]
    return examples, [draw_weights(jax.random.key(trial), task) for trial in trials]


@TASKS
@pytest.mark.parametrize(
    ("text", "error"),
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
def test_gradients_equal_the_oracle(task: Task, text: str, error: dict[str, float]):
    setup = setup_of(text, task)
    examples, weights = draw(setup.task)
    for trial, found in enumerate(update_of(setup, examples, weights)):
        expected = oracle_gradient(setup.task, weights[trial], examples[trial], **error)
        assert_close(found, expected, 1e-7)  # 2^20 times a small gradient, next to the weights


@TASKS
def test_updates_after_the_next_first_step_equal_the_oracle(task: Task):
    """A sequence's first step is by the weights before the last update; the gradient, by both."""
    examples, weights = draw(task)
    before = [jax.tree.map(lambda w: w[..., ::-1] - 0.1, tree) for tree in weights]
    found = update_of(setup_of("update=next-first-step", task), examples, weights, before)
    for trial, gradient in enumerate(found):
        expected = oracle_gradient(task, weights[trial], examples[trial], before[trial])
        assert_close(gradient, expected, 1e-7)


def test_a_delayed_update_remembers_the_weights_before():
    setup = setup_of("update=next-first-step", LATCH)
    loop = TrainingLoop(setup.task, method_of(setup), chunk=1)
    keys = np.stack([jax.random.key_data(jax.random.key(i)) for i in range(2)], -1)
    trials = loop.init_trials(keys, None, np.zeros(2, bool))
    assert_equal(trials.model.previous, trials.model.parameters)
    after, _ = jax.jit(loop.run_chunk)(trials, jnp.int32(0))
    assert_equal(after.model.previous, trials.model.parameters)
    assert np.any(after.model.parameters.output.bias != trials.model.parameters.output.bias)


@pytest.mark.parametrize("error", [Loss(), Loss(cross_entropy=0.1, tolerance=0.2)])
@TASKS
def test_updates_after_every_step_are_the_sequence_s_to_first_order(task: Task, error: Loss):
    """With the error at the end there is one update alone, the very same."""
    rate = 1e-6
    method = PerStepUpdate(task, optax.sgd(rate), error)
    examples, weights = draw(task)
    with jax.enable_x64(True):
        train_step = jax.jit(method.train_step)
        for example, parameters in zip(examples, weights, strict=True):
            parameters = jax.tree.map(jnp.float64, parameters)
            model = Model(parameters, optax.sgd(rate).init(parameters), np.True_, np.float32(0))
            example = wide(example)
            new, outputs = train_step(model, example, 0)
            change = jax.tree.map(lambda a, b: (a - b) / rate, parameters, new.parameters)
            tolerance = 1e-5 if task.error_at == "end" else 1e-4
            expected = oracle_gradient(task, parameters, example, **vars(error))
            assert_close(change, expected, tolerance)
            assert_close(outputs, method.outputs(model, example), tolerance)


def test_a_step_is_learned_by_the_truncated_gradient_at_the_weights_of_before_it():
    """The first of two updates is that of the sequence's first step alone."""
    task, rate = COPY, 0.3
    method = PerStepUpdate(task, optax.sgd(rate))
    train_step, model = jax.jit(method.train_step), method.init(jax.random.key(5))
    example = task.sample(training_key(5, 0), None)
    one, two = (example._replace(length=jnp.int32(length)) for length in (1, 2))
    after_one, after_two = (train_step(model, some, 0)[0].parameters for some in (one, two))
    first = oracle_gradient(task, model.parameters, one)
    w_1 = jax.tree.map(lambda w, g: w - rate * g, model.parameters, first)
    assert_close(after_one, w_1, 1e-6)
    assert np.all(np.abs(after_two.output.bias - after_one.output.bias) > 1e-4)


def test_steps_learn_without_cells_until_these_join():
    task = dataclasses.replace(COPY, sequential_construction=True)
    method = PerStepUpdate(task, optax.sgd(0.5))
    model = method.init(jax.random.key(1))
    example = task.sample(training_key(0, 0), None)
    new, _ = jax.jit(method.train_step)(model, example, 0)
    assert_equal(
        new.parameters.layer, model.parameters.layer._replace(hidden=new.parameters.layer.hidden)
    )
    assert_equal(new.parameters.output.cell, model.parameters.output.cell)
    assert np.any(new.parameters.output.bias != model.parameters.output.bias)


def test_given_gate_biases_are_set_or_added():
    task = make_task("3a-100-3")
    hyperparameters, key = task.hyperparameters, jax.random.key(2)
    random = initialise(key, task.architecture, init_range=hyperparameters.init_range).layer
    by_default = draw_weights(key, task).layer
    added = draw_weights(key, setup_of("add-gate-bias", task).task).layer
    for gate, bias in (("input_gate", (-1, -3, -5)), ("output_gate", (-2, -4, -6))):
        drawn = getattr(random, gate).bias
        np.testing.assert_array_equal(getattr(by_default, gate).bias, bias)
        np.testing.assert_allclose(getattr(added, gate).bias, drawn + np.float32(bias), rtol=1e-6)
        assert np.any(drawn != 0)
    assert_equal(added.cell, by_default.cell)


def test_forget_gates_start_where_a_recipe_says():
    task = make_task("2c-50-50")
    adapted = setup_of("forget-gates+forget-gate-bias=5", task).task
    assert adapted.architecture.biases == "gates" and adapted.architecture.forget_gates
    bias = draw_weights(jax.random.key(0), adapted).layer.forget_gate.bias
    np.testing.assert_array_equal(bias, [5.0, 5.0])
    added = setup_of("forget-gates+forget-gate-bias=5+add-gate-bias", task).task
    bias = draw_weights(jax.random.key(0), added).layer.forget_gate.bias
    assert np.all(bias != 5) and np.all(np.abs(bias - 5) <= 0.2)
    with pytest.raises(ValueError, match="forget-gate-bias needs forget gates, task 6a has none"):
        setup_of("forget-gate-bias=5", make_task("6a"))


@pytest.mark.parametrize(
    ("text", "rate", "init_range"),
    [
        ("learning-rate=0.25", 0.25, 0.1),
        ("learning-rate-factor=3", 1.5, 0.1),
        ("init-range=0.7", 0.5, 0.7),
        ("init-range-factor=8", 0.5, 0.8),
    ],
)
def test_rates_and_ranges_are_set_or_multiplied(text: str, rate: float, init_range: float):
    setup = setup_of(text, make_task("6a"))
    assert setup.task.hyperparameters.learning_rate == rate
    np.testing.assert_allclose(setup.task.hyperparameters.init_range, init_range, rtol=1e-12)
    optimiser = setup.make_optimiser()
    assert optimiser.update(jnp.ones(1), optimiser.init(jnp.ones(1)))[0] == -rate


@pytest.mark.parametrize(("row", "biases"), [("6a", (-3.0, -6.0)), ("6b", (-3.0, -6.0, -9.0))])
def test_a_gate_bias_is_for_all_blocks_or_one_a_block(row: str, biases: tuple[float, ...]):
    task = make_task(row)
    for text, expected in (("-3,-6,-9", biases), ("-2", (-2.0,) * len(biases))):
        hyperparameters = setup_of(f"input-gate-bias={text}", task).task.hyperparameters
        assert hyperparameters == dataclasses.replace(
            task.hyperparameters, input_gate_bias=expected
        )


def test_other_blocks_keep_the_gate_biases_of_the_row():
    """The first ones where they are fewer; where they are more, the last one again."""
    task = make_task("6a")
    for sizes, biases in (((2, 1, 3), (-2.0, -4.0, -4.0)), ((4,), (-2.0,))):
        adapted = setup_of(f"blocks={','.join(map(str, sizes))}", task).task
        assert adapted.architecture == dataclasses.replace(task.architecture, blocks=sizes)
        assert adapted.hyperparameters == dataclasses.replace(
            task.hyperparameters, input_gate_bias=biases
        )
    both = setup_of("blocks=1,1,1+input-gate-bias=-1,-2,-3", task).task
    assert both.hyperparameters.input_gate_bias == (-1.0, -2.0, -3.0)


def test_a_gate_bias_may_be_random_like_all_weights():
    task = make_task("3a-100-3")
    hyperparameters = setup_of("output-gate-bias=random", task).task.hyperparameters
    assert hyperparameters == dataclasses.replace(task.hyperparameters, output_gate_bias=None)


def test_a_gate_bias_gives_gates_biases_where_there_are_none():
    architecture = setup_of("input-gate-bias=-3", make_task("2c-50-50")).task.architecture
    assert architecture.biases == "gates"
    assert setup_of("input-gate-bias=-3", make_task("6a")).task.architecture.biases == "all"


@pytest.mark.parametrize(
    ("row", "kinds", "more"),
    [("1-2", "output", 7), ("1-2", "cell,output", 13), ("6a", "output", 0)],
)
def test_more_biases_are_so_many_more_weights(row: str, kinds: str, more: int):
    task = make_task(row)
    adapted = setup_of(f"extra-biases={kinds}", task).task
    assert adapted.architecture.num_weights == task.architecture.num_weights + more


def test_tests_are_made_at_another_interval():
    paper = make_task("3a-100-3")
    loop = TrainingLoop(make_recipe("paper+test-interval=250").apply(paper))
    rules = (loop.task.rule, loop.task.first_rule)
    assert rules == tuple(
        dataclasses.replace(r, interval=250) for r in (paper.rule, paper.first_rule)
    )
    assert loop.chunk == 250


def test_coded_targets_are_what_the_criterion_asks_for_too():
    task = setup_of("targets=0.1,0.9", make_task("6a")).task
    example, own = (t.sample(jax.random.key(0), None) for t in (task, make_task("6a")))
    np.testing.assert_allclose(example.targets, 0.1 + 0.8 * own.targets, rtol=1e-6)
    np.testing.assert_array_equal(example.true_targets, example.targets)
    assert task.is_correct(example.targets, example)


def test_a_fixed_training_set_has_so_many_sequences_and_tests_have_fresh_ones():
    task = setup_of("training-set=5", make_task("6a")).task
    sets = [task.prepare(jax.random.key(0), trial) for trial in (0, 1)]
    assert np.any(sets[0].inputs != sets[1].inputs)
    drawn = jax.vmap(task.sample, in_axes=(0, None))(
        jax.random.split(jax.random.key(1), 200), sets[0]
    )
    known = {row.tobytes() for row in np.asarray(sets[0].inputs)}
    found = {row.tobytes() for row in np.asarray(drawn.inputs)}
    assert found == known and len(known) == 5
    fresh = task.sample_test(jax.random.key(2), sets[0])
    assert_equal(fresh, make_task("6a").sample(jax.random.key(2), None))


def test_a_trial_learns_its_fixed_training_set():
    """All drawn sequences are of the set: a trial that has one sequence sees no other."""
    task = dataclasses.replace(LATCH, rule=dataclasses.replace(LATCH.rule, window=10))
    recipe = make_recipe("paper+training-set=1")
    (result,) = TrialRunner(recipe.loop(task), [0]).run()
    assert result.solved and result.sequences < 100
