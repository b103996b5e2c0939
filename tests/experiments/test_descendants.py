"""The claims about the cell's descendants: what their tasks ask, and what they measure."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import assert_equal

from experiments.claims import composed, continual, counting, timing
from experiments.claims.base import Settings
from lstm_jax.tasks.counting import string
from lstm_jax.tasks.timing import train
from lstm_jax.training.trials.runner import TrialRunner

QUIET = Settings(trials=2, quiet=True)


@pytest.fixture
def like_a_user() -> Iterator[None]:
    with jax.numpy_dtype_promotion("standard"):
        yield


def test_an_echo_is_of_the_step_before_and_the_next():
    model = composed.echo("both")
    inputs, targets = map(np.asarray, model.sample(jax.random.key(0)))
    bits = (inputs[:, 0] + 1) / 2
    assert set(bits) == {0.0, 1.0}
    for step in range(composed.STEPS):
        assert targets[step].tolist() == [bits[step], bits[step + 2]]  # it stands at step + 1


@pytest.mark.parametrize(
    ("directions", "hears"),
    [("forward", (True, False)), ("backward", (False, True)), ("both", (True, True))],
)
def test_one_direction_hears_of_one_of_the_bits_alone(directions: str, hears: tuple[bool, bool]):
    model = composed.echo(directions)
    weights = model.init(jax.random.key(1))
    inputs, _ = model.sample(jax.random.key(0))
    step = 5  # of the targets; the bits asked for stand at step and step + 2
    net = jax.jit(model.net)
    nets = [net(weights, inputs.at[place].multiply(-1)) for place in (step, step + 2)]
    found = tuple(bool(np.any(other[step] != net(weights, inputs)[step])) for other in nets)
    assert found == hears


def test_what_is_recalled_is_the_value_of_the_key_that_is_asked_for():
    sample = jax.jit(composed.recall(attention=True).sample)
    for seed in range(5):
        inputs, target = map(np.asarray, sample(jax.random.key(seed)))
        key_of = lambda row: int(row[: composed.PAIRS].argmax())
        pairs = {key_of(row): row[composed.PAIRS :] for row in inputs[:-1]}
        assert len(pairs) == composed.PAIRS
        assert_equal(pairs[key_of(inputs[-1])], target)
        assert not np.any(inputs[-1, composed.PAIRS :])


@pytest.mark.usefixtures("like_a_user")  # Adam mixes dtypes, which tests forbid
def test_how_far_a_trial_counts_is_up_to_its_first_wrong_string(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(counting, "LONGEST", {2: 12})
    loop = next(iter(counting.variants().values()))
    task = dataclasses.replace(loop.task, max_sequences=200)
    method = dataclasses.replace(loop.update_rule, task=task)
    loop = dataclasses.replace(loop, task=task, method=method, chunk=100)
    found = counting.how_far(loop, QUIET)
    runner = TrialRunner(loop, range(2), seed=0)
    runner.run()
    model = runner.state().trials.model
    for trial, furthest in enumerate(found["furthest"]):
        right = []
        for n in range(1, 13):
            example = string(n, 2, 12)
            lanes = jax.tree.map(lambda a: jnp.stack([a, a], -1), example)
            outputs = loop.update_rule.outputs(model, lanes)[..., trial]
            right.append(bool(task.is_correct(outputs, example)))
        assert furthest == (right.index(False) if False in right else 12)


@pytest.mark.parametrize(("kind", "late"), [("measuring", (1, 0, 1)), ("generating", (0, 1, 1))])
def test_steps_of_a_train_are_right_up_to_the_first_output_too_far_away(kind: Any, late: tuple):
    example = train(kind, jnp.array(late, jnp.int32), 4)
    length = int(example.length)
    outputs = np.array(example.targets)
    outputs[length:] = 0.7  # padding
    assert timing.right_steps(outputs, example) == length
    for wrong in (length - 1, 6, 0):
        outputs[wrong] = 1 - outputs[wrong]
        assert timing.right_steps(outputs, example) == wrong


def test_variants_of_timing_differ_in_peepholes_alone():
    for kind, period, cells in timing.ASKED:
        with_, without = (
            timing.learn(kind, period, cells, peepholes=peepholes).task
            for peepholes in (True, False)
        )
        assert with_.architecture == dataclasses.replace(without.architecture, peepholes=True)
        assert dataclasses.replace(with_, architecture=None, sample=None) == dataclasses.replace(
            without, architecture=None, sample=None
        )


def test_the_longest_stream_is_the_trial_s_own(monkeypatch: pytest.MonkeyPatch):
    for name, value in (("CHUNK", 40), ("SYMBOLS", 80), ("SHOWN", 30)):
        monkeypatch.setattr(continual, name, value)
    method = continual.variants()["forget gates"]
    found = continual.follow(method, QUIET)
    assert found["symbols"] == [40, 80] and found["solved"] == 0
    trials = continual._start(method, QUIET)
    for chunk in range(2):
        trials = jax.vmap(method.learn)(trials, continual._bits(QUIET, chunk, 40))
        assert found["longest_by"][chunk] == np.asarray(trials.longest).tolist()
    assert found["streams"] == np.asarray(trials.streams).tolist()
    assert np.shape(found["states"]) == (3, 2) and np.all(np.array(found["states"]) >= 0)
