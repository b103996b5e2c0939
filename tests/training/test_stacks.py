"""Trials of stacks of layers: the gradient of `apply`, whatever the batch; files; refusals."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import jax
import numpy as np
import optax
import pytest
from helpers import assert_close, assert_equal, quick_jit
from small_tasks import LATCH, make_runner

import lstm_jax as lstm
from lstm_jax.network.files import network_from_document
from lstm_jax.tasks.task import replace_hyperparameters
from lstm_jax.training.runs.result_file import make_document
from lstm_jax.training.update_rules.base import as_key, subkeys
from lstm_jax.training.update_rules.per_sequence import PerSequenceUpdate
from lstm_jax.training.update_rules.per_step import PerStepUpdate

STACK = lstm.make_stack(4, ((1,), (1,)), 1)
TASK = dataclasses.replace(LATCH, architecture=STACK)
BOTH = dataclasses.replace(
    TASK, architecture=lstm.make_stack(4, ((1,), (1,)), 1, bidirectional=True)
)
KEYS = subkeys(np.arange(4, dtype=np.uint32).reshape(2, 2), 0)
EXAMPLES = TASK.sample_batch(jax.random.key(1), 2)
RATE = TASK.hyperparameters.learning_rate


def one_step(rule, task: lstm.Task) -> tuple:
    """The weights of two trials, before and after a training step, and the outputs."""
    model = rule(task).init(KEYS)
    batch = jax.tree.map(lambda a: np.moveaxis(np.asarray(a), 0, -1), EXAMPLES)
    step = lambda model: rule(task).train_step(model, batch, np.int32(0), np.ones(2, bool))
    new, outputs = quick_jit(step)(model)
    return model.parameters, new.parameters, outputs


@pytest.mark.parametrize("task", [TASK, BOTH], ids=["one direction", "both directions"])
def test_a_training_step_is_one_of_gradient_descent_in_each_trial(task: lstm.Task):
    before, after, outputs = one_step(PerSequenceUpdate, task)
    for i in range(2):
        mine, moved = (jax.tree.map(lambda a, i=i: a[..., i], tree) for tree in (before, after))
        inputs, target = EXAMPLES.inputs[i], EXAMPLES.targets[i]
        steps = lstm.Steps(length=EXAMPLES.length[i])

        def loss(parameters, inputs=inputs, target=target, steps=steps):
            found, _ = lstm.apply(task.architecture, parameters, inputs, at="end", steps=steps)
            return lstm.half_squared_error(found, target), found

        gradient, found = jax.grad(loss, has_aux=True)(mine)
        assert_close(outputs[..., i], found, 1e-5)
        expected = jax.tree.map(lambda w, g: w - RATE * g, mine, gradient)
        assert_close(moved, expected, 1e-5)


def test_a_step_by_step_update_is_the_online_learner_s():
    task = replace_hyperparameters(TASK, update_after="step")
    before, after, _ = one_step(PerStepUpdate, task)
    sgd = optax.sgd(RATE)
    learner = lstm.init_learner(STACK, jax.tree.map(lambda a: a[..., 0], before), sgd)
    length = int(EXAMPLES.length[0])
    for t, x in enumerate(EXAMPLES.inputs[0, :length]):
        target = EXAMPLES.targets[0] if t == length - 1 else None
        _, learner = lstm.learn(STACK, learner, x, target)
    expected = lstm.update(sgd, learner).parameters
    assert_close(jax.tree.map(lambda a: a[..., 0], after), expected, 1e-5)


def test_trials_of_a_stack_are_reproducible_and_their_network_is_kept(tmp_path: Path):
    task = replace_hyperparameters(TASK, init_range=1.0)
    loop = lstm.TrainingLoop(dataclasses.replace(task, max_sequences=1000))
    results = make_runner(loop, range(3)).run()
    (alone,) = make_runner(loop, [1]).run()
    assert_equal(alone.model.parameters, results[1].model.parameters)
    assert alone.sequences == results[1].sequences
    first = next(result for result in results if result.solved)
    about = {"recipe": "paper", "changes": "", "wall_seconds": 1.0, "seed": 0, "command": ""}
    document = json.loads(json.dumps(make_document(TASK, results, **about)))
    found, parameters = network_from_document(document)
    assert found == STACK
    assert_equal(parameters, first.model.parameters)
    lstm.save(tmp_path / "stack.safetensors", STACK, parameters)
    assert_equal(lstm.load(tmp_path / "stack.safetensors"), (STACK, parameters))


def test_the_initial_weights_are_those_of_initialise():
    bias = {"input_gate_bias": TASK.hyperparameters.input_gate_bias}
    expected = lstm.initialise(
        as_key(KEYS[:, 0]), STACK, init_range=TASK.hyperparameters.init_range, **bias
    )
    found = PerSequenceUpdate(TASK).init(KEYS).parameters
    assert_close(jax.tree.map(lambda a: a[..., 0], found), expected, 1e-6)


REFUSED = {
    "dropout must be 0 in trials, got 0.5; fit trains with it": {
        "architecture": dataclasses.replace(STACK, dropout=0.5)
    },
    "sequential_construction must be False for a stack": {"sequential_construction": True},
    "add_gate_bias must be False for a stack": {
        "hyperparameters": dataclasses.replace(TASK.hyperparameters, add_gate_bias=True)
    },
    "num_outputs must be at least 1 here, got 0": {
        "architecture": lstm.make_stack(4, ((1,), (1,)), 0)
    },
}


@pytest.mark.parametrize("message", REFUSED)
def test_trials_refuse_what_makes_no_sense_for_a_stack(message: str):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(TASK, **REFUSED[message])


@pytest.mark.parametrize("update_after", ["step", "next_first_step"])
def test_both_directions_need_whole_sequences(update_after):
    with pytest.raises(ValueError, match="update_after must be 'sequence' for two directions"):
        replace_hyperparameters(BOTH, update_after=update_after)
