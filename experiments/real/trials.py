"""Trials of a network on the data of a domain: `fit` with early stopping, and the rate's choice.

Trial i starts from `fold_in(key(seed), i)`, which decides its weights and the order of its batches,
and nothing else is random. The trials that choose the learning rate are none of those reported.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
import optax

import lstm_jax as lstm
from experiments.own_data.run import make_loss, make_outputs
from experiments.own_data.tasks import Part
from experiments.real.base import Data, Domain, Scores
from experiments.real.models import Model
from lstm_jax.data import Batch, batches
from lstm_jax.network.files import Document
from lstm_jax.training.fit import Epoch, FitState, OnEpoch

P = TypeVar("P")
RATES = (0.003, 0.01, 0.03)
TUNING_TRIALS = 2
TUNING = 2**20  # index of the first trial that chooses the rate


@optax.inject_hyperparams
def _clipped_adam(learning_rate: float) -> optax.GradientTransformation:
    return optax.chain(optax.clip_by_global_norm(1.0), optax.adam(learning_rate))


OPTIMISER = _clipped_adam(learning_rate=RATES[0])  # the rate is in its state: one program for all


class Trained(NamedTuple, Generic[P]):
    """A trial that has ended, with the weights of its best epoch."""

    trial: int
    parameters: P
    validation: float
    best_epoch: int
    epochs: int
    seconds: float

    def document(self) -> Document:
        """Return all but the weights, for JSON."""
        found = {name: value for name, value in self._asdict().items() if name != "parameters"}
        return found | {"seconds": round(self.seconds, 2)}


def make_trainer(
    domain: Domain, data: Data, model: Model[P], on_trained: Callable[[], None] = lambda: None
) -> Callable[..., Trained[P]]:
    """Return the function of seed, trial and rate that trains a network; it compiles once.

    `on_trained` is called after every trial. The function's further arguments are `change`, of the
    initial weights, and `on_epoch`, as of `fit`.
    """
    training, validation, _ = data.prepared.parts
    per_step = data.prepared.per_step
    loss = make_loss(model.net_inputs, data.loss, per_step)
    judge = mean_loss(loss, validation, per_step)
    how = {"size": domain.batch_size, "per_step": per_step}

    def train(
        seed: int,
        trial: int,
        rate: float,
        change: Callable[[P], P] = lambda weights: weights,
        on_epoch: OnEpoch | None = None,
    ) -> Trained[P]:
        start = time.monotonic()
        key = jax.random.fold_in(jax.random.key(seed), trial)
        order = int(jax.random.bits(jax.random.fold_in(key, 1)))

        def of_epoch(epoch: int) -> list[Batch]:
            return list(batches(*training, **how, epoch=epoch, seed=order))

        weights = change(model.init(jax.random.fold_in(key, 0)))
        result = lstm.fit(
            *(loss, weights, OPTIMISER, of_epoch),
            epochs=domain.epochs,
            validate=judge,
            patience=domain.patience,
            state=start_at(rate, weights),
            on_epoch=on_epoch,
        )
        on_trained()
        state, seconds = result.state, time.monotonic() - start
        ends = state.best_score, state.best_epoch, state.epoch
        return Trained(trial, result.parameters, *ends, seconds)

    return train


def train_until(
    loss: float, train: Callable[..., Trained[P]], *arguments: object
) -> tuple[int, P] | tuple[None, None]:
    """Train, and return the epochs until the validation loss is at most `loss`, and the weights."""
    reached: list[tuple[int, P]] = []

    def on_epoch(epoch: Epoch, state: FitState[P]) -> None:
        if epoch.score <= loss and not reached:
            reached.append((epoch.epoch, state.parameters))

    train(*arguments, on_epoch=on_epoch)
    return reached[0] if reached else (None, None)


def make_judge(data: Data, model: Model[P]) -> Callable[[P], Scores]:
    """Return the function of parameters whose value is their scores on the test part."""
    outputs = make_outputs(model.net_inputs, data.prepared.per_step)
    test = data.prepared.parts[2]
    return lambda parameters: data.score(outputs(parameters, test.inputs))


def mean_loss(
    loss: Callable[[P, Batch], jax.Array], part: Part, per_step: bool
) -> Callable[[object], float]:
    """Return the function of parameters whose value is their mean loss on a part."""
    return lstm.mean_loss(loss, list(batches(*part, size=512, per_step=per_step)))


def start_at(rate: float, parameters: P) -> FitState[P]:
    """Return the state of `fit` before the first epoch, with a learning rate."""
    state = lstm.init_fit(parameters, OPTIMISER)
    hyperparameters = {"learning_rate": jnp.float32(rate)}
    changed = state.optimiser_state._replace(hyperparams=hyperparameters)  # pyright: ignore
    return state._replace(optimiser_state=changed)


def choose_rate(train: Callable[..., Trained], seed: int) -> dict[float, float]:
    """Return the mean validation loss of a few trials for each rate, the best rate first."""
    indices = range(TUNING, TUNING + TUNING_TRIALS)
    found = {
        rate: float(np.mean([train(seed, i, rate).validation for i in indices])) for rate in RATES
    }
    return dict(sorted(found.items(), key=lambda item: item[1]))
