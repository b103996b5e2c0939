"""Random weight guessing: a geometric number of guesses, each given up at its first mistake."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from small_tasks import LATCH, make_runner, take_trial, training_key

from lstm_jax.baselines.fully_recurrent import RecurrentNet, apply
from lstm_jax.baselines.guessing import GuessedModel, Guessing
from lstm_jax.tasks.functions import within
from lstm_jax.tasks.hyperparameters import Hyperparameters
from lstm_jax.tasks.task import Example, in_turn
from lstm_jax.training.trials.training_loop import TrainingLoop
from lstm_jax.training.update_rules.base import Vmapped

RANGE = 5.0
LOGIT = np.log(4.0)  # of 0.8: an output is right within 0.2 of its target


def _signs() -> Example:
    """Two sequences of one step: the sign of the input is the class."""
    inputs = jnp.array([[[1.0]], [[-1.0]]])
    targets = jnp.array([[1.0], [0.0]])
    return Example(inputs, targets, targets, jnp.ones(2, jnp.int32))


def _sample(key: jax.Array, data: None) -> Example:
    del data
    return in_turn(_signs(), jax.random.randint(key, (), 0, 2))


# A single logistic unit f(w x + b), whose recurrent weight never matters in a sequence of one step.
UNIT = dataclasses.replace(
    LATCH,
    architecture=RecurrentNet(1, 0, 1, "full", bias=True),
    sample=_sample,
    max_length=1,
    is_correct=within(0.2),
    hyperparameters=Hyperparameters(0.0, RANGE),
)
GUESSING = Guessing(UNIT)

# Right are the weights with w + b > LOGIT and -w + b < -LOGIT, that is |b| < w - LOGIT: a triangle
# in the square of w and b.
FRACTION = (RANGE - LOGIT) ** 2 / (2 * RANGE) ** 2


class Search(NamedTuple):
    model: GuessedModel
    n: jax.Array  # training sequences
    right: jax.Array  # of them, those in a row that the current guess got right


def _train_step(search: Search) -> Search:
    model, _ = GUESSING.train_step(search.model, in_turn(_signs(), search.n), search.n)
    same = model.guesses == search.model.guesses
    return Search(model, search.n + 1, jnp.where(same, search.right + 1, 0))


@pytest.fixture(scope="module")
def found() -> GuessedModel:
    """Two thousand trials on the signs, each until a guess is right on both."""

    def trial(key: jax.Array) -> GuessedModel:
        zero = jnp.int32(0)
        start = Search(GUESSING.init(key), zero, zero)
        return jax.lax.while_loop(lambda search: search.right < 2, _train_step, start).model

    keys = jax.random.split(jax.random.key(0), 2000)
    return jax.tree.map(np.asarray, jax.jit(jax.vmap(trial))(keys))


def test_the_number_of_guesses_is_geometric(found: GuessedModel):
    """...with the fraction of the weights that are right as the chance of a guess."""
    counts = np.bincount(np.minimum(found.guesses, 31), minlength=32)[1:]
    chances = scipy.stats.geom(FRACTION).pmf(np.arange(1, 32))
    chances[-1] = 1 - chances[:-1].sum()
    assert scipy.stats.chisquare(counts, chances * counts.sum()).pvalue > 1e-3
    test = scipy.stats.binomtest(len(found.guesses), int(found.guesses.sum()), FRACTION)
    assert test.pvalue > 1e-3


def test_solutions_are_uniform_among_the_weights_that_are_right(found: GuessedModel):
    w, b = np.moveaxis(found.weights.input[:, :, 0], 1, 0)
    assert np.all(w + b > LOGIT - 1e-5) and np.all(-w + b < -LOGIT + 1e-5)
    # Within the triangle, w - LOGIT has the distribution function (x / (RANGE - LOGIT))².
    test = scipy.stats.kstest(((w - LOGIT) / (RANGE - LOGIT)) ** 2, "uniform")
    assert test.pvalue > 1e-3


def test_weights_are_uniform_and_guesses_are_independent():
    task = dataclasses.replace(
        LATCH,
        architecture=RecurrentNet(4, 2, 1, "full", bias=True),
        hyperparameters=Hyperparameters(0.0, 3.0),
    )
    draw = jax.vmap(lambda n: Guessing(task)._draw(jax.random.key(0), n))
    weights = np.concatenate(
        [np.asarray(a).reshape(400, -1) for a in jax.tree.leaves(draw(jnp.arange(400)))], axis=1
    )
    assert weights.shape[1] == task.architecture.num_weights == 24
    assert scipy.stats.kstest(weights.ravel() / 6 + 0.5, "uniform").pvalue > 1e-3
    assert len(np.unique(weights[:, 0])) == 400
    assert np.abs(np.corrcoef(weights.T) - np.eye(weights.shape[1])).max() < 0.3


def test_a_guess_is_given_up_at_its_first_wrong_sequence_and_not_before():
    """Two trials of a training loop, counted once more by the net alone."""
    net = RecurrentNet(4, 1, 1, "full", bias=True)
    task = dataclasses.replace(LATCH, architecture=net, hyperparameters=Hyperparameters(0.0, 20.0))
    rule, count = Guessing(task), 30
    sample, run, draw = jax.jit(task.sample), jax.jit(apply, static_argnums=0), jax.jit(rule._draw)
    runner = make_runner(TrainingLoop(task, Vmapped(rule), count), range(2))
    first = [
        jax.tree.map(jnp.asarray, take_trial(runner.state().trials.model, i)) for i in range(2)
    ]
    runner.run_chunk()
    for trial, model in enumerate(first):
        guesses, weights = 1, model.weights
        for n in range(count):
            example = sample(training_key(trial, n), None)
            output = run(net, weights, example.inputs)[example.length - 1]
            if abs(output - example.true_targets)[0] >= 0.3:
                weights = draw(jax.random.wrap_key_data(model.key), guesses)
                guesses += 1
        found = take_trial(runner.state().trials.model, trial)
        assert found.guesses == guesses and 1 < guesses < count
        jax.tree.map(np.testing.assert_array_equal, found.weights, weights)
