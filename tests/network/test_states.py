"""A pytree in a file is the same when it comes back, or it does not come back."""

from __future__ import annotations

import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers import DESCENDANT, assert_equal

import lstm_jax as lstm
from lstm_jax import data

pytest.importorskip("safetensors")

PARAMETERS = lstm.initialise(jax.random.key(0), DESCENDANT)
ADAM = optax.chain(optax.clip(1.0), optax.adam(optax.cosine_decay_schedule(0.1, 9)))
SCALER = data.fit_scaler(np.random.default_rng(0).normal(size=(5, 3)))
TREES = {
    "fit": lstm.init_fit(PARAMETERS, ADAM)._replace(best_score=0.1, epoch=7),
    "learner": lstm.init_learner(DESCENDANT, PARAMETERS, ADAM),
    "scaler": SCALER,
    "both": (SCALER, {"a.b": np.float32(2), "a": {"b": jnp.ones(2, jnp.bfloat16)}, "c": True}),
    "leaf": jnp.arange(3),
    "transposed": np.arange(6).reshape(2, 3).T,
    "nothing": {},
}


def blank(tree):
    """The same tree with other values."""
    empty = lambda leaf: type(leaf)(0) if isinstance(leaf, (bool, int, float)) else leaf * 0
    return jax.tree.map(empty, tree)


@pytest.mark.parametrize("name", TREES)
def test_a_tree_comes_back_to_the_last_bit(name: str, tmp_path: pathlib.Path):
    lstm.save_state(tmp_path / "a", TREES[name])
    found = lstm.load_state(tmp_path / "a", like=blank(TREES[name]))
    assert_equal(found, TREES[name])
    of = lambda tree: [(type(x), getattr(x, "dtype", None)) for x in jax.tree.leaves(tree)]
    assert of(found) == of(TREES[name])


def test_training_goes_on_from_a_file_as_if_it_had_not_stopped(tmp_path: pathlib.Path):
    loss = lambda w, x: jnp.mean((w - x) ** 2)
    sgd = optax.sgd(0.1, momentum=0.9)
    fit = lambda **how: lstm.fit(loss, jnp.zeros(()), sgd, [np.ones(1)], **how).state
    lstm.save_state(tmp_path / "a", fit(epochs=3))
    state = lstm.load_state(tmp_path / "a", like=lstm.init_fit(jnp.zeros(()), sgd))
    assert_equal(fit(epochs=8, state=state), fit(epochs=8))


@pytest.mark.parametrize(
    ("like", "message"),
    [
        ({"a": np.zeros(2)}, r"it has unknown leaf \"\['b'\]\""),
        ({"a": np.zeros(2), "b": 0, "c": 0}, r"it lacks leaf \"\['c'\]\""),
        ({"a": np.zeros(3), "b": 0}, r"must be float64 \(3,\), got float64 \(2,\)"),
        ({"a": np.zeros(2, np.float32), "b": 0}, r"must be float32 \(2,\), got float64"),
        ({"a": np.zeros(2), "b": 0.0}, r"must be float64 \(\), got int64"),
    ],
)
def test_another_tree_is_refused_in_one_line(like, message: str, tmp_path: pathlib.Path):
    lstm.save_state(tmp_path / "a", {"a": np.ones(2), "b": 1})
    with pytest.raises(ValueError, match=f"does not hold such a state: .*{message}") as error:
        lstm.load_state(tmp_path / "a", like)
    assert "\n" not in str(error.value)


def test_a_network_is_not_a_state_and_a_damaged_file_neither(tmp_path: pathlib.Path):
    lstm.save(tmp_path / "net", DESCENDANT, PARAMETERS)
    with pytest.raises(ValueError, match="format must be 'lstm_jax state 1'"):
        lstm.load_state(tmp_path / "net", 0)
    lstm.save_state(tmp_path / "a", np.ones(2))
    content = (tmp_path / "a").read_bytes()
    (tmp_path / "b").write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(ValueError, match="not those that were saved"):
        lstm.load_state(tmp_path / "b", np.ones(2))
