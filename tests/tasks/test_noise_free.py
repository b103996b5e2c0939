"""Tasks 2a and 2b, and what lies between them."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from experiments.claims.comparisons import noisy_task
from lstm_jax.tasks import make_task, noise_free

X, Y = 99, 100  # after a_1 .. a_99


def _symbols(batch) -> np.ndarray:
    """All p + 1 symbols of each sequence: its inputs, and the last target."""
    return np.concatenate([batch.inputs, batch.targets[:, -1:].argmax(-1)], axis=1)


@pytest.mark.parametrize("name", ["2a", "2b"])
def test_targets_are_the_next_symbols_and_the_last_is_the_first(name, draw, assert_uniform):
    batch = draw(name)
    symbols = _symbols(batch)
    assert np.array_equal(batch.targets, np.eye(101, dtype=np.float32)[symbols[:, 1:]])
    assert np.array_equal(batch.targets, batch.true_targets)
    assert np.all(batch.length == 100)
    assert np.array_equal(symbols[:, 0], symbols[:, -1])
    assert_uniform(symbols[:, 0], X, Y)


def test_2a_has_two_sequences(draw):
    middle = list(range(99))
    symbols = {tuple(row) for row in _symbols(draw("2a")).tolist()}
    assert symbols == {(X, *middle, X), (Y, *middle, Y)}


def test_the_middle_of_2b_is_uniform_and_independent(draw, assert_uniform, assert_frequencies):
    symbols = _symbols(draw("2b"))
    middle = symbols[:, 1:-1]
    for part in (middle, middle[:, 0], middle[:, -1]):
        assert_uniform(part, 0, 98)
    # Neighbours, and the first symbol and its neighbour, are independent.
    assert_frequencies(np.bincount((middle[:, :-1] - middle[:, 1:]).ravel() % 99), np.ones(99) / 99)
    for edge in (X, Y):
        assert_uniform(middle[symbols[:, 0] == edge], 0, 98)


@pytest.mark.parametrize(("delay", "weights"), [(4, 40), (10, 154), (100, 10504)])
def test_other_delays(delay, weights):
    """(cell + input gate)(p + 1) + (p + 1)(p + 1 + 1) weights."""
    task = noise_free.make("2a", delay=delay)
    assert task.architecture.num_weights == weights
    assert (task.published.mean_sequences is None) == (delay != 100)
    inputs = jax.jit(task.sample)(jax.random.key(0), None).inputs
    assert inputs[0] in (delay - 1, delay)
    assert inputs[1:].tolist() == list(range(delay - 1))


@pytest.mark.parametrize(("name", "wrong_at"), [("2a", (0, 50, 98, 99)), ("2b", (99,))])
def test_2a_is_judged_at_every_step_and_2b_at_the_end(name, wrong_at, draw):
    is_correct = jax.jit(make_task(name).is_correct)
    example = jax.tree.map(lambda x: x[0], draw(name))
    for t in (0, 50, 98, 99):
        outputs = example.true_targets.copy()
        outputs[t, 7] += 0.3
        assert bool(is_correct(outputs, example)) == (t not in wrong_at)


@pytest.mark.parametrize("noise", [0.0, 0.3, 1.0])
def test_noise_replaces_middle_symbols_of_2a_by_any_middle_symbol(noise, assert_uniform):
    """The first and last symbol are those of 2a; at 1 the stream is that of 2b."""
    keys = jax.random.split(jax.random.key(0), 4000)
    batch = jax.vmap(lambda key: noisy_task(noise, 11).sample(key, None))(keys)
    symbols = _symbols(jax.tree.map(np.asarray, batch))
    assert np.array_equal(symbols[:, 0], symbols[:, -1]) and set(symbols[:, 0]) == {10, 11}
    middle = symbols[:, 1:-1]
    is_other = middle != np.arange(10)
    assert abs(is_other.mean() - 0.9 * noise) <= 4 * noise * np.sqrt(0.25 / is_other.size)
    if noise:
        assert_uniform(middle[is_other[:, 0], 0], 1, 9)  # what replaces a_1


def test_noisy_tasks_are_judged_as_2b():
    task = noisy_task(0.5, 4)
    assert task.is_correct == make_task("2b").is_correct
    assert task.published.success_rate is None


def test_a_delay_of_one_is_refused():
    with pytest.raises(ValueError, match="delay must be at least 2, got 1"):
        noise_free.make("2a", delay=1)
