"""Random weight guessing."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from small_tasks import LATCH

from lstm_jax.network import apply
from lstm_jax.rivals.guessing import (
    Guess,
    Guessing,
    UnitSources,
    guess_lstm,
    guess_recurrent,
    run_recurrent,
    search,
)
from lstm_jax.tasks import make_task
from lstm_jax.tasks.base import Example

RANGE = 5.0
LOGIT = np.log(4.0)  # of 0.8: an output is right within 0.2 of its target


def _signs() -> Example:
    """Two sequences of one step: the sign of the input is the class."""
    inputs = jnp.array([[[1.0]], [[-1.0]]])
    targets = jnp.array([[1.0], [0.0]])
    return Example(inputs, targets, targets, jnp.ones(2, jnp.int32))


def _within(outputs: jax.Array, example: Example) -> jax.Array:
    return jnp.all(jnp.abs(outputs - example.true_targets) < 0.2)


def _one_unit(training_size: int = 2) -> Guessing:
    """A single logistic unit f(w x + b), whose recurrent weight never matters."""
    shapes = UnitSources(*(jax.ShapeDtypeStruct(s, jnp.float32) for s in ((1, 1), (1, 1), (1,))))
    run = lambda weights, example: run_recurrent(weights, example)[-1]
    return Guessing(shapes, run, _within, RANGE, training_size)


# Right are the weights with w + b > LOGIT and -w + b < -LOGIT, that is |b| < w - LOGIT: a triangle
# in the square of w and b.
FRACTION = (RANGE - LOGIT) ** 2 / (2 * RANGE) ** 2


@pytest.fixture(scope="module")
def found() -> Guess:
    """Two thousand trials on the signs, each to its end."""
    keys = jax.random.split(jax.random.key(0), 2000)
    trial = lambda key: search(_one_unit(), key, _signs(), 100_000)
    return jax.tree.map(np.asarray, jax.jit(jax.vmap(trial))(keys))


def test_the_chance_of_a_guess_is_the_part_of_the_weights_that_are_right(found):
    """Trials over all guesses, within the binomial uncertainty of the exact fraction."""
    guesses = int(found.guesses.sum())
    test = scipy.stats.binomtest(len(found.guesses), guesses, FRACTION)
    assert guesses > 10_000
    assert test.pvalue > 1e-3


def test_the_number_of_guesses_is_geometric(found):
    counts = np.bincount(np.minimum(found.guesses, 31), minlength=32)[1:]
    chances = scipy.stats.geom(FRACTION).pmf(np.arange(1, 32))
    chances[-1] = 1 - chances[:-1].sum()
    assert scipy.stats.chisquare(counts, chances * counts.sum()).pvalue > 1e-3


def test_what_is_found_is_a_solution(found):
    """By hand, from the weights, in every trial; and they are uniform on the right ones."""
    w, b = found.weights.input[:, 0, 0], found.weights.bias[:, 0]
    assert np.all(w + b > LOGIT - 1e-5) and np.all(-w + b < -LOGIT + 1e-5)
    # Within the triangle, w - LOGIT has the distribution function (x / (RANGE - LOGIT))².
    test = scipy.stats.kstest(((w - LOGIT) / (RANGE - LOGIT)) ** 2, "uniform")
    assert test.pvalue > 1e-3


def test_a_guess_is_given_up_at_its_first_wrong_sequence():
    """Counted once more from the same draws, sequence by sequence."""
    guessing, examples = _one_unit(training_size=4), _signs()
    present = jax.jit(guessing.present)
    model = guessing.init(jax.random.key(7))
    guesses, streak, n = 1, 0, 0
    while not guessing.is_found(model):
        example = jax.tree.map(lambda a, n=n: a[n % 2], examples)
        w, b = float(model.weights.input[0, 0]), float(model.weights.bias[0])
        output = 1 / (1 + np.exp(-(w * float(example.inputs[0, 0]) + b)))
        is_right = abs(output - float(example.targets[0])) < 0.2
        before = model.weights
        model, outputs = present(model, example, n)
        np.testing.assert_allclose(outputs, [output], rtol=1e-5)
        kept = jax.tree.map(lambda a, b: bool(jnp.all(a == b)), model.weights, before)
        changed = jax.tree.map(lambda a, b: bool(jnp.all(a != b)), model.weights, before)
        assert jax.tree.all(kept if is_right else changed)
        n, streak, guesses = n + 1, streak + 1 if is_right else 0, guesses + (not is_right)
        assert (model.guesses, model.streak, model.presented) == (guesses, streak, n)
    assert streak == 4


def test_a_solution_is_kept_whatever_comes():
    guessing, examples = _one_unit(), _signs()
    model = search(guessing, jax.random.key(0), examples, 100_000)
    wrong = jax.tree.map(lambda a: a[0], examples)
    wrong = wrong._replace(true_targets=1 - wrong.true_targets)
    after, outputs = guessing.present(model, wrong, 0)
    assert not _within(outputs, wrong)
    jax.tree.map(np.testing.assert_array_equal, after, model)


def test_weights_are_uniform_and_no_two_guesses_share_any():
    guessing = guess_lstm(LATCH, weight_range=3.0)
    draw = jax.vmap(lambda n: guessing._draw(jax.random.key_data(jax.random.key(0)), n))
    weights = np.concatenate(
        [np.asarray(a).reshape(400, -1) for a in jax.tree.leaves(draw(jnp.arange(400)))], axis=1
    )
    assert weights.shape[1] == LATCH.architecture.num_weights
    assert scipy.stats.kstest(weights.ravel() / 6 + 0.5, "uniform").pvalue > 1e-3
    assert len(np.unique(weights[:, 0])) == 400
    assert np.abs(np.corrcoef(weights.T) - np.eye(weights.shape[1])).max() < 0.3


def test_the_recurrent_net_is_that_of_its_equations():
    rng = np.random.default_rng(0)
    weights = UnitSources(*(rng.normal(size=s).astype(np.float32) for s in ((2, 3), (3, 3), (3,))))
    inputs = rng.normal(size=(6, 2)).astype(np.float32)
    target = jnp.zeros(1)
    values = run_recurrent(
        jax.tree.map(jnp.asarray, weights),
        Example(jnp.asarray(inputs), target, target, jnp.int32(4)),
    )
    y = np.zeros(3)
    for t in range(6):
        if t < 4:  # what comes later is padding
            y = 1 / (
                1 + np.exp(-(inputs[t] @ weights.input + y @ weights.recurrent + weights.bias))
            )
        np.testing.assert_allclose(values[t], y, rtol=1e-5)


def test_the_lstm_is_the_papers():
    guessing = guess_lstm(LATCH)
    model, example = guessing.init(jax.random.key(0)), LATCH.sample(jax.random.key(1), None)
    expected, _ = apply(
        LATCH.architecture, model.weights, example.inputs, at="end", length=example.length
    )
    np.testing.assert_array_equal(guessing.outputs(model, example), expected)


def test_task_3a_is_guessed():
    """With a net of 8 weights; what is found solves sequences that it has not seen."""
    task = make_task("3a-100-3")
    guessing = guess_recurrent(task)
    assert sum(shape.size for shape in jax.tree.leaves(guessing.shapes)) == 8
    training_set = task.sample_batch(jax.random.key(1), 100)
    model = jax.jit(lambda key: search(guessing, key, training_set, 200_000))(jax.random.key(3))
    assert guessing.is_found(model) and model.guesses > 1
    tests = task.sample_batch(jax.random.key(2), 500)
    is_right = lambda example: task.is_correct(guessing.outputs(model, example), example)
    assert np.mean(jax.jit(jax.vmap(is_right))(tests)) > 0.98


def test_a_search_ends_with_its_budget():
    """Where no weights are right, every sequence costs a guess."""
    guessing = Guessing(_one_unit().shapes, _one_unit().run, lambda *_: jnp.array(False), RANGE, 2)
    model = search(guessing, jax.random.key(0), _signs(), 50)
    assert (model.presented, model.guesses, model.streak) == (50, 51, 0)
    assert not guessing.is_found(model)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: guess_recurrent(LATCH, -1), "num_hidden must be at least 0, got -1"),
        (lambda: guess_lstm(LATCH, weight_range=0.0), "weight_range must be positive, got 0.0"),
        (lambda: guess_lstm(LATCH, training_size=0), "training_size must be at least 1, got 0"),
        (
            lambda: search(_one_unit(3), jax.random.key(0), _signs(), 10),
            "training_size must be that of the training set, 2, got 3",
        ),
    ],
)
def test_arguments_outside_their_range_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
