"""Training on data: the best weights, and the same bits after any interruption."""

from __future__ import annotations

import functools
import os
import signal
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers import assert_close, assert_equal

import lstm_jax as lstm
from lstm_jax import data
from lstm_jax.training import fit as module
from lstm_jax.training.runs.progress import EpochBar

NET = lstm.Architecture(num_inputs=1, blocks=(2,), num_outputs=2, output="softmax")
START = lstm.initialise(jax.random.key(0), NET)
RNG = np.random.default_rng(0)
LABELS = RNG.integers(0, 2, 24)
SEQUENCES = [
    RNG.normal(label - 0.5, 1, (length, 1)).astype(np.float32)
    for label, length in zip(LABELS, RNG.integers(3, 9, 24), strict=True)
]
BATCHES = lambda epoch: data.batches(SEQUENCES, LABELS, size=8, epoch=epoch)
ADAM = optax.chain(
    optax.clip_by_global_norm(1.0), optax.adam(optax.cosine_decay_schedule(0.05, 20))
)


def loss(parameters, batch, key=None):
    """The mean loss of a batch; with a key, of inputs with dropout."""
    inputs = batch.inputs
    if key is not None:
        inputs = jnp.where(jax.random.bernoulli(key, 0.8, inputs.shape), inputs, 0)

    def of_one(inputs, length, label):
        linear, steps = lstm.net_inputs_only(NET), lstm.Steps(length=length)
        scores, _ = lstm.apply(linear, parameters, inputs, at="end", steps=steps)
        return lstm.softmax_cross_entropy(scores, label)

    return jax.vmap(of_one)(inputs, batch.lengths, batch.targets).mean()


@pytest.fixture(autouse=True)
def as_a_user() -> Iterator[None]:
    """JAX's defaults instead of the tests' stricter settings, which optax does not keep."""
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


# On numbers: a bowl whose lowest point is the mean of the batches.
bowl = lambda w, x: jnp.mean((w - x) ** 2)


def test_a_step_is_that_of_the_optimiser_by_hand():
    result = lstm.fit(loss, START, ADAM, BATCHES, epochs=2)
    parameters, state, step = START, ADAM.init(START), jax.jit(jax.value_and_grad(loss))
    for epoch in range(2):
        losses = []
        for batch in BATCHES(epoch):
            value, gradient = step(parameters, batch)
            updates, state = ADAM.update(gradient, state, parameters)
            parameters = optax.apply_updates(parameters, updates)
            losses.append(float(value))
        assert abs(result.history[epoch].loss - np.mean(losses)) < 1e-6
    assert_close(result.state.parameters, parameters, 1e-5)
    assert result.state.steps == 6 and result.stopped == "epochs"


@pytest.mark.parametrize("key", [None, jax.random.key(5)])
def test_interrupted_and_continued_it_is_the_same_to_the_last_bit(key):
    validate = lstm.mean_loss(loss, list(data.batches(SEQUENCES, LABELS)))
    run = functools.partial(
        lstm.fit, loss, START, ADAM, BATCHES, validate=validate, patience=50, key=key
    )
    whole = run(epochs=7)
    first = run(epochs=3)
    second = run(epochs=7, state=first.state)
    assert_equal(second.state, whole.state)
    told = [epoch._replace(epochs=7, seconds=0) for epoch in (*first.history, *second.history)]
    assert told == [epoch._replace(seconds=0) for epoch in whole.history]


def test_every_step_has_a_key_of_its_own():
    keys = []
    noisy = lambda w, x, key: w * jax.random.normal(key)
    record = lambda epoch, state: keys.append(float(state.parameters))
    key = jax.random.key(1)
    lstm.fit(noisy, 0.0, optax.sgd(1.0), [0, 0], epochs=2, key=key, on_epoch=record)
    noise = [float(jax.random.normal(jax.random.fold_in(key, n))) for n in range(4)]
    np.testing.assert_allclose(keys, [-sum(noise[:2]), -sum(noise)], rtol=1e-6)


def test_early_stopping_returns_the_best_of_all_epochs():
    scores = iter([5.0, 3.0, 4.0, 2.0, 2.5, 2.0, 9.0, 1.0])
    seen = {}
    result = lstm.fit(
        bowl,
        jnp.zeros(1),
        optax.sgd(0.01),
        [np.ones(1)],
        validate=lambda w: seen.setdefault(float(w[0]), next(scores)),
        patience=3,
    )
    assert result.stopped == "patience"
    assert [epoch.score for epoch in result.history] == [5.0, 3.0, 4.0, 2.0, 2.5, 2.0, 9.0]
    assert (result.state.best_epoch, result.state.best_score) == (4, 2.0)
    assert seen[float(result.parameters[0])] == 2.0
    assert float(result.state.parameters[0]) == [*seen][-1] != float(result.parameters[0])


def test_a_state_whose_patience_is_exhausted_stays():
    run = functools.partial(lstm.fit, bowl, jnp.zeros(1), optax.sgd(0.0), [np.ones(1)], patience=2)
    first = run(epochs=10)
    again = run(epochs=10, state=first.state)
    assert first.state.epoch == 3 and again.history == [] and again.stopped == "patience"
    assert_equal(again.state, first.state)


class Loader:
    """Torch's DataLoader as far as `fit` knows it: an iterable that starts anew."""

    def __iter__(self):
        return iter([(np.float32([1.0, 3.0]), np.float32([0.0])), (np.float32([2.0]),) * 2])


@pytest.mark.parametrize("batches", [Loader(), [*Loader()], lambda epoch: iter(Loader())])
def test_any_source_of_batches_will_do(batches):
    target = lambda w, batch: jnp.mean((w - jnp.mean(batch[0])) ** 2)
    result = lstm.fit(target, jnp.zeros(()), optax.sgd(0.5), batches, epochs=9)
    assert float(result.parameters) == 2.0 and result.state.steps == 18
    assert lstm.mean_loss(target, batches)(jnp.zeros(())) == 4.0


def test_a_step_is_compiled_once_per_shape_and_not_again_by_the_next_call():
    before = module._step._cache_size()
    shapes = [np.ones(2), np.ones(3), np.ones(2)]
    optimiser = optax.sgd(0.1)
    for _ in range(2):
        lstm.fit(bowl, jnp.zeros(()), optimiser, shapes, epochs=3)
    assert module._step._cache_size() - before == 2


@pytest.mark.parametrize("where", ["loss", "parameters", "score"])
def test_what_is_not_finite_stops_and_says_so(where: str):
    """...and the state is that of the last finite epoch."""
    loss, validate = bowl, None
    if where == "loss":
        batches = lambda epoch: [np.ones(1), np.full(1, np.nan if epoch == 2 else 1.0)]
    else:
        batches = [np.ones(1)]
    if where == "parameters":
        steep = lambda w: jnp.sqrt(jnp.where(w > 0.3, w - jax.lax.stop_gradient(w), 1.0))
        loss = lambda w, x: jnp.where(w > 0.3, steep(w), bowl(w, x))
    if where == "score":
        validate = lambda w: np.nan if w > 0.4 else float(w)
    with pytest.warns(RuntimeWarning, match="epoch 3 was not finite"):
        result = lstm.fit(loss, jnp.zeros(()), optax.sgd(0.1), batches, validate=validate)
    assert result.stopped == "non-finite" and result.state.epoch == len(result.history) == 2
    assert np.isfinite(result.state.parameters) and np.isfinite(result.parameters)


def test_ctrl_c_keeps_the_best_so_far():
    def batches(epoch):
        yield np.ones(1)
        if epoch == 2:
            os.kill(os.getpid(), signal.SIGINT)
        yield np.ones(1)

    run = functools.partial(lstm.fit, bowl, jnp.zeros(()), optax.sgd(0.1))
    cut = run(batches, epochs=9)
    assert cut.stopped == "interrupted" and cut.state.epoch == 2
    quiet = lambda epoch: [np.ones(1)] * 2
    assert_equal(run(quiet, epochs=5, state=cut.state).state, run(quiet, epochs=5).state)


def test_reduce_on_plateau_is_told_the_loss():
    optimiser = optax.chain(optax.sgd(0.1), optax.contrib.reduce_on_plateau(patience=2))
    constant = lambda w, x: 1.0 + 0.0 * jnp.sum(w)
    result = lstm.fit(constant, jnp.zeros(1), optimiser, [np.ones(1)], epochs=6)
    assert float(result.state.optimiser_state[1].scale) < 1.0


def test_the_bar_shows_epochs_on_a_narrow_terminal(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    with EpochBar() as bar:
        lstm.fit(bowl, jnp.zeros(()), optax.sgd(0.1), [np.ones(1)], epochs=3, on_epoch=bar.show)
    last = capsys.readouterr().err.split("\r")[-1].strip()
    assert "3/3" in last and "loss " in last and "best " in last and len(last) <= 80
